"""Distances of two sets of features, with what it takes to believe them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import results
from vgen_jax.evaluation.scores import frechet_finite
from vgen_jax.evaluation.scores import kernel

_LEAST = 4  # Clips, below which there is no interval.
_WIDE = 512  # Numbers a row, from which a distance takes seconds.
_SUBSETS = 100, 1000  # KID: how many, and of how many rows, at most.
_NUM_BLOCKS = 8


def frechet(
  name: str,
  made: np.ndarray,
  real: np.ndarray,
  rng: np.random.Generator,
  protocol: Mapping[str, Any],
  *,
  ddof: int = 1,
  infinity: bool = False,
) -> base.Findings:
  """Returns the Frechet distance, and perhaps that of endless sets.

  Args:
    name: Of the value.
    made: Features of n clips that a model made, `[n, d]` or `[n, f, d]`.
    real: The same of real clips. Of 2 n and more, the first n are compared
      with, and all tell the floor.
    rng: For halves and subsets.
    protocol: Of the features.
    ddof: 1 divides covariances by n - 1, 0 by n.
    infinity: Whether to add what endless sets would give, '<name>_infinity'.
  """
  n, floor_size = len(made), min(len(made), len(real) // 2)
  if min(n, floor_size) < _LEAST:
    return _too_few(name, n, len(real), protocol)
  reference = real[:n] if len(real) >= 2 * n else real
  seed, num_splits = int(rng.integers(2**31)), 20
  if made.shape[-1] > _WIDE:
    num_splits = 4
  found = frechet_finite.estimate(
    made, reference, ddof=ddof, num_splits=num_splits, seed=seed
  )
  floor = frechet_finite.floor(real, floor_size, ddof=ddof, seed=seed)
  low, high = base.around(found.value, found.deviation)
  told = {
    **protocol,
    'num_generated': n,
    'num_real': len(reference),
    'num_floor': floor_size,
    'covariance_ddof': ddof,
    'interval': f'half-sampling, {num_splits} splits',
  }
  findings = base.Findings()
  findings.values[name] = results.Value(
    found.value,
    interval=(max(0.0, low), high),
    floor=floor.value,
    better='lower',
    note=f'Frechet distance of {n} and {len(reference)} clips; two sets of'
    f' {floor_size} real ones are {floor.value:.3g} apart.',
    protocol=told,
  )
  if infinity:
    limit = None  # A line needs distances of a quarter, and that a covariance.
    if min(n, len(reference)) >= 4 * _LEAST:
      limit = frechet_finite.at_infinity(made, reference, ddof=ddof, seed=seed)
    findings.values[f'{name}_infinity'] = results.Value(
      limit,
      floor=0.0,
      better='lower',
      note='A line in 1 / n through distances of subsets, read at 0; of'
      f' {4 * _LEAST} clips or more.',
      protocol=told | {'interval': None, 'extrapolated': 'in 1 / n'},
    )
  return findings


def kid(
  name: str,
  made: np.ndarray,
  real: np.ndarray,
  rng: np.random.Generator,
  protocol: Mapping[str, Any],
) -> base.Findings:
  """Returns the kernel distance; arguments as those of `frechet`."""
  n, half = len(made), min(len(made), len(real) // 2)
  if min(n, half) < 2 * _NUM_BLOCKS:
    return _too_few(name, n, len(real), protocol)
  reference = real[:n] if len(real) >= 2 * n else real
  rows = lambda x: x.reshape(-1, x.shape[-1])
  one, two = rows(made), rows(reference)
  most, size = _SUBSETS
  size = min(size, len(one), len(two))
  seed = int(rng.integers(2**31))
  found = kernel.distance(
    one, two, num_subsets=most, subset_size=size, seed=seed
  )
  # Blocks of whole clips: frames of one clip are alike.
  blocks = [
    np.array_split(x[rng.permutation(len(x))], _NUM_BLOCKS)
    for x in (made, reference)
  ]
  values = [kernel.mmd(rows(a), rows(b)) for a, b in zip(*blocks, strict=True)]
  error = float(np.std(values, ddof=1) / np.sqrt(_NUM_BLOCKS))
  value = results.Value(
    found.value,
    interval=base.around(found.value, error),
    floor=kernel.mmd(rows(real[:half]), rows(real[half : 2 * half])),
    better='lower',
    note='Unbiased, so it may be below 0.',
    protocol={
      **protocol,
      'num_generated': n,
      'num_real': len(reference),
      'kernel': '(x y / d + 1)^3',
      'subsets': [found.num_parts, found.part_size],
      'interval': f'{_NUM_BLOCKS} disjoint blocks',
    },
  )
  return base.Findings({name: value})


def _too_few(
  name: str, num_made: int, num_real: int, protocol: Mapping[str, Any]
) -> base.Findings:
  value = results.Value(
    None,
    better='lower',
    status='undefined',
    note=f'{num_made} clips against {num_real} are too few for a distance with'
    ' an interval.',
    protocol=dict(protocol),
  )
  return base.Findings({name: value})
