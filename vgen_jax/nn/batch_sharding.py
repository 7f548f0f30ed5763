"""A constraint that keeps activations split along the batch."""

from collections.abc import Callable
import functools
import math
from typing import Any, TypeVar

import jax
from jax import lax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from vgen_jax.core.types import Array

# Mesh axes over which the clips of a batch are split.
AXES = ('data', 'fsdp')

_Function = TypeVar('_Function', bound=Callable[..., Any])


def on_mesh(mesh: Mesh, function: _Function) -> _Function:
  """Returns a version of a function in which `constrain` uses a mesh.

  The result must be called under `jax.jit` or `jax.eval_shape`.

  Args:
    mesh: Mesh of devices, from `runtime.sharding.make_mesh`.
    function: Function of arrays.
  """

  @functools.wraps(function)
  def wrapped(*args, **kwargs):
    with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
      return function(*args, **kwargs)

  return wrapped


def constrain(x_b: Array) -> Array:
  """Returns the array, split among devices along its first axis.

  Parameters and batches are both split over the mesh axis 'fsdp'. Without a
  constraint, the compiler may therefore split the features of activations over
  it instead of gathering parameters. It then sends activations of the whole
  batch between devices. Networks constrain the inputs and outputs of their
  blocks, attention and convolutions, and embeddings of conditions. Other axes
  of the array are left to the compiler, which may split them over 'tensor'.

  Values do not change. The array is returned as it is outside of `on_mesh`, on
  one device, and if the size of the first axis is not a multiple of the number
  of devices along `AXES`.

  Args:
    x_b: Array whose first axis is the batch, or the batch merged with axes that
      followed it.
  """
  axes, sizes = _axes(), jax.sharding.get_abstract_mesh().shape
  if not axes or len(x_b) % math.prod(sizes[axis] for axis in axes):
    return x_b
  others = (P.UNCONSTRAINED,) * (jnp.ndim(x_b) - 1)
  return lax.with_sharding_constraint(x_b, P(axes, *others))


def gather(x: Array) -> Array:
  """Returns a parameter, which each device gathers before its next use.

  Use it for tables that are split over features: rows that are looked up in
  them would be split over features, too. Like `constrain`, it does nothing
  without a mesh, or if the batch is not split.

  Args:
    x: Parameter.
  """
  if not _axes():
    return x
  return lax.with_sharding_constraint(x, P(*(None,) * jnp.ndim(x)))


def _axes() -> tuple[str, ...]:
  """Returns the axes of the mesh in scope over which a batch is split."""
  mesh = jax.sharding.get_abstract_mesh()
  return tuple(axis for axis in AXES if mesh.shape.get(axis, 1) > 1)
