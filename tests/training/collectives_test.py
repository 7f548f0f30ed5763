"""Tests of training/collectives.py."""

import jax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
import numpy as np
import pytest

from vgen_jax.config import sections
from vgen_jax.runtime import sharding
from vgen_jax.training import collectives

LINE = (
  '  %x.1 = {result} {kind}(%y), channel_id=1, {groups}, dimensions={{0}},'
  ' use_global_device_ids=true, metadata={{op_name="jit(f)/dot" id=3}}'
)


def parsed(groups, result='f32[8,3]{1,0}', kind='all-gather'):
  line = LINE.format(groups=groups, result=result, kind=kind)
  (found,) = collectives.parse(f'  %y = f32[1,3] parameter(0)\n{line}\n')
  return found


@pytest.mark.parametrize(
  ('groups', 'expected'),
  [
    ('replica_groups={{0,1},{2,3}}', ((0, 1), (2, 3))),
    ('replica_groups={}', ()),
    ('source_target_pairs={{0,1},{1,0}}', ((0, 1), (1, 0))),
    ('replica_groups=[2,4]<=[8]', ((0, 1, 2, 3), (4, 5, 6, 7))),
    (
      'replica_groups=[4,2]<=[2,4]T(1,0)',
      ((0, 4), (1, 5), (2, 6), (3, 7)),
    ),
    (
      "replica_groups=mesh['a'=2,'b'=4] {'b'}",
      ((0, 1, 2, 3), (4, 5, 6, 7)),
    ),
    (
      "replica_groups=mesh['a'=2,'b'=4] {'a'}",
      ((0, 4), (1, 5), (2, 6), (3, 7)),
    ),
    (
      "replica_groups=mesh['a'=2,'b'=2,'c'=2] {'a','c'}",
      ((0, 1, 4, 5), (2, 3, 6, 7)),
    ),
    (
      "replica_groups=mesh['a'=2,'b'=4], device_ids=([4,2]T(1,0)) {'a'}",
      ((0, 1), (2, 3), (4, 5), (6, 7)),
    ),
    (
      "replica_groups=mesh['a'=4], device_ids=(0,2,1,3) {'a':(1)2}",
      ((0, 1), (2, 3)),
    ),
    ("replica_groups=mesh['a'=8] {'a':(4)2}", ((0, 1), (2, 3), (4, 5), (6, 7))),
  ],
)
def test_groups_of_devices_are_read(groups, expected):
  assert parsed(groups).groups == expected


def test_results_kinds_and_names_are_read():
  found = parsed('replica_groups={}', '(f32[8,3]{1,0}, s32[])', 'all-to-all')
  assert found.kind == 'all-to-all'
  assert found.shapes == ((8, 3), ())
  assert found.op_name == 'jit(f)/dot'
  started = parsed(
    'replica_groups={}', '(f32[1,3], f32[8,3])', 'all-gather-start'
  )
  assert started.kind == 'all-gather'
  assert started.shapes == ((8, 3),)
  both = parsed('replica_groups={}', '(f32[4], f32[5])', 'all-reduce-start')
  assert both.shapes == ((4,), (5,))
  with pytest.raises(ValueError, match='No groups of devices can be read'):
    parsed('replica_groups=new')


def test_axes_that_a_collective_crosses():
  crosses = lambda groups, *axes: parsed(groups).crosses((2, 4), axes)
  rows = 'replica_groups={{0,1,2,3},{4,5,6,7}}'
  columns = 'replica_groups={{0,4},{1,5},{2,6},{3,7}}'
  assert crosses(rows, 1)
  assert not crosses(rows, 0)
  assert crosses(columns, 0)
  assert not crosses(columns, 1)
  assert crosses(columns, 0, 1)
  assert crosses('replica_groups={}', 0)
  assert crosses('replica_groups={}', 1)
  assert not crosses('source_target_pairs={{0,0},{5,5}}', 0, 1)


@pytest.mark.parametrize(
  ('axis', 'place'), [('fsdp', 0), ('fsdp', 1), ('tensor', 0)]
)
def test_collectives_of_a_real_program(axis, place):
  """A sum over a split axis is one all-reduce over that mesh axis."""
  mesh = sharding.make_mesh(sections.Mesh(2, 2, 2))
  spec = [None, None]
  spec[place] = axis
  x = jax.device_put(np.ones((4, 4)), NamedSharding(mesh, P(*spec)))
  total = jax.jit(
    lambda x: x.sum(place), out_shardings=NamedSharding(mesh, P())
  )
  found = collectives.parse(total.lower(x).compile().as_text())
  assert collectives.count(found) == {'all-reduce': 1}
  assert found[0].shapes == ((4,),)
  crossed = [found[0].crosses((2, 2, 2), (i,)) for i in range(3)]
  assert crossed == [name == axis for name in ('data', 'fsdp', 'tensor')]
