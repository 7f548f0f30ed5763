"""The state of a run: everything that changes during training."""

from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Params
from vgen_jax.families.base import VideoModel


class TrainState(flax.struct.PyTreeNode):
  """State of a run, a tree of arrays; a checkpoint holds exactly this tree.

  Attributes:
    step: Number of completed steps, int32.
    params: {part: tree of parameters}.
    ema: Averages of the parameters of players, {name: {player: tree}}.
    stats: Other variables of the model, {'batch_stats': {part: tree}, ...}.
    opt: Optimizer states, {player: tree}.
    guard: State of the guard against harmful updates, {player: {name: scalar}}.
    rng: Key of the run. It never changes; a step folds its number into it.
  """

  step: Array
  params: Params
  ema: dict[str, Params]
  stats: dict[str, Params]
  opt: dict[str, optax.OptState]
  guard: dict[str, dict[str, Array]]
  rng: Array

  def variables(self, average: str = 'params') -> dict[str, Any]:
    """Returns the variables for `model.apply`.

    Args:
      average: Name of the average of the parameters to use, or 'params'.
    """
    own = {} if average == 'params' else self.ema[average]
    return {'params': {**self.params, **own}, **self.stats}


def of_part(variables: Mapping[str, Any], part: str) -> dict[str, Any]:
  """Returns the variables of one part of a model, to apply its network alone.

  Args:
    variables: Variables from `TrainState.variables`.
    part: Name of the part, such as 'generator'.
  """
  return {kind: tree[part] for kind, tree in variables.items() if part in tree}


def create(
  model: VideoModel,
  optimizers: Mapping[str, optax.GradientTransformation],
  averages: tuple[str, ...],
  batch: Batch,
  seed: int,
) -> TrainState:
  """Returns the state before the first step.

  Args:
    model: Model to initialize.
    optimizers: {player: optimizer}.
    averages: Names of the averages of the parameters.
    batch: Batch of which only shapes and dtypes are used.
    seed: Seed of the parameters and of the key of the run.
  """
  init_rng, noise_rng, run_rng = jax.random.split(random.of_seed(seed), 3)
  if 'video' in batch:
    video = jnp.zeros(batch['video'].shape, jnp.float32)
    batch = {**batch, 'video': video}
  rngs = {'params': init_rng, 'noise': noise_rng}
  variables = dict(model.init(rngs, batch))
  params = variables.pop('params')
  # Players without parameters still have an entry.
  params = {player: {} for player in model.players} | params
  own = {player: params[player] for player in model.players}
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    ema={name: jax.tree.map(jnp.copy, own) for name in averages},
    stats=variables,
    opt={player: optimizers[player].init(own[player]) for player in own},
    guard={player: _initial_guard() for player in own},
    rng=run_rng,
  )


def _initial_guard() -> dict[str, Array]:
  """Returns the initial state of the guard of one player.

  The state holds the average gradient norm (0 before the first update), the
  number of updates skipped in a row, and the number of updates skipped in the
  whole run.
  """
  return {
    'norm': jnp.zeros((), jnp.float32),
    'streak': jnp.zeros((), jnp.int32),
    'skipped': jnp.zeros((), jnp.int32),
  }
