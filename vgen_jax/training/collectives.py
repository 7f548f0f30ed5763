"""The collectives of a compiled program: what devices send to each other."""

import collections
from collections.abc import Sequence
import dataclasses
import re

import numpy as np

_KINDS = (
  'all-gather',
  'all-reduce',
  'reduce-scatter',
  'all-to-all',
  'ragged-all-to-all',
  'collective-permute',
  'collective-broadcast',
)
_INSTRUCTION = re.compile(rf' = (.+?) ({"|".join(_KINDS)})(-start)?\(')
_ARRAY = re.compile(r'\b[a-z]\w*\[([\d,]*)\]')
_LISTED = re.compile(
  r'(?:replica_groups|source_target_pairs)=\{(\{[\d,{}]*\})\}'
)
_IOTA = re.compile(
  r'replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?'
)
_MESH = re.compile(
  r'replica_groups=mesh\[([^\]]*)\](?:, device_ids=\(([^{]*)\))? *\{([^}]*)\}'
)
_AXIS = re.compile(r"'(\w+)'(?::\((\d+)\)(\d+))?")


@dataclasses.dataclass(frozen=True)
class Collective:
  """One collective of a program.

  Attributes:
    kind: Name of the operation in HLO, such as 'all-gather'.
    shapes: Shapes of the arrays of the result, on each device.
    groups: Devices that send to each other, by their positions in the mesh;
      one group of all devices is ().
    op_name: Name of the JAX operation that caused the collective; '' if it is
      not known.
  """

  kind: str
  shapes: tuple[tuple[int, ...], ...]
  groups: tuple[tuple[int, ...], ...]
  op_name: str

  def crosses(self, mesh_shape: Sequence[int], axes: Sequence[int]) -> bool:
    """Returns whether data is exchanged along at least one of some mesh axes.

    Args:
      mesh_shape: Number of devices along each axis of the mesh.
      axes: Indices of the axes to check.
    """
    count = int(np.prod(mesh_shape))
    coordinates = np.unravel_index(np.arange(count), mesh_shape)
    index = np.stack([coordinates[axis] for axis in axes])
    groups = self.groups or (tuple(range(count)),)
    return any(
      len(np.unique(index[:, list(group)], axis=1).T) > 1 for group in groups
    )


def parse(hlo: str) -> list[Collective]:
  """Returns the collectives of a compiled program, in the order of its text.

  A collective in the body of a loop is listed once.

  Args:
    hlo: Text of the program, `compiled.as_text()`.

  Raises:
    ValueError: If the devices of a collective cannot be read.
  """
  found = []
  for line in hlo.splitlines():
    if match := _INSTRUCTION.search(line):
      result, kind, start = match.groups()
      shapes = tuple(
        tuple(int(n) for n in text.split(',') if n)
        for text in _ARRAY.findall(result)
      )
      if start and kind != 'all-reduce':  # Its result has the operands as well.
        shapes = shapes[len(shapes) // 2 :]
      name = re.search(r'op_name="([^"]*)"', line)
      found.append(
        Collective(kind, shapes, _groups(line), name.group(1) if name else '')
      )
  return found


def count(found: Sequence[Collective]) -> dict[str, int]:
  """Returns the number of collectives of each kind, sorted by kind."""
  return dict(sorted(collections.Counter(c.kind for c in found).items()))


def _groups(line: str) -> tuple[tuple[int, ...], ...]:
  """Returns the groups of devices of an instruction."""
  if match := _LISTED.search(line):
    return tuple(
      tuple(map(int, group.split(',')))
      for group in re.findall(r'\{([\d,]+)\}', match.group(1))
    )
  if match := _IOTA.search(line):
    shape, sizes = (_numbers(match.group(i)) for i in (1, 2))
    ids = np.arange(np.prod(sizes)).reshape(sizes)
    if match.group(3):
      ids = ids.transpose(_numbers(match.group(3)))
    return tuple(map(tuple, ids.reshape(shape).tolist()))
  if match := _MESH.search(line):
    return _groups_of_mesh(*match.groups())
  if re.search(r'replica_groups=\{\}', line):
    return ()
  raise ValueError(f'No groups of devices can be read from: {line.strip()}')


def _groups_of_mesh(
  mesh: str, device_ids: str | None, axes: str
) -> tuple[tuple[int, ...], ...]:
  """Returns the groups of devices that axes of a mesh form.

  Args:
    mesh: Sizes of the axes, as in "'x'=4,'y'=2".
    device_ids: Order of the devices, as in '[4,2]T(1,0)' or '0,2,1,3'; None for
      ascending order.
    axes: Axes of a group, as in "'x'", or "'x':(2)2" for a part of an axis: 2
      devices of this axis, which has 2 devices before that part.
  """
  sizes = {k: int(n) for k, n in re.findall(r"'(\w+)'=(\d+)", mesh)}
  ids = np.arange(int(np.prod(list(sizes.values()))))
  if device_ids and (
    match := re.match(r'\[([\d,]+)\]T\(([\d,]+)\)', device_ids)
  ):
    shape, order = map(_numbers, match.groups())
    ids = ids.reshape(shape).transpose(order)
  elif device_ids:
    ids = np.array(_numbers(device_ids))
  split, chosen = [], []
  parts = {name: (before, n) for name, before, n in _AXIS.findall(axes)}
  for name, size in sizes.items():
    before, n = parts.get(name, ('', ''))
    if n:
      pieces = [int(before), int(n), size // int(before) // int(n)]
      chosen.append(len(split) + 1)
    else:
      pieces = [size]
      chosen += [len(split)] * (name in parts)
    split += pieces
  ids = np.moveaxis(ids.reshape(split), chosen, range(-len(chosen), 0))
  size = int(np.prod([split[i] for i in chosen]))
  return tuple(map(tuple, ids.reshape(-1, size).tolist()))


def _numbers(text: str) -> list[int]:
  return [int(n) for n in text.split(',')]
