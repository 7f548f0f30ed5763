"""What every family is: a way to learn from clips, a way to draw new ones."""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Metrics


@dataclasses.dataclass(frozen=True)
class Update:
  """One kind of move in the game that a train step plays.

  Attributes:
    player: Part whose parameters the move updates.
    loss: Method of the model that gives the loss, `loss` or one of its like; a
      lazy regularizer is a move of its own, with a method of its own.
    start: The first step in which it is played, of steps 0, 1, ... Before it,
      nothing of its player moves: no parameters, optimizer state, statistics,
      averages or guard.
    every: Moves in steps start, start + every, start + 2 * every, ... only.
    times: Moves in a row. The i-th of them sees clips i, i + times, ... of the
      batch, so that none is seen twice.
    with_previous: Whether it sees of other parts what the move before it saw,
      and not its outcome: the two move at the same time. Of its own part a
      player always sees the latest.
  """

  player: str
  loss: str = 'loss'
  every: int = 1
  times: int = 1
  with_previous: bool = False
  start: int = 0

  def __post_init__(self):
    for field, least in (('start', 0), ('every', 1), ('times', 1)):
      if (value := getattr(self, field)) < least:
        raise ValueError(
          f'{field} of the turn {self.name!r} is {value}; it must be {least} or'
          ' more.'
        )

  @property
  def name(self) -> str:
    """Prefix of its metrics: `critic`, or `critic_penalty`."""
    return self.player if self.loss == 'loss' else f'{self.player}_{self.loss}'

  @property
  def rests(self) -> bool:
    """Whether there are steps in which it is not played."""
    return self.every > 1 or self.start > 0

  def is_due(self, step: int | Array) -> bool | Array:
    """Whether it is played in a step, after `step` others."""
    return (step >= self.start) & ((step - self.start) % self.every == 0)


class VideoModel(nn.Module):
  """A generative model of clips, trained as a game of one player or more.

  A family (diffusion, GAN, ...) subclasses this and has its networks as fields;
  each field is a *part*, and names a top-level entry of the parameter tree. A
  *player* is a part with a loss and an optimizer of its own. A VAE or a
  diffusion model has one player; a GAN has several, who take turns. A part that
  is no player stays frozen, as a pretrained tokenizer does.

  So one train step fits all: for each turn, differentiate the player's loss
  with respect to its own parameters, and update those (training/step.py).
  Mutable statistics (batch norm, spectral norm, codebooks) follow the same
  rule: a turn keeps those of its player and drops the others' changes.

  Random streams: 'noise' for all that the method draws, 'dropout' for Dropout.

  Attributes:
    clip_shape: (t, h, w, c) of one clip, in frames, pixels, pixels, channels.
  """

  clip_shape: ClipShape

  @property
  def updates(self) -> tuple[Update, ...]:
    """The moves of one train step, in order."""
    raise NotImplementedError

  @property
  def players(self) -> tuple[str, ...]:
    """Names of the parts that learn, in the order of their first turns."""
    return tuple(dict.fromkeys(turn.player for turn in self.updates))

  @property
  def starts(self) -> dict[str, int]:
    """The step in which each player moves first; its life begins there."""
    starts: dict[str, int] = {}
    for turn in self.updates:
      earlier = starts.get(turn.player, turn.start)
      starts[turn.player] = min(earlier, turn.start)
    return starts

  @property
  def input_key(self) -> str:
    """What of a batch it learns and draws: 'video', or 'codes' of clips."""
    return 'video'

  @property
  def condition_keys(self) -> tuple[str, ...]:
    """Keys of a Condition that `sample` understands."""
    return ()

  @property
  def num_known(self) -> int:
    """Frames, the first of a clip, that `sample` must be given; 0 for none."""
    return 0

  def loss(
    self, batch: Batch, *, player: str, train: bool
  ) -> tuple[Array, Metrics]:
    """Returns a player's loss, averaged over the batch, and terms to log.

    The loss belongs here, not to the caller: for most generative models it is
    no function of predictions and targets alone. It need not stop any gradient,
    since the step differentiates the player's own parameters only.

    Args:
      batch: Clips to learn from; `video` is float32 in [-1, 1].
      player: Whose loss; one of `players`.
      train: Whether dropout is on and batch norm uses the batch's statistics.
    """
    raise NotImplementedError

  def sample(self, key_b: Array, condition: Condition) -> Array:
    """Draws a clip for each key; float32 `[b, t, h, w, c]` in [-1, 1].

    A clip is a function of its own key and condition, in any batch.

    Args:
      key_b: Keys, one for each clip.
      condition: What the clips should be; {} draws freely.

    Raises:
      ValueError: If `condition` has a key that the model does not understand.
    """
    raise NotImplementedError

  def draw(self, key_b: Array, condition: Condition) -> Array:
    """Draws as `sample` does, but does not clip: for what is no pixels."""
    return self.sample(key_b, condition)

  def __call__(self, batch: Batch) -> list[tuple[Array, Metrics]]:
    """Computes all losses; `init` calls this to create every parameter."""
    return [
      getattr(self, turn.loss)(batch, player=turn.player, train=False)
      for turn in self.updates
    ]

  def clip_keys(self, batch: Batch) -> Array:
    """Returns a fresh key for each clip of a batch, of the stream 'noise'."""
    size = len(batch[self.input_key])
    position_b = batch.get('position', jnp.arange(size))
    return random.keys(self.make_rng('noise'), position_b)

  def check_condition(self, condition: Condition) -> None:
    """Raises ValueError for a key the model is deaf to, or a mask that is none.

    A mask, `known`, says of each pixel of `known_video`, not of each channel,
    whether it is known.
    """
    for key in condition:
      if key not in self.condition_keys:
        raise ValueError(
          f'condition[{key!r}] is given, but {type(self).__name__} as built'
          f' here understands {list(self.condition_keys)}; leave it out, or'
          ' build the model with it.'
        )
    if {'known', 'known_video'} <= condition.keys():
      shape, mask = condition['known_video'].shape, condition['known'].shape
      if mask != (*shape[:-1], 1):
        raise ValueError(
          f"condition['known'] has shape {mask}; for known_video of shape"
          f' {shape} it must be {(*shape[:-1], 1)}.'
        )
      if (dtype := condition['known'].dtype) != jnp.bool_:
        raise ValueError(f"condition['known'] is of {dtype}; it must be bool.")

  def check_dropout(self, condition: Condition, class_dropout: float) -> None:
    """Raises ValueError if nothing is told to who never learned without."""
    told = [key for key in ('label', 'text') if key in self.condition_keys]
    if told and not class_dropout and not condition.keys() & set(told):
      raise ValueError(
        f'condition has none of {told}, but model.class_dropout is 0:'
        f' {type(self).__name__} has never learned to draw without; give one,'
        ' or train with class_dropout 0.1.'
      )
