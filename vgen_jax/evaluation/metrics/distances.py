"""Distances between two sets of features, with intervals and floors."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import results
from vgen_jax.evaluation.scores import frechet_finite
from vgen_jax.evaluation.scores import kernel

_MIN_CLIPS = 4  # With fewer clips there is no interval.
_WIDE = 512  # A distance of wider features takes seconds.
_SUBSETS = 100, 1000  # KID: number of subsets, and largest number of rows.
_NUM_BLOCKS = 8  # Disjoint parts for the interval of KID.


def frechet(
  name: str,
  generated: np.ndarray,
  real: np.ndarray,
  rng: np.random.Generator,
  protocol: Mapping[str, Any],
  *,
  ddof: int = 1,
  infinity: bool = False,
) -> base.Findings:
  """Returns the Frechet distance of generated to real clips.

  The status of the value is 'undefined' if there are fewer than 4 generated or
  8 real clips.

  Args:
    name: Name of the value.
    generated: Features of n generated clips, `[n, d]` or `[n, f, d]`.
    real: Features of real clips. If there are 2 n or more, generated clips are
      compared with the first n; all of them determine the floor.
    rng: Generator for random halves and subsets.
    protocol: Protocol of the features.
    ddof: 1 divides covariances by n - 1, 0 by n.
    infinity: Whether to add the value '<name>_infinity', extrapolated to
      infinitely many clips.
  """
  n, floor_size = len(generated), min(len(generated), len(real) // 2)
  if min(n, floor_size) < _MIN_CLIPS:
    return _too_few(name, n, len(real), protocol)
  reference = real[:n] if len(real) >= 2 * n else real
  seed, num_splits = int(rng.integers(2**31)), 20
  if generated.shape[-1] > _WIDE:
    num_splits = 4
  estimate = frechet_finite.estimate(
    generated, reference, ddof=ddof, num_splits=num_splits, seed=seed
  )
  floor = frechet_finite.floor(real, floor_size, ddof=ddof, seed=seed)
  low, high = base.normal_interval(estimate.value, estimate.deviation)
  full_protocol = {
    **protocol,
    'num_generated': n,
    'num_real': len(reference),
    'num_floor': floor_size,
    'covariance_ddof': ddof,
    'interval': f'half-sampling, {num_splits} splits',
  }
  findings = base.Findings()
  findings.values[name] = results.Value(
    estimate.value,
    interval=(max(0.0, low), high),
    floor=floor.value,
    better='lower',
    note=f'Frechet distance of {n} and {len(reference)} clips; that of two sets'
    f' of {floor_size} real clips is {floor.value:.3g}.',
    protocol=full_protocol,
  )
  if infinity:
    limit = None  # A quarter of the clips must be enough for a covariance.
    if min(n, len(reference)) >= 4 * _MIN_CLIPS:
      limit = frechet_finite.at_infinity(
        generated, reference, ddof=ddof, seed=seed
      )
    findings.values[f'{name}_infinity'] = results.Value(
      limit,
      floor=0.0,
      better='lower',
      note='Extrapolated by a line in 1 / n through distances of subsets; it'
      f' needs {4 * _MIN_CLIPS} clips or more.',
      protocol=full_protocol | {'interval': None, 'extrapolated': 'in 1 / n'},
    )
  return findings


def kid(
  name: str,
  generated: np.ndarray,
  real: np.ndarray,
  rng: np.random.Generator,
  protocol: Mapping[str, Any],
) -> base.Findings:
  """Returns the kernel inception distance of generated to real clips.

  The status of the value is 'undefined' if there are fewer than 16 generated or
  32 real clips.

  Args:
    name: As in `frechet`.
    generated: As in `frechet`.
    real: As in `frechet`.
    rng: Generator for random subsets and blocks.
    protocol: As in `frechet`.
  """
  n, half = len(generated), min(len(generated), len(real) // 2)
  if min(n, half) < 2 * _NUM_BLOCKS:
    return _too_few(name, n, len(real), protocol)
  reference = real[:n] if len(real) >= 2 * n else real
  rows = lambda x: x.reshape(-1, x.shape[-1])
  one, two = rows(generated), rows(reference)
  num_subsets, size = _SUBSETS
  size = min(size, len(one), len(two))
  seed = int(rng.integers(2**31))
  estimate = kernel.distance(
    one, two, num_subsets=num_subsets, subset_size=size, seed=seed
  )
  # Blocks of whole clips, because frames of one clip are similar.
  blocks = [
    np.array_split(x[rng.permutation(len(x))], _NUM_BLOCKS)
    for x in (generated, reference)
  ]
  values = [kernel.mmd(rows(a), rows(b)) for a, b in zip(*blocks, strict=True)]
  error = float(np.std(values, ddof=1) / np.sqrt(_NUM_BLOCKS))
  value = results.Value(
    estimate.value,
    interval=base.normal_interval(estimate.value, error),
    floor=kernel.mmd(rows(real[:half]), rows(real[half : 2 * half])),
    better='lower',
    note='Unbiased, so that it can be below 0.',
    protocol={
      **protocol,
      'num_generated': n,
      'num_real': len(reference),
      'kernel': '(x y / d + 1)^3',
      'subsets': [estimate.num_parts, estimate.part_size],
      'interval': f'{_NUM_BLOCKS} disjoint blocks',
    },
  )
  return base.Findings({name: value})


def _too_few(
  name: str, num_generated: int, num_real: int, protocol: Mapping[str, Any]
) -> base.Findings:
  value = results.Value(
    None,
    better='lower',
    status='undefined',
    note=f'{num_generated} generated and {num_real} real clips are too few for'
    ' an interval.',
    protocol=dict(protocol),
  )
  return base.Findings({name: value})
