"""Finds the conditions that have no effect on a trained model."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from vgen_jax.families.base import VideoModel
from vgen_jax.inference import sampling
from vgen_jax.inference import validation
from vgen_jax.training import setup as setup_lib


def changed(values: np.ndarray, high: int | None) -> np.ndarray:
  """Returns other values of a condition, of the same shape and dtype."""
  if high is not None:  # Classes or tokens.
    return (values + 1) % high
  if values.dtype == bool:
    return ~values
  if np.issubdtype(values.dtype, np.integer):
    return np.where(values > 0, 0, 1).astype(values.dtype)
  return values[::-1] * 0.5 + 0.25


def find(
  model: VideoModel,
  state: Any,
  batch: Mapping[str, np.ndarray],
  sample: sampling.Sampler,
  num_classes: int,
  mesh: jax.sharding.Mesh,
) -> list[str]:
  """Returns the declared conditions that change neither losses nor clips.

  Args:
    model: Family with its networks.
    state: State after some steps of training.
    batch: Clips of the data, with all conditions.
    sample: Sampler of the model.
    num_classes: Number of classes of the data.
    mesh: Mesh of the state.
  """
  losses = validation.make_losses(model, 'params', mesh)
  position_b = np.arange(len(batch['video']))
  key = jax.random.key(0)
  of = lambda batch: jax.device_get(losses(state, batch, position_b, key))
  before = of(batch)
  unused = []
  for name in model.condition_keys:
    if name not in batch or name.startswith('known'):
      continue
    high = num_classes if name == 'label' else None
    other = {**batch, name: changed(batch[name], high)}
    if any(x != before[loss] for loss, x in of(other).items()):
      continue
    condition = {k: batch[k] for k in model.condition_keys if k in batch}
    key_b = sampling.clip_keys(0, len(position_b))
    clips = [
      np.asarray(sample(state, key_b, {**condition, name: x}))
      for x in (batch[name], other[name])
    ]
    if (clips[0] == clips[1]).all():
      unused.append(name)
  return unused


def of_setup(setup: setup_lib.Setup, state: Any, num_clips: int) -> list[str]:
  """Returns the conditions of a run that have no effect after its training."""
  clips = [setup.source[i] for i in range(num_clips)]
  batch = {key: np.stack([clip[key] for clip in clips]) for key in clips[0]}
  sample = sampling.make_sampler(setup.model, 'params', setup.mesh)
  num_classes, mesh = setup.schema.num_classes, setup.mesh
  return find(setup.model, state, batch, sample, num_classes, mesh)
