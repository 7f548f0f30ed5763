"""Where arrays live on a mesh of one device or of a pod."""

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

from vgen_jax.config import settings as settings_lib
from vgen_jax.families.base import VideoModel

# (regex of a path in the parameters, mesh axes of the array's last dimensions)
Rules = tuple[tuple[str, tuple[str | None, ...]], ...]

# Smaller arrays are copied to all devices: cutting them saves no memory.
_MIN_SIZE_TO_CUT = 2**16
_BATCH = ('data', 'fsdp')


def make_mesh(axes: settings_lib.Mesh) -> Mesh:
  """Returns the devices in a grid of axes 'data', 'fsdp' and 'tensor'.

  The axes are Auto: the compiler alone decides how activations are laid out.
  On one host, the grid may leave devices out.

  Raises:
    ValueError: If the devices do not fill the grid.
  """
  sizes = {'data': axes.data, 'fsdp': axes.fsdp, 'tensor': axes.tensor}
  given = int(np.prod([n for n in sizes.values() if n > 0]))
  count = jax.device_count()
  open_axes = [name for name, n in sizes.items() if n == -1]
  if len(open_axes) > 1 or any(n < 1 and n != -1 for n in sizes.values()):
    raise ValueError(
      f'config.mesh is {sizes}; sizes are 1 or more, and one may be -1.'
    )
  if open_axes and count % given == 0:
    sizes[open_axes[0]] = count // given
  elif open_axes or given > count or (given < count and _many_hosts()):
    raise ValueError(
      f'config.mesh is {sizes}, but there are {count} devices; the sizes must'
      ' multiply to that, or leave one at -1.'
    )
  used = int(np.prod(list(sizes.values())))
  return jax.make_mesh(
    tuple(sizes.values()),
    tuple(sizes),
    (AxisType.Auto,) * 3,
    devices=None if used == count else jax.devices()[:used],
  )


def of_batch(mesh: Mesh) -> NamedSharding:
  """Cuts the batch axis over 'data' and 'fsdp': each group has its clips."""
  return NamedSharding(mesh, P(_BATCH))


def num_batch_shards(mesh: Mesh) -> int:
  """Number of pieces that `of_batch` cuts a batch into."""
  return int(np.prod([mesh.shape[axis] for axis in _BATCH]))


def of_state(mesh: Mesh, state: Any, rules: Rules = ()) -> Any:
  """Returns a tree of shardings, like `state`.

  The first rule whose regex is found in an array's path ('opt/denoiser/mu/...')
  cuts its last dimensions over 'tensor' (Shoeybi et al., "Megatron-LM", 2019,
  https://arxiv.org/abs/1909.08053). Then the longest dimension that is left and
  that the devices divide is cut over 'fsdp' (Zhao et al., "PyTorch FSDP", 2023,
  https://arxiv.org/abs/2304.11277); the compiler gathers parameters where a
  step needs them. An axis that does not divide a dimension does not cut it.

  Args:
    mesh: From make_mesh.
    state: Tree of arrays, or of their shapes.
    rules: From `rules_of`.
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
    if free and mesh.shape['fsdp'] > 1 and x.size >= _MIN_SIZE_TO_CUT:
      spec[max(free, key=lambda i: x.shape[i])] = 'fsdp'
    return NamedSharding(mesh, P(*spec))

  return jax.tree_util.tree_map_with_path(of_array, state)


def rules_of(model: VideoModel) -> Rules:
  """Returns the `TENSOR_RULES` that stand beside the networks of a model."""
  rules: Rules = ()
  for value in _fields(model):
    module = sys.modules[type(value).__module__]
    rules += tuple(getattr(module, 'TENSOR_RULES', ()))
  return tuple(dict.fromkeys(rules))


def path_name(path: Any) -> str:
  """Returns 'params/denoiser/kernel' for a path in a tree."""
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


def _fields(model: VideoModel) -> list[nn.Module]:
  """The networks among a family's fields, and those of a family within it."""
  found = []
  for name in model.__dataclass_fields__:
    value = getattr(model, name, None)
    values = value.values() if isinstance(value, Mapping) else [value]
    if name != 'parent':
      for value in values:
        if isinstance(value, VideoModel):
          found += _fields(value)
        elif isinstance(value, nn.Module):
          found.append(value)
  return found


def _many_hosts() -> bool:
  return jax.process_count() > 1
