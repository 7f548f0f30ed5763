"""Video-to-video synthesis: a GAN that translates layouts to video.

A layout is a semantic segmentation map: the class of each pixel.
"""

from collections.abc import Callable, Mapping

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Metrics
from vgen_jax.families.adversarial import critics
from vgen_jax.families.adversarial import gan_losses
from vgen_jax.families.autoencoding import reconstruction
from vgen_jax.families.base import Update
from vgen_jax.families.base import VideoModel
from vgen_jax.families.translation import losses
from vgen_jax.families.translation import roll_out
from vgen_jax.families.translation import terms as terms_lib
from vgen_jax.nn import translation

CRITICS = ('image', 'video')


class VideoToVideo(VideoModel):
  """A GAN whose generator translates layouts to frames, one after another.

  In each step the critics are updated first. The loss of the generator is

    the adversarial losses of all critics
    + feature_weight * distance between the critics' features of real and of
      generated frames
    + flow_weight * (error of the predicted flow against the reference flow
      + error of real previous frames warped by the predicted flow)
    + consistency_weight * difference between generated frames and generated
      previous frames warped by the reference flow
    + mask_weight * error of masks
    + error_weight * mean absolute error against the real frames
    + perceptual_weight * perceptual distance from the real frames

  `terms.flow_and_mask` defines the errors, and the pixels that they are
  averaged over. If the network also warps a reference, errors of its mask and
  of its warped frame are added with `mask_weight` and `flow_weight`.

  Attributes:
    generator: A `Translator` of nn/translation.py.
    critic: {'image': network, 'video': network}, or fewer, called as in
      families/adversarial/critics.py. 'image' classifies each frame, given the
      generator's conditions; half of its generated frames are the new pixels
      before composition. 'video' classifies sequences of frames, given
      `condition['flow']`. Logits may be a list of arrays.
    num_context: Number of first frames that are given; 0 to generate the first
      one from its layout only.
    loss_kind: One of `gan_losses.KINDS`, except 'relativistic'.
    flow_source: Reference flow: 'data', that of the batch; 'matching', block
      matching of real frames (nn/optical_flow.py); 'none', no reference flow:
      the predicted flow is trained only by the error of warped real frames, and
      the flow that the video critic is given is 0.
    class_balance: Whether errors of pixels, flow and masks are weighted so that
      all classes of the layouts count equally, instead of all pixels; for small
      objects.
    perceptual: `(video_bthwc, other_bthwc) -> distance_b`; None for no
      perceptual distance. The paper uses features of VGG-19.
    through_time: Whether gradients flow through generated previous frames
      (backpropagation through time). The paper's code starts with False.
    segment_length: Number of frames after which generation restarts from real
      frames in training, as if clips had this length; 0 for no restarts.
    doubling_steps: `segment_length` doubles each time that this number of steps
      has passed; 0 for a constant length.

  Reference: Wang et al., "Video-to-Video Synthesis", 2018,
  https://arxiv.org/abs/1808.06601, section 3. Without the multimodal synthesis
  of its section 3.4.
  """

  generator: translation.Translator
  critic: Mapping[str, nn.Module]
  num_context: int = 1
  loss_kind: str = 'least_squares'
  flow_source: str = 'data'
  feature_weight: float = 10.0
  flow_weight: float = 10.0
  consistency_weight: float = 10.0
  mask_weight: float = 0.0
  error_weight: float = 0.0
  class_balance: bool = False
  perceptual: Callable[[Array, Array], Array] | None = None
  perceptual_weight: float = 10.0
  through_time: bool = False
  segment_length: int = 0
  doubling_steps: int = 0

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('model.flow_source', self.flow_source, terms_lib.FLOW_SOURCES)
    for name in self.critic:
      checks.one_of('A key of model.critic', name, CRITICS)
    gan_losses.check_unpaired(self.loss_kind, type(self).__name__)
    last = self.clip_shape[0] - 1
    checks.in_range('model.num_context', self.num_context, 0, last)
    for field in (
      'feature_weight', 'flow_weight', 'consistency_weight', 'mask_weight',
      'error_weight', 'perceptual_weight', 'segment_length', 'doubling_steps',
    ):  # fmt: skip
      checks.at_least(f'model.{field}', getattr(self, field), 0)
    if self.doubling_steps and not self.segment_length:
      raise ValueError(
        f'model.doubling_steps is {self.doubling_steps}, but'
        ' model.segment_length is 0; give the length at the start, such as 4.'
      )

  @property
  def updates(self) -> tuple[Update, ...]:
    players = (*critics.players(self.critic), 'generator')
    return tuple(Update(player) for player in players)

  @property
  def condition_keys(self) -> tuple[str, ...]:
    known = ('known_video', 'known') if self.num_context else ()
    return (*self.generator.condition_keys, *known)

  @property
  def batch_keys(self) -> tuple[str, ...]:
    flow = ('flow',) if self.flow_source == 'data' else ()
    return (*super().batch_keys, *flow)

  @property
  def num_known(self) -> int:
    return self.num_context

  @property
  def supported_tasks(self) -> tuple[str, ...]:
    return ('generate', 'predict') if self.num_context else ('generate',)

  def loss(
    self, batch: Batch, *, player: str, train: bool
  ) -> tuple[Array, Metrics]:
    clips = self._clips(batch, train)
    if player == 'generator':
      return self._generator_loss(batch, clips, train)
    name = player.removeprefix('critic_')
    condition = {key: batch[key] for key in self.generator.condition_keys}
    real, fake = terms_lib.critic_inputs(
      name, condition, clips, self.num_context
    )
    key_b = self.clip_keys(batch)
    network = critics.of_player(self.critic, player)
    real_logits, fake_logits = (
      critics.split(
        network(each.video_bthwc, each.condition, key_b, train=train)
      )[0]
      for each in (real, fake)
    )
    loss = losses.critic(self.loss_kind, real_logits, fake_logits)
    return loss, gan_losses.logit_terms(
      self.loss_kind, losses.flat(real_logits), losses.flat(fake_logits)
    )

  def frames(
    self, batch: Batch | Condition, video_bthwc: Array, *, train: bool = False
  ) -> translation.Frame:
    """Returns the generated frames, those after the given ones.

    Args:
      batch: Batch with the generator's conditions.
      video_bthwc: Clips in [-1, 1], whose first `num_context` frames are given.
        The others are only read in training with restarts.
      train: Whether dropout is on, and generation restarts from real frames.

    Raises:
      ValueError: If a condition is missing, or there are too few frames.
    """
    for key in self.generator.condition_keys:
      if key not in batch:
        raise ValueError(
          f'The batch or condition has no {key!r}, which'
          f' {type(self.generator).__name__} needs; use data that has it.'
        )
    return roll_out.roll_out(
      self.generator,
      batch['layout'],
      video_bthwc,
      self.num_context,
      self.generator.encode(batch, train=train),
      restarts_t=self._restarts(batch) if train else None,
      through_time=self.through_time,
      train=train,
    )

  def sample_unclipped(self, key_b: Array, condition: Condition) -> Array:
    """Generates a clip for each layout; see the base class.

    The network is deterministic, so keys have no effect. The number of frames
    is that of the layouts, which may be longer than clips of the training.

    Args:
      key_b: Keys, one for each clip.
      condition: Condition with `layout`, other conditions of the generator, and
        `known_video` if `num_context` is not 0, whose first frames are given.
        Pixels where `known` is True are returned unchanged.

    Raises:
      ValueError: If a condition is missing or too short, or a key is not in
        `condition_keys`.
    """
    self.check_condition(condition)
    if self.num_context and 'known_video' not in condition:
      raise ValueError(
        "condition has no 'known_video', but model.num_context is"
        f' {self.num_context}; give it clips whose first frames are known.'
      )
    nothing = jnp.zeros((len(key_b), 0, *self.clip_shape[1:]))
    given_bthwc = condition.get('known_video', nothing)
    frames = self.frames(condition, given_bthwc)
    video_bthwc = self._whole(given_bthwc, frames.frame_bhwc)
    if 'known' not in condition:
      return video_bthwc
    if given_bthwc.shape != video_bthwc.shape:
      raise ValueError(
        f'known_video has {given_bthwc.shape[1]} frames and the layout'
        f" {video_bthwc.shape[1]}; with 'known' they must have equally many."
        ' Pad known_video and known.'
      )
    return jnp.where(condition['known'], given_bthwc, video_bthwc)

  def _generator_loss(
    self, batch: Batch, clips: terms_lib.Clips, train: bool
  ) -> tuple[Array, Metrics]:
    terms = terms_lib.flow_and_mask(
      clips, self.num_context, has_flow=self.flow_source != 'none'
    )
    real_bthwc = clips.video_bthwc[:, self.num_context :]
    weight_bthw = clips.weight_bthw[:, self.num_context :]
    terms['error'] = losses.pixel_error(
      clips.frames.frame_bhwc, real_bthwc, weight_bthw
    )
    if self.perceptual is not None:
      distance_b = self.perceptual(real_bthwc, clips.frames.frame_bhwc)
      terms['perceptual'] = distance_b.mean()
    weights = {
      'flow': self.flow_weight,
      'warp': self.flow_weight,
      'reference_warp': self.flow_weight,
      'consistency': self.consistency_weight,
      'mask': self.mask_weight,
      'reference_mask': self.mask_weight,
      'error': self.error_weight,
      'perceptual': self.perceptual_weight,
    }
    condition = {key: batch[key] for key in self.generator.condition_keys}
    for name, network in self.critic.items():
      inputs = terms_lib.critic_inputs(name, condition, clips, self.num_context)
      terms |= terms_lib.against_critic(
        name, network, *inputs, self.clip_keys(batch), self.loss_kind,
        has_features=self.feature_weight > 0, train=train,
      )  # fmt: skip
      weights |= {f'adversarial_{name}': 1.0}
      weights |= {f'features_{name}': self.feature_weight}
    loss = sum(weights[name] * x for name, x in terms.items())
    terms['psnr'] = reconstruction.psnr(real_bthwc, clips.frames.frame_bhwc)
    terms['mean_mask'] = clips.frames.previous.mask_bhw.mean()
    return loss, terms

  def _clips(self, batch: Batch, train: bool) -> terms_lib.Clips:
    video_bthwc = batch['video']
    frames = self.frames(batch, video_bthwc, train=train)
    return terms_lib.Clips(
      video_bthwc,
      terms_lib.reference_flow(self.flow_source, batch),
      frames,
      self._whole(video_bthwc, frames.frame_bhwc),
      losses.class_weights(batch['layout'], self.generator.num_segments)
      if self.class_balance
      else jnp.ones(video_bthwc.shape[:-1]),
    )

  def _whole(self, given_bthwc: Array, frames_bthwc: Array) -> Array:
    """Returns the given frames, followed by generated ones."""
    given_bthwc = given_bthwc[:, : self.num_context]
    return jnp.concatenate([given_bthwc, frames_bthwc], axis=1)

  def _restarts(self, batch: Batch | Condition) -> Array | None:
    if not self.segment_length:
      return None
    return roll_out.restarts(
      batch['layout'].shape[1],
      self.num_context,
      self.segment_length,
      batch['step'][0] // self.doubling_steps if self.doubling_steps else 0,
    )
