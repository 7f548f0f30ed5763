"""Calls of modules and functions as one compiled program each.

Without `jax.jit`, every operation of a new shape is compiled as a program of
its own, which takes tens of milliseconds. Results are arrays of NumPy, so that
the operations of a test on them compile nothing.
"""

from collections.abc import Callable
import functools
from typing import Any

import flax.linen as nn
import jax
import numpy as np


def call(function: Callable, *args, **kwargs) -> Any:
  """Returns `function(*args, **kwargs)`, with arrays of NumPy.

  Arrays are arguments of the compiled program, and all other leaves are
  constants. Within another traced function, the function is only called.

  Args:
    function: Function of trees; it does not need concrete values of arrays.
    *args: Its arguments.
    **kwargs: Its keyword arguments.
  """
  leaves, treedef = jax.tree.flatten((args, kwargs))
  if any(isinstance(x, jax.core.Tracer) for x in leaves):
    return function(*args, **kwargs)
  is_array = [isinstance(x, jax.Array | np.ndarray) for x in leaves]

  def traced(arrays):
    arrays = iter(arrays)
    merged = [
      next(arrays) if given else x
      for x, given in zip(leaves, is_array, strict=True)
    ]
    args, kwargs = jax.tree.unflatten(treedef, merged)
    return function(*args, **kwargs)

  given = [x for x, given in zip(leaves, is_array, strict=True) if given]
  return jax.tree.map(_to_numpy, jax.jit(traced)(given))


def jit(function: Callable, **kwargs) -> Callable:
  """Returns `jax.jit(function, **kwargs)` whose results are arrays of NumPy.

  For functions that a test calls several times.
  """
  jitted = jax.jit(function, **kwargs)

  @functools.wraps(function)
  def run(*args, **kwargs):
    return jax.tree.map(_to_numpy, jitted(*args, **kwargs))

  return run


def _to_numpy(x):
  """Returns an array of NumPy; traced arrays and keys stay as they are."""
  if isinstance(x, jax.core.Tracer):
    return x
  if isinstance(x, jax.Array) and jax.dtypes.issubdtype(
    x.dtype, jax.dtypes.prng_key
  ):
    return x
  return np.asarray(x)


def init(module: nn.Module, *args, **kwargs) -> Any:
  """Returns `module.init(*args, **kwargs)`, compiled; see `call`."""
  return call(module.init, *args, **kwargs)


def init_with_output(module: nn.Module, *args, **kwargs) -> Any:
  """Returns `module.init_with_output(*args, **kwargs)`, compiled."""
  return call(module.init_with_output, *args, **kwargs)


def apply(module: nn.Module, *args, **kwargs) -> Any:
  """Returns `module.apply(*args, **kwargs)`, compiled; see `call`."""
  return call(module.apply, *args, **kwargs)
