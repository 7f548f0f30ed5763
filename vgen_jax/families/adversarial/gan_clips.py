"""The clips that the critics of a GAN compare, and their conditions."""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import modalities
from vgen_jax.core import random
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.families.adversarial import augment
from vgen_jax.families.adversarial import critics
from vgen_jax.families.base import VideoModel

# Purposes of a clip's key.
GENERATE, CRITIC, LABEL, AUGMENT_REAL, AUGMENT_FAKE, INTERPOLATE = range(6)

_FAKE_LABELS = ('batch', 'uniform')
_CLASS_SOURCES = ('real', 'generated')


class GANClips(VideoModel):
  """The base class of `GAN`: real and generated clips with their conditions.

  With `num_context`, the generator continues clips: `condition['known_video']`
  has the first `num_context` frames, `[b, num_context, h, w, c]`, and the
  critics compare whole clips.

  A generator is also conditioned on audio, text or actions if it has a field
  with the name of their size (core/modalities.py), such as `audio_bands`, and
  this is not 0.

  Attributes:
    generator: `(key_b, condition, *, train) -> video_bthwc`, in [-1, 1], or
      `(video_bthwc, {name: penalty_b})` with terms to add to its own loss.
    critic: Networks `(video_bthwc, condition, key_b, *, train) -> logits`, of
      any shape; a positive logit means "real". The critic under key 'image' is
      player 'critic_image'.
    num_classes: Number of labels that the parts are conditioned on, as
      `condition['label']`; 0 for unconditional parts. If it is not 0, a critic
      must depend on labels or predict them (`critics.uses_labels`), unless
      `reconstruction_weight` is not 0.
    augment: Names of `augment.POLICIES`, applied to all inputs of critics.
    fake_labels: Where the labels of generated clips come from during training:
      'batch', those of the real clips; 'uniform', random. `sample` without a
      label takes uniform random ones.
    class_source: Clips on which a critic learns to classify: 'real', by their
      labels; 'generated', by the random labels that they were generated from.
      The second needs no labels of data: the classes are those that the critic
      can distinguish (Chen et al., "InfoGAN", 2016,
      https://arxiv.org/abs/1606.03657).
    num_context: Number of first frames of a clip that the generator is given;
      0 for a generator of whole clips. It must be 0 if the class attribute
      `uses_known_frames` of the generator is False, as it ignores them.
    reconstruction_weight: Weight of the mean absolute error of a generated clip
      against the real clip with the same conditions, in the generator's loss;
      for conditions that nearly determine the clip.
  """

  generator: nn.Module
  critic: Mapping[str, nn.Module]
  num_classes: int = 0
  augment: tuple[str, ...] = ()
  fake_labels: str = 'batch'
  class_source: str = 'real'
  num_context: int = 0
  reconstruction_weight: float = 0.0

  def __post_init__(self):
    super().__post_init__()
    augment.check(self.augment)
    if not self.critic:
      raise ValueError(
        "model.critic is empty; a GAN needs one critic or more, as {'image':"
        ' network}.'
      )
    checks.one_of('model.fake_labels', self.fake_labels, _FAKE_LABELS)
    checks.one_of('model.class_source', self.class_source, _CLASS_SOURCES)
    checks.in_range(
      'model.num_context', self.num_context, 0, self.clip_shape[0] - 1
    )
    uses_known_frames = getattr(self.generator, 'uses_known_frames', True)
    if self.num_context and not uses_known_frames:
      raise ValueError(
        f'model.num_context is {self.num_context}, but the generator ignores'
        ' known frames; set it to 0, or take a generator such as'
        ' models.vgan.Generator.'
      )
    sees_labels = any(map(critics.uses_labels, self.critic.values()))
    if self.num_classes and not (sees_labels or self.reconstruction_weight):
      raise ValueError(
        f'model.num_classes is {self.num_classes}, but no critic is given'
        ' labels or predicts them, so that the generator cannot learn them'
        f' (critics: {critics.describe_labels(self.critic)}). Take a critic'
        ' such as models.conv_critic.ConvCritic, whose conditioning is not'
        " 'none' and whose num_classes is not 0, or set model.num_classes=0."
      )
    if self.reconstruction_weight and self.has_random_labels:
      raise ValueError(
        f'model.reconstruction_weight is {self.reconstruction_weight}, but'
        ' generated clips have random labels, unlike the real clips that they'
        f' are compared with: model.fake_labels is {self.fake_labels!r} and'
        f' model.class_source {self.class_source!r}. Set the weight to 0, or'
        " fake_labels to 'batch' and class_source to 'real'."
      )

  @property
  def condition_keys(self) -> tuple[str, ...]:
    keys = ('label',) if self.num_classes else ()
    keys += self._further_keys
    return (*keys, 'known_video', 'known') if self.num_context else keys

  @property
  def _further_keys(self) -> tuple[str, ...]:
    """Keys of conditions other than the label that the generator uses."""
    return tuple(
      key
      for row in modalities.TABLE
      if row.size
      and row.key != 'label'
      and getattr(self.generator, row.size, 0)
      for key in row.keys
    )

  @property
  def num_known(self) -> int:
    return self.num_context

  @property
  def supported_tasks(self) -> tuple[str, ...]:
    return ('generate', 'predict') if self.num_context else ('generate',)

  def real_clips(self, batch: Batch, key_b: Array) -> critics.Clips:
    """Returns the batch's clips, augmented."""
    video_bthwc = augment.augment(
      random.fold_in(key_b, AUGMENT_REAL), batch['video'], self.augment
    )
    return critics.Clips(video_bthwc, self._condition(batch))

  def fake_clips(
    self, batch: Batch, key_b: Array, train: bool
  ) -> critics.Clips:
    """Returns one generated clip for each real clip, augmented.

    The terms of the result are the means of the generator's own penalties, and
    mean absolute errors: 'context', of the first `num_context` frames, and
    'reconstruction', of whole clips, if `reconstruction_weight` is not 0.

    Args:
      batch: Real clips with their conditions.
      key_b: Keys, one for each clip.
      train: Whether dropout is on and batch norm uses statistics of the batch.
    """
    condition = self._condition(batch)
    if self.has_random_labels:
      condition = {**condition, 'label': self.random_labels(key_b)}
    video_bthwc, penalties = critics.split(
      self.generator(random.fold_in(key_b, GENERATE), condition, train=train)
    )
    wanted = len(key_b), *self.clip_shape
    shapes.check_output('generator', self.generator, video_bthwc, wanted)
    terms = {name: x.mean() for name, x in (penalties or {}).items()}
    if self.num_context:
      error_bthwc = (
        video_bthwc[:, : self.num_context] - condition['known_video']
      )
      terms['context'] = jnp.abs(error_bthwc).mean()
    if self.reconstruction_weight:
      terms['reconstruction'] = jnp.abs(video_bthwc - batch['video']).mean()
    video_bthwc = augment.augment(
      random.fold_in(key_b, AUGMENT_FAKE), video_bthwc, self.augment
    )
    return critics.Clips(video_bthwc, condition, terms)

  def _condition(self, batch: Batch) -> Condition:
    """Returns the conditions of the real clips of a batch."""
    condition = self.known_frames({'known_video': batch['video']})
    condition |= self.further_conditions(batch, 'The batch')
    if self.num_classes and self.class_source == 'real':
      if 'label' not in batch:
        raise ValueError(
          "The batch has no 'label', but model.num_classes of this GAN is"
          f' {self.num_classes}; train on a source with labels, or set it to 0.'
        )
      condition['label'] = batch['label']
    return condition

  def further_conditions(
    self, given: Mapping[str, Array], owner: str
  ) -> Condition:
    """Returns audio, text and so on, as far as the generator needs them.

    Args:
      given: A batch or a condition.
      owner: Name of `given` at the start of the error, such as 'The batch'.

    Raises:
      ValueError: If one of them is missing.
    """
    sizes = {key: row.size for row in modalities.TABLE for key in row.keys}
    for key in self._further_keys:
      if key not in given:
        raise ValueError(
          f'{owner} has no {key!r}, which {type(self.generator).__name__} of'
          ' this GAN needs; give it, or train a model with'
          f' model.generator.{sizes[key]} 0.'
        )
    return {key: given[key] for key in self._further_keys}

  def known_frames(self, condition: Condition) -> Condition:
    """Returns {'known_video': the first frames}; {} without `num_context`.

    Raises:
      ValueError: If `num_context` is not 0 and there is no 'known_video'.
    """
    if not self.num_context:
      return {}
    if 'known_video' not in condition:
      raise ValueError(
        f"condition has no 'known_video', but model.num_context of this GAN is"
        f' {self.num_context}; give it clips whose first frames are known.'
      )
    return {'known_video': condition['known_video'][:, : self.num_context]}

  @property
  def has_random_labels(self) -> bool:
    """Whether generated clips have random labels in training."""
    random_labels = self.fake_labels == 'uniform'
    return bool(self.num_classes) and (
      random_labels or self.class_source == 'generated'
    )

  def random_labels(self, key_b: Array) -> Array:
    """Returns a uniformly random label for each key, int32 `[b]`."""
    sample = lambda key: jax.random.randint(key, (), 0, self.num_classes)
    return jax.vmap(sample)(random.fold_in(key_b, LABEL))
