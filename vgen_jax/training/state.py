"""The state of a run: all that changes while it trains."""

from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Params
from vgen_jax.families.base import VideoModel


class TrainState(flax.struct.PyTreeNode):
  """Arrays only, so that a checkpoint of it is a checkpoint of the run.

  Attributes:
    step: Updates done so far, int32.
    params: Parameters by part, {part: tree}.
    ema: Averages of the players' parameters, {name: {player: tree}}.
    stats: Other variables of the model, {'batch_stats': {part: tree}, ...}.
    opt: Optimizer state by player, {player: tree}.
    guard: What the guard against bad updates remembers, {player: {name: x}}.
    rng: Key of the run. Each step folds its number in, so none is ever spent.
  """

  step: Array
  params: Params
  ema: dict[str, Params]
  stats: dict[str, Params]
  opt: dict[str, optax.OptState]
  guard: dict[str, dict[str, Array]]
  rng: Array

  def variables(self, average: str = 'params') -> dict[str, Any]:
    """Returns what `model.apply` takes, from the average of that name."""
    own = {} if average == 'params' else self.ema[average]
    return {'params': {**self.params, **own}, **self.stats}


def create(
  model: VideoModel,
  optimizers: Mapping[str, optax.GradientTransformation],
  averages: tuple[str, ...],
  batch: Batch,
  seed: int,
) -> TrainState:
  """Returns the state before the first update; reads only shapes of `batch`."""
  init_rng, noise_rng, run_rng = jax.random.split(jax.random.key(seed), 3)
  if 'video' in batch:
    video = jnp.zeros(batch['video'].shape, jnp.float32)
    batch = {**batch, 'video': video}
  rngs = {'params': init_rng, 'noise': noise_rng}
  variables = dict(model.init(rngs, batch))
  params = variables.pop('params')
  # Parts without parameters still have their place.
  params = {player: {} for player in model.players} | params
  own = {player: params[player] for player in model.players}
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    ema={name: jax.tree.map(jnp.copy, own) for name in averages},
    stats=variables,
    opt={player: optimizers[player].init(own[player]) for player in own},
    guard={player: _fresh_guard() for player in own},
    rng=run_rng,
  )


def _fresh_guard() -> dict[str, Array]:
  """Average gradient norm (0: none yet); updates skipped in a row, and ever."""
  return {
    'norm': jnp.zeros((), jnp.float32),
    'streak': jnp.zeros((), jnp.int32),
    'skipped': jnp.zeros((), jnp.int32),
  }
