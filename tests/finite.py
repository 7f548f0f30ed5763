"""Comparisons of arrays that fail on numbers that are not finite.

NumPy's and chex's comparisons treat NaN as equal to NaN, so a network whose
outputs are all NaN would pass them. `check_comparisons` replaces those of
NumPy, which chex uses as well; the fixture `compares_finite` of conftest.py
does this for a test or a file.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_COMPARISONS = ('assert_allclose', 'assert_array_equal')


def assert_finite(*trees: Any) -> None:
  """Fails if an array of floating-point numbers has NaN or an infinity."""
  for path, x in jax.tree_util.tree_leaves_with_path(trees):
    dtype = x.dtype if hasattr(x, 'dtype') else np.asarray(x).dtype
    if jnp.issubdtype(dtype, jnp.inexact):
      count = int(np.sum(~np.isfinite(np.asarray(x, np.complex128))))
      where = jax.tree_util.keystr(path)
      assert not count, f'{count} of {np.size(x)} numbers not finite at {where}'


def check_comparisons(monkeypatch) -> None:
  """Makes NumPy's comparisons fail if one of the arrays is not finite."""

  def strict(compare: Callable) -> Callable:
    @functools.wraps(compare)
    def compare_finite(actual, desired, *args, **kwargs):
      assert_finite(actual, desired)
      compare(actual, desired, *args, **kwargs)

    return compare_finite

  for name in _COMPARISONS:
    monkeypatch.setattr(np.testing, name, strict(getattr(np.testing, name)))
