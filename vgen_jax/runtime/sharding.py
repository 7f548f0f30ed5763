"""Sharding of batches and states over a mesh of devices."""

from collections.abc import Mapping
import re
import sys
from typing import Any

import flax.linen as nn
import jax
from jax.sharding import AxisType
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
import numpy as np

from vgen_jax.config import sections
from vgen_jax.families.base import VideoModel
from vgen_jax.nn import batch_sharding

# (regex of a path in the parameters, mesh axes of the array's last dimensions)
Rules = tuple[tuple[str, tuple[str | None, ...]], ...]

# Smaller arrays are copied to all devices: sharding them saves no memory.
_MIN_SIZE_TO_SHARD = 2**16


def make_mesh(axes: sections.Mesh) -> Mesh:
  """Returns the mesh of devices with axes 'data', 'fsdp' and 'tensor'.

  The axes are of type Auto: the compiler chooses the sharding of activations,
  within the constraints of networks (nn/batch_sharding.py).
  On one host, the mesh may have fewer devices than the host.

  Args:
    axes: Number of devices along each axis; one may be -1, for all devices that
      the other axes leave.

  Raises:
    ValueError: If the sizes do not fit the number of devices.
  """
  sizes = {'data': axes.data, 'fsdp': axes.fsdp, 'tensor': axes.tensor}
  given = int(np.prod([n for n in sizes.values() if n > 0]))
  count = jax.device_count()
  open_axes = [name for name, n in sizes.items() if n == -1]
  if len(open_axes) > 1 or any(n < 1 and n != -1 for n in sizes.values()):
    raise ValueError(
      f'config.mesh is {sizes}; each size must be 1 or more, and one may be -1.'
    )
  if open_axes and count % given == 0:
    sizes[open_axes[0]] = count // given
  elif open_axes:
    raise ValueError(
      f'config.mesh is {sizes}, but there are {count} devices; the product of'
      f' the sizes other than -1, {given}, must divide that number. Change'
      ' these sizes.'
    )
  elif given > count or (given < count and _has_many_processes()):
    raise ValueError(
      f'config.mesh is {sizes}, but there are {count} devices; the product of'
      ' the sizes must be that number. Set one size to -1 to use all devices.'
    )
  used = int(np.prod(list(sizes.values())))
  return jax.make_mesh(
    tuple(sizes.values()),
    tuple(sizes),
    (AxisType.Auto,) * 3,
    devices=None if used == count else jax.devices()[:used],
  )


def of_batch(mesh: Mesh) -> NamedSharding:
  """Returns the sharding of a batch over the mesh axes 'data' and 'fsdp'."""
  return NamedSharding(mesh, P(batch_sharding.AXES))


def num_batch_shards(mesh: Mesh) -> int:
  """Returns the number of shards into which `of_batch` splits a batch."""
  return int(np.prod([mesh.shape[axis] for axis in batch_sharding.AXES]))


def of_state(mesh: Mesh, state: Any, rules: Rules = ()) -> Any:
  """Returns the shardings of a state, a tree like `state`.

  The first rule whose regex matches the path of an array, such as
  'opt/denoiser/mu/...', splits its last dimensions over 'tensor' (Shoeybi et
  al., "Megatron-LM", 2019, https://arxiv.org/abs/1909.08053). Then the longest
  remaining dimension that is a multiple of the size of 'fsdp' is split over it
  (Zhao et al., "PyTorch FSDP", 2023, https://arxiv.org/abs/2304.11277); the
  compiler gathers parameters where a step needs them. A dimension that is not a
  multiple of the size of an axis is not split over it.

  Args:
    mesh: Mesh from `make_mesh`.
    state: Tree of arrays or of their shapes.
    rules: Rules of tensor parallelism, from `rules_of`.
  """

  def of_array(path: Any, x: Any) -> NamedSharding:
    spec: list[str | None] = [None] * x.ndim
    if mesh.shape['tensor'] > 1:
      spec = _tensor_spec(path_name(path), x.shape, rules, mesh)
    free = [
      i
      for i, n in enumerate(x.shape)
      if spec[i] is None and n % mesh.shape['fsdp'] == 0
    ]
    if free and mesh.shape['fsdp'] > 1 and x.size >= _MIN_SIZE_TO_SHARD:
      spec[max(free, key=lambda i: x.shape[i])] = 'fsdp'
    return NamedSharding(mesh, P(*spec))

  return jax.tree_util.tree_map_with_path(of_array, state)


def rules_of(model: VideoModel) -> Rules:
  """Returns the `TENSOR_RULES` in the modules of the networks of a model."""
  rules: Rules = ()
  for value in _networks(model):
    module = sys.modules[type(value).__module__]
    rules += tuple(getattr(module, 'TENSOR_RULES', ()))
  return tuple(dict.fromkeys(rules))


def path_name(path: Any) -> str:
  """Returns the text of a path in a tree, such as 'params/denoiser/kernel'."""
  return jax.tree_util.keystr(path, simple=True, separator='/')


def _tensor_spec(
  name: str, shape: tuple[int, ...], rules: Rules, mesh: Mesh
) -> list[str | None]:
  spec: list[str | None] = [None] * len(shape)
  for pattern, axes in rules:
    if re.search(pattern, name) and len(axes) <= len(shape):
      offset = len(shape) - len(axes)
      for i, axis in enumerate(axes, start=offset):
        if axis and shape[i] % mesh.shape[axis] == 0:
          spec[i] = axis
      break
  return spec


def _networks(model: VideoModel) -> list[nn.Module]:
  """Returns the networks of a family and of families in its fields."""
  found = []
  for name in model.__dataclass_fields__:
    value = getattr(model, name, None)
    values = value.values() if isinstance(value, Mapping) else [value]
    if name != 'parent':
      for value in values:
        if isinstance(value, VideoModel):
          found += _networks(value)
        elif isinstance(value, nn.Module):
          found.append(value)
  return found


def _has_many_processes() -> bool:
  return jax.process_count() > 1
