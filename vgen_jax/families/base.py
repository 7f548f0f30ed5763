"""The base class of model families, and the updates of a train step."""

import abc
from collections.abc import Callable
import dataclasses
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import modalities
from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Metrics

# Tasks that a family may support; see `VideoModel.supported_tasks`.
TASKS = ('generate', 'predict', 'reconstruct')

# `(params, stats, step) -> params`, of one player; see `Update.constraint`.
Constraint = Callable[[Any, Any, Any], Any]


@dataclasses.dataclass(frozen=True)
class Update:
  """One update of a player's parameters within a train step.

  Attributes:
    player: Part whose parameters are updated.
    loss: Name of the model's method that computes the loss, such as 'loss'. A
      lazy regularizer is an update of its own with another method.
    start: First step with this update; steps are numbered from 0. Before the
      first update of a player, its parameters, optimizer state, statistics,
      averages and guard do not change.
    every: Period in steps: the update is made in steps start, start + every,
      start + 2 * every, ...
    times: Number of updates in a row. The i-th of them uses clips i, i + times,
      ... of the batch, so that each clip is used once.
    with_previous: Whether the loss uses the same parameters of other parts as
      the update before it, instead of its result: the two updates are
      simultaneous. The player's own parameters are always the latest.
    constraint: Projection of the player's parameters after the update, such as
      weight clipping; None for none. Its arguments are the parameters, the
      player's statistics {collection: tree}, and the number of steps completed
      before this one.
  """

  player: str
  loss: str = 'loss'
  every: int = 1
  times: int = 1
  with_previous: bool = False
  start: int = 0
  constraint: Constraint | None = None

  def __post_init__(self):
    for field, least in (('start', 0), ('every', 1), ('times', 1)):
      owner = f'{field} of the update {self.name!r}'
      checks.at_least(owner, getattr(self, field), least)

  @property
  def name(self) -> str:
    """Prefix of the update's metrics: `critic`, or `critic_penalty`."""
    return self.player if self.loss == 'loss' else f'{self.player}_{self.loss}'

  @property
  def skips_steps(self) -> bool:
    """Whether there are steps without this update."""
    return self.every > 1 or self.start > 0

  def is_due(self, step: int | Array) -> bool | Array:
    """Returns whether the update is made in step `step`, counted from 0."""
    return (step >= self.start) & ((step - self.start) % self.every == 0)


