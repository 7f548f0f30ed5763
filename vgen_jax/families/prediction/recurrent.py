"""Recurrent prediction: each frame from all that came before it."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Metrics
from vgen_jax.families.base import Update
from vgen_jax.families.base import VideoModel
from vgen_jax.nn.convolution import recurrent

LIKELIHOODS = ('gaussian', 'levels')

# Streams of a clip's key.
_DRAW, _FORCE = range(2)


class Recurrent(VideoModel):
  """Maximizes the likelihood of each frame, given those before it.

  Frame 0 is always given. The likelihood is of one of two kinds:

    'gaussian': independent pixels around the network's output, with standard
      deviation `sigma`. Its maximum is the mean of all that can come next, so
      where futures differ it blurs.
    'levels': a softmax over `num_levels` values of each pixel and channel, as
      in van den Oord et al., "Pixel Recurrent Neural Networks", 2016,
      https://arxiv.org/abs/1601.06759, but with pixels independent, given the
      frames before.

  Attributes:
    predictor: `(carry, frame_bhwc, action_ba, num_outputs=..., train=...) ->
      (carry, output_bhwp)`, and `start(shape_bhw) -> carry`. If it also has
      `together(video_bthwc, action_bta, ...) -> output_bthwp`, that is how it
      learns wherever all frames are the truth.
    num_context: Frames that are always given, in training and, unless the
      condition says otherwise, in drawing.
    likelihood: One of `LIKELIHOODS`.
    sigma: Of 'gaussian', in units of pixels in [-1, 1].
    num_levels: Of 'levels', from black to white.
    residual: Whether the output of 'gaussian' is the change of the frame.
    temperature: Of drawn frames; 0 takes what is most likely.
    scheduled_sampling: How slowly frames after the context come to be the
      model's own in training (nn/convolution/recurrent.py, `inverse_sigmoid`);
      0 for never.
    action_width: Numbers that an action is; 0 if there are none.
  """

  predictor: nn.Module
  num_context: int = 2
  likelihood: str = 'gaussian'
  sigma: float = 0.1
  num_levels: int = 8
  residual: bool = False
  temperature: float = 0.0
  scheduled_sampling: float = 0.0
  action_width: int = 0

  def __post_init__(self):
    _check(self)
    super().__post_init__()

  @property
  def updates(self) -> tuple[Update, ...]:
    return (Update('predictor'),)

  @property
  def condition_keys(self) -> tuple[str, ...]:
    actions = ('action',) if self.action_width else ()
    return ('known_video', 'known', *actions)

  @property
  def num_known(self) -> int:
    return self.num_context

  def loss(
    self, batch: Batch, *, player: str, train: bool
  ) -> tuple[Array, Metrics]:
    del player  # There is but one.
    video_bthwc, key_b = batch['video'], self.clip_keys(batch)
    action_bta = self._actions(batch, video_bthwc)
    if hasattr(self.predictor, 'together') and not (
      train and self.scheduled_sampling
    ):
      outputs = self._together(video_bthwc, action_bta, train)
    else:
      outputs, _ = self._roll(
        video_bthwc,
        self._forced(batch, random.fold_in(key_b, _FORCE), train),
        random.fold_in(key_b, _DRAW),
        action_bta,
        train,
      )
    target_bthwc = video_bthwc[:, 1:]
    nats_bthwc = self._nats(outputs, target_bthwc)
    nats = nats_bthwc.mean()
    num_values = math.prod(nats_bthwc.shape[2:])
    if self.likelihood == 'gaussian':  # A density: no number of bits.
      return nats, {
        'nats_per_frame': nats * num_values,
        'mse': jnp.square(outputs - target_bthwc).mean(),
      }
    bits = nats / math.log(2)
    return nats, {'bits_per_dim': bits, 'bits_per_frame': bits * num_values}

  def sample(self, key_b: Array, condition: Condition) -> Array:
    """Draws a future for each clip; see the base class.

    Args:
      key_b: Keys, one for each clip.
      condition: `known_video`, of which the first `num_context` frames are
        taken, or those in which `known` is True everywhere, among them the
        first; what is known of other frames is not heard. All that is known
        comes back as it is.

    Raises:
      ValueError: If nothing is known, or a key is none of `condition_keys`.
    """
    self.check_condition(condition)
    if 'known_video' not in condition:
      raise ValueError(
        "condition has no 'known_video', but a recurrent predictor needs the"
        ' first frames of a clip to go on from.'
      )
    video_bthwc = condition['known_video']
    if (num_frames := video_bthwc.shape[1]) < 2:
      raise ValueError(
        f'known_video has {num_frames} frame; a prediction needs 2 or more:'
        ' those that are known, and those to come, whatever they hold.'
      )
    known_bt = jnp.broadcast_to(
      jnp.arange(video_bthwc.shape[1]) < self.num_context,
      video_bthwc.shape[:2],
    )
    if 'known' in condition:
      known_bt = jnp.all(condition['known'], (2, 3, 4)).at[:, 0].set(True)
    _, frames_bthwc = self._roll(
      video_bthwc,
      known_bt[:, :-1],
      random.fold_in(key_b, _DRAW),
      self._actions(condition, video_bthwc),
    )
    known = known_bt[:, :, None, None, None]
    if 'known' in condition:
      known |= condition['known']
    return jnp.where(
      known,
      video_bthwc,
      jnp.concatenate([video_bthwc[:, :1], frames_bthwc], axis=1),
    ).clip(-1, 1)

  def _roll(
    self,
    video_bthwc: Array,
    teacher_mask_bt: Array,
    key_b: Array,
    action_bta: Array | None,
    train: bool = False,
  ) -> tuple[Array, Array]:
    """Returns what is said of frames 1, 2, ..., and frames drawn from it."""
    length = video_bthwc.shape[1] - 1
    num_outputs = self._num_outputs(video_bthwc)
    key_bt = jax.vmap(lambda key: jax.random.split(key, length))(key_b)

    def cell(predictor, carry, frame_bhwc, extra):
      carry, output_bhwp = predictor(
        carry,
        frame_bhwc,
        extra.get('action'),
        num_outputs=num_outputs,
        train=train,
      )
      output_bhwp = output_bhwp.astype(jnp.float32)
      if self.residual:
        output_bhwp += frame_bhwc
      drawn_bhwc = self._draw(extra['key'], output_bhwp)
      return carry, drawn_bhwc, (output_bhwp, drawn_bhwc)

    extras = {'key': key_bt}
    if action_bta is not None:
      extras['action'] = action_bta[:, :-1]
    b, _, h, w, _ = video_bthwc.shape
    _, said = recurrent.scan_rollout(
      cell,
      self.predictor,
      self.predictor.start((b, h, w)),
      video_bthwc[:, :-1],
      teacher_mask_bt,
      extras,
    )
    return said

  def _together(
    self, video_bthwc: Array, action_bta: Array | None, train: bool
  ) -> Array:
    """Returns what is said of frames 1, 2, ... after the truth."""
    before_bthwc = video_bthwc[:, :-1]
    output_bthwp = self.predictor.predict_all(
      before_bthwc,
      None if action_bta is None else action_bta[:, :-1],
      num_outputs=self._num_outputs(video_bthwc),
      train=train,
    ).astype(jnp.float32)
    return output_bthwp + before_bthwc if self.residual else output_bthwp

  def _num_outputs(self, video_bthwc: Array) -> int:
    c = video_bthwc.shape[-1]
    return c * self.num_levels if self.likelihood == 'levels' else c

  def _draw(self, key_b: Array, output_bhwp: Array) -> Array:
    """Draws a frame in [-1, 1] from what the network says."""
    if self.likelihood == 'gaussian':
      noise = random.normal(key_b, output_bhwp.shape[1:])
      return output_bhwp + self.temperature * self.sigma * noise
    logits_bhwcl = self._levels(output_bhwp)
    if self.temperature:
      level_bhwc = jax.vmap(jax.random.categorical)(
        key_b, logits_bhwcl / self.temperature
      )
    else:
      level_bhwc = logits_bhwcl.argmax(-1)
    return level_bhwc * (2 / (self.num_levels - 1)) - 1

  def _nats(self, output_bthwp: Array, target_bthwc: Array) -> Array:
    """Returns the negative log-likelihood of each value, in nats."""
    if self.likelihood == 'gaussian':
      error = (output_bthwp - target_bthwc) / self.sigma
      constant = math.log(self.sigma) + 0.5 * math.log(2 * math.pi)
      return 0.5 * jnp.square(error) + constant
    logits = jax.nn.log_softmax(self._levels(output_bthwp))
    level = jnp.rint((target_bthwc + 1) / 2 * (self.num_levels - 1))
    level = level.astype(jnp.int32)[..., None]
    return -jnp.take_along_axis(logits, level, axis=-1)[..., 0]

  def _levels(self, output: Array) -> Array:
    return output.reshape(*output.shape[:-1], -1, self.num_levels)

  def _forced(self, batch: Batch, key_b: Array, train: bool) -> Array:
    """Returns where the truth is fed, bool `[b, t]` for all but the last."""
    b, t = batch['video'].shape[:2]
    context_t = jnp.arange(t - 1) < self.num_context
    if not (train and self.scheduled_sampling):
      return jnp.ones((b, t - 1), bool)
    share_b = recurrent.inverse_sigmoid(batch['step'], self.scheduled_sampling)
    return context_t[None] | (
      random.uniform(key_b, (t - 1,)) < share_b[:, None]
    )

  def _actions(
    self, batch: Batch | Condition, video_bthwc: Array
  ) -> Array | None:
    if not self.action_width:
      return None
    if 'action' not in batch:
      raise ValueError(
        f"There is no 'action', but model.action_width is {self.action_width};"
        ' give actions, or set it to 0.'
      )
    wanted = (*video_bthwc.shape[:2], self.action_width)
    if (shape := batch['action'].shape) != wanted:
      raise ValueError(
        f"'action' has shape {shape}; clips of shape {video_bthwc.shape} and"
        f' model.action_width {self.action_width} need {wanted}.'
      )
    return batch['action']


def _check(model: Recurrent) -> None:
  """Raises ValueError if fields have no meaning, alone or together."""
  if model.likelihood not in LIKELIHOODS:
    raise ValueError(
      f'model.likelihood is {model.likelihood!r}; it must be one of'
      f' {LIKELIHOODS}.'
    )
  if model.residual and model.likelihood != 'gaussian':
    raise ValueError(
      "model.residual is True, which only likelihood 'gaussian' can be."
    )
  num_frames = model.clip_shape[0]
  if not 1 <= model.num_context < num_frames:
    raise ValueError(
      f'model.num_context is {model.num_context}; it must be 1 or more, and'
      f' fewer than the {num_frames} frames of a clip.'
    )
  for field, least in (
    ('sigma', 1e-6),
    ('num_levels', 2),
    ('temperature', 0),
    ('scheduled_sampling', 0),
  ):
    if (value := getattr(model, field)) < least:
      raise ValueError(f'model.{field} is {value}; it must be {least} or more.')
