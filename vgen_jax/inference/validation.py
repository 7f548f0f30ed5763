"""Losses of a state on clips that were not trained on."""

import collections
from collections.abc import Callable

import jax
from jax.sharding import Mesh
import numpy as np

from vgen_jax.config import settings as settings_lib
from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.data import pipeline
from vgen_jax.families.base import VideoModel
from vgen_jax.nn import batch_sharding
from vgen_jax.training import step as step_lib
from vgen_jax.training.state import TrainState

# (state, batch, position_b, key) -> {'<player>/<name>': value}
Losses = Callable[[TrainState, Batch, np.ndarray, Array], dict[str, Array]]


def make_losses(model: VideoModel, average: str, mesh: Mesh) -> Losses:
  """Returns a jitted function that computes the losses of all players.

  Args:
    model: Model with its networks.
    average: Name of the average of the parameters to use, or 'params'.
    mesh: Mesh of the state.
  """

  def losses(
    state: TrainState, batch: Batch, position_b: Array, key: Array
  ) -> dict[str, Array]:
    values = {}
    batch = {**step_lib.prepare(batch, state.step), 'position': position_b}
    for player in model.players:
      loss, terms = model.apply(
        state.variables(average),
        batch,
        player=player,
        train=False,
        method='loss',
        rngs={'noise': key},
      )
      terms = {**terms, 'loss': loss}
      values |= {f'{player}/{name}': x for name, x in terms.items()}
    return values

  return jax.jit(batch_sharding.on_mesh(mesh, losses))


def mean_losses(
  losses: Losses,
  state: TrainState,
  source: pipeline.Source,
  settings: settings_lib.Settings,
  *,
  num_clips: int,
  batch_size: int,
  seed: int,
  stop: Callable[[], bool] = lambda: False,
) -> dict[str, float]:
  """Returns the mean losses over the first clips of a source.

  Args:
    losses: Function from `make_losses`.
    state: State whose parameters are used.
    source: Source of the clips.
    settings: Settings that state what happens to unreadable clips.
    num_clips: Number of clips; all clips if the source has fewer.
    batch_size: Number of clips at a time.
    seed: Seed of the noise; the noise of a clip depends on its index.
    stop: Function that returns whether to stop; it is called before each batch
      of clips.

  Returns:
    {'<player>/<name>': mean}; {} if the validation was stopped.
  """
  read = lambda i: settings.faults.read(source.__getitem__, i, len(source))[0]
  num_clips = min(num_clips, len(source))
  sums: collections.Counter[str] = collections.Counter()
  key = random.of_seed(seed)
  for first in range(0, num_clips, batch_size):
    if stop():
      return {}
    position_b = np.arange(first, min(first + batch_size, num_clips))
    clips = [read(int(i)) for i in position_b]
    batch = {k: np.stack([clip[k] for clip in clips]) for k in clips[0]}
    for name, value in losses(state, batch, position_b, key).items():
      sums[name] += float(value) * len(clips)
  return {name: total / num_clips for name, total in sums.items()}