class VideoModel(nn.Module):
  """A generative model of clips: training objectives and a sampler.

  A family (diffusion, GAN, ...) subclasses this and has its networks as fields;
  each field is a *part*, and names a top-level entry of the parameter tree. A
  *player* is a part with a loss and an optimizer of its own. A VAE or a
  diffusion model has one player; a GAN has several, updated one after another.
  A part that is not a player stays frozen, as a pretrained tokenizer does.

  Therefore one train step serves all families: for each update, differentiate
  the player's loss with respect to its own parameters, and update those
  (training/step.py). Mutable statistics (batch norm, spectral norm, codebooks)
  follow the same rule: an update keeps the new statistics of its player and
  discards changes to those of other parts.

  Random number collections of Flax: 'noise' for everything that a method
  samples, 'dropout' for Dropout.

  Attributes:
    clip_shape: (t, h, w, c) of one clip, in frames, pixels, pixels, channels.
  """

  clip_shape: ClipShape

  @property
  @abc.abstractmethod
  def updates(self) -> tuple[Update, ...]:
    """Updates of one train step, in order."""
    raise NotImplementedError

  @property
  def players(self) -> tuple[str, ...]:
    """Names of the trained parts, in the order of their first updates."""
    return tuple(dict.fromkeys(update.player for update in self.updates))

  @property
  def start_steps(self) -> dict[str, int]:
    """The step of each player's first update."""
    starts: dict[str, int] = {}
    for update in self.updates:
      earlier = starts.get(update.player, update.start)
      starts[update.player] = min(earlier, update.start)
    return starts

  @property
  def input_key(self) -> str:
    """Key of a batch that is modelled: 'video', or 'codes'."""
    return 'video'

  @property
  def condition_keys(self) -> tuple[str, ...]:
    """Keys of a Condition that `sample` accepts."""
    return ()

  @property
  def batch_keys(self) -> tuple[str, ...]:
    """Keys of a Batch that the losses use: the target and the conditions."""
    return (self.input_key, *modalities.without_target(self.condition_keys))

  @property
  def num_known(self) -> int:
    """Number of known first frames that `sample` continues; 0 for none."""
    return 0

  @property
  def supported_tasks(self) -> tuple[str, ...]:
    """Tasks that the model can do, a subset of TASKS.

    'generate': `sample` generates clips. 'predict': `sample` continues clips
    whose first frames are known. 'reconstruct': the part `autoencoder`, an
    `Autoencoder` of nn/bottlenecks/autoencoder.py, reconstructs clips.
    """
    return ('generate',)

  @abc.abstractmethod
  def loss(
    self, batch: Batch, *, player: str, train: bool
  ) -> tuple[Array, Metrics]:
    """Returns a player's loss, averaged over the batch, and terms to log.

    The loss is a method of the model, since for most generative models it is
    not a function of only predictions and targets. It need not stop any
    gradient, because the step differentiates with respect to the player's own
    parameters only.

    Args:
      batch: Clips to train on; `video` is float32 in [-1, 1].
      player: Part whose loss is computed; one of `players`.
      train: Whether dropout is on and batch norm uses the batch's statistics.
    """
    raise NotImplementedError

  def sample(self, key_b: Array, condition: Condition) -> Array:
    """Generates a clip for each key; float32 `[b, t, h, w, c]` in [-1, 1].

    A clip depends on its own key and condition only, in a batch of any size. A
    subclass defines this method or `sample_unclipped`.

    Args:
      key_b: Keys, one for each clip.
      condition: What the clips are conditioned on; {} for unconditional ones.

    Raises:
      ValueError: If `condition` has a key that is not in `condition_keys`.
    """
    return self.sample_unclipped(key_b, condition).clip(-1, 1)

  def sample_unclipped(self, key_b: Array, condition: Condition) -> Array:
    """Returns the clips of `sample` before they are clipped to [-1, 1].

    This method is used for a prior over latents, since latents are not pixels,
    and for clips to save, since clipping would hide infinite values.
    """
    if type(self).sample is VideoModel.sample:
      raise NotImplementedError(
        f'{type(self).__name__} defines neither sample nor sample_unclipped.'
      )
    return self.sample(key_b, condition)

  def __call__(self, batch: Batch) -> list[tuple[Array, Metrics]]:
    """Returns (loss, terms) of each update, in order.

    `init` calls this method to create every parameter.
    """
    return [
      getattr(self, update.loss)(batch, player=update.player, train=False)
      for update in self.updates
    ]

  def clip_keys(self, batch: Batch) -> Array:
    """Returns a new key for each clip of a batch, from collection 'noise'."""
    arrays: dict[str, Any] = {**batch}
    size = len(arrays[self.input_key])
    position_b = batch.get('position', jnp.arange(size))
    return random.keys(self.make_rng('noise'), position_b)

  def check_condition(self, condition: Condition) -> None:
    """Checks the keys of a condition, and the shape and dtype of its mask.

    The mask `known` states for each pixel of `known_video`, not for each
    channel, whether it is known.

    Raises:
      ValueError: If a key is not in `condition_keys`, or `condition` has both
        `known` and `known_video` and the mask is not bool `[b, t, h, w, 1]`.
    """
    modalities.check_keys(condition, self.condition_keys, type(self).__name__)
    if {'known', 'known_video'} <= condition.keys():
      shape, mask = condition['known_video'].shape, condition['known'].shape
      if mask != (*shape[:-1], 1):
        raise ValueError(
          f"condition['known'] has shape {mask}; for known_video of shape"
          f' {shape} it must be {(*shape[:-1], 1)}.'
        )
      if (dtype := condition['known'].dtype) != jnp.bool_:
        raise ValueError(
          f"condition['known'] has dtype {dtype}; it must be bool. Convert it"
          ' with astype(bool).'
        )

  def check_dropout(self, condition: Condition, class_dropout: float) -> None:
    """Checks that a model trained only with conditions gets a condition.

    Raises:
      ValueError: If `condition` has none of the keys that can be dropped, and
        the model was never trained without them.
    """
    keys = modalities.droppable(self.condition_keys)
    if keys and not class_dropout and not condition.keys() & set(keys):
      raise ValueError(
        f'condition has none of {list(keys)}, but model.class_dropout is 0:'
        f' {type(self).__name__} was never trained without them. Give one, or'
        ' train with class_dropout 0.1.'
      )
