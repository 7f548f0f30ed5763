"""Calls of modules and functions as one compiled program each.

Without `jax.jit`, every operation of a new shape is compiled as a program of
its own, which takes tens of milliseconds. Results are arrays of NumPy, so that
the operations of a test on them compile nothing.
"""

from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from tests import initial


def call(function: Callable, *args, **kwargs) -> Any:
  """Returns `function(*args, **kwargs)`, with arrays of NumPy.

  Arrays are arguments of the compiled program, and all other leaves are
  constants. Within another traced function, the function is only called.

  Args:
    function: Function of trees; it does not need concrete values of arrays.
    *args: Its arguments.
    **kwargs: Its keyword arguments.
  """
  return _run(_execute, lambda: function, None, args, kwargs)


def _run(run: Callable, find: Callable, key: Any, args, kwargs) -> Any:
  """Returns the result of a function; see `call`.

  Args:
    run: Function of the jitted function and its arrays.
    find: Returns the function.
    key: Functions of equal keys are equal, so that they are traced once; None
      for a function that is traced in each call.
    args: Arguments of the function.
    kwargs: Keyword arguments of the function.
  """
  leaves, treedef = jax.tree.flatten((args, kwargs))
  if any(isinstance(x, jax.core.Tracer) for x in leaves):
    return find()(*args, **kwargs)
  is_array = [isinstance(x, jax.Array | np.ndarray) for x in leaves]
  others = [
    None if given else x for x, given in zip(leaves, is_array, strict=True)
  ]

  def traced(arrays):
    arrays = iter(arrays)
    merged = [
      next(arrays) if given else x
      for x, given in zip(others, is_array, strict=True)
    ]
    args, kwargs = jax.tree.unflatten(treedef, merged)
    return find()(*args, **kwargs)

  jitted = jax.jit(traced)
  if key is not None:
    jitted = _shared((key, treedef, is_array, others), jitted)
  given = [x for x, given in zip(leaves, is_array, strict=True) if given]
  return jax.tree.map(_to_numpy, run(jitted, given))


_JITTED = {}  # Methods of modules, by everything that they depend on.
reuse = True  # False in tests that patch modules; see conftest.py.


def frozen(tree: Any) -> Any:
  """Returns a value that can be hashed; it differs for other types of leaves.

  Args:
    tree: Modules, containers and leaves.

  Raises:
    TypeError: If a leaf cannot be hashed, such as an array.
  """
  if isinstance(tree, nn.Module):
    names = (x.name for x in dataclasses.fields(tree) if x.name != 'parent')
    fields = {name: getattr(tree, name) for name in names}
    return type(tree), frozen(fields)
  if isinstance(tree, Mapping):
    return dict, tuple((k, frozen(x)) for k, x in tree.items())
  if isinstance(tree, list | tuple):
    return type(tree), tuple(map(frozen, tree))
  hash(tree)
  return type(tree), tree


def _shared(key: Any, jitted: Callable) -> Callable:
  """Returns the first jitted function of an equal key, if it may be reused."""
  if not reuse:
    return jitted
  try:
    return _JITTED.setdefault(frozen(key), jitted)
  except TypeError:  # A field or an argument cannot be hashed.
    return jitted


def once(function: Callable) -> Callable:
  """Returns `functools.cache(function)` for arguments that contain modules."""
  results = {}

  @functools.wraps(function)
  def run(*args, **kwargs):
    key = frozen((args, kwargs))
    if key not in results or not reuse:
      results[key] = function(*args, **kwargs)
    return results[key]

  return run


def _execute(jitted, arrays):
  return jitted(arrays)


def _call_method(run, module, name, args, kwargs):
  return _run(run, lambda: getattr(module, name), (name, module), args, kwargs)


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
  if isinstance(x, jax.core.Tracer | jax.ShapeDtypeStruct):
    return x
  if isinstance(x, jax.Array) and jax.dtypes.issubdtype(
    x.dtype, jax.dtypes.prng_key
  ):
    return x
  return np.asarray(x)


def init(module: nn.Module, *args, **kwargs) -> Any:
  """Returns `module.init(*args, **kwargs)`; see `call` and initial.py."""
  return _call_method(initial.evaluate, module, 'init', args, kwargs)


def shapes(module: nn.Module, *args, **kwargs) -> Any:
  """Returns the shapes of `module.init(*args, **kwargs)`; see `apply`."""
  run = lambda jitted, arrays: jitted.eval_shape(arrays)
  return _call_method(run, module, 'init', args, kwargs)


def init_with_output(module: nn.Module, *args, **kwargs) -> Any:
  """Returns `module.init_with_output(*args, **kwargs)`, compiled."""
  return _call_method(_execute, module, 'init_with_output', args, kwargs)


def apply(module: nn.Module, *args, **kwargs) -> Any:
  """Returns `module.apply(*args, **kwargs)`, compiled; see `call`.

  A call with an equal module and arrays of the same shapes uses the same
  program, except in tests that have the fixture `monkeypatch`.
  """
  return _call_method(_execute, module, 'apply', args, kwargs)


class TracedOnce:
  """A module whose `init` is traced once for all equal modules.

  The setup of a run traces the initial state, which takes most of the time of
  the setup of a small model.

  Attributes:
    module: Module; its other attributes are those of this object, too.
  """

  def __init__(self, module: nn.Module):
    self.module = module

  def __getattr__(self, name: str) -> Any:
    return getattr(self.module, name)

  def init(self, *args) -> Any:
    """Returns the variables; arguments are trees of arrays."""
    init = jax.jit(self.module.init)
    return _shared(('TracedOnce', self.module), init)(*args)
