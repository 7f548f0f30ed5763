"""Tests of nn/batch_sharding.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vgen_jax.config import sections
from vgen_jax.nn import batch_sharding
from vgen_jax.runtime import sharding


def spec_on(mesh, shape):
  """Returns the sharding of a constrained array, or None without constraint."""
  traced = jax.jit(
    batch_sharding.on_mesh(mesh, batch_sharding.constrain)
  ).trace(jax.ShapeDtypeStruct(shape, 'float32'))
  found = [
    eqn.params['sharding'].spec
    for eqn in traced.jaxpr.eqns
    if eqn.primitive.name == 'sharding_constraint'
  ]
  return next(iter(found[0])) if found else None


@pytest.mark.parametrize(
  ('axes', 'shape', 'expected'),
  [
    ((1, 8, 1), (8, 3), ('fsdp',)),
    ((2, 4, 1), (16,), ('data', 'fsdp')),
    ((2, 1, 4), (2, 3, 3), ('data',)),
    ((2, 2, 2), (4, 3), ('data', 'fsdp')),
    ((2, 2, 2), (6, 4), None),  # Four devices do not divide six clips.
    ((1, 8, 1), (2, 8), None),
    ((1, 1, 8), (8, 8), None),  # The batch is not split.
    ((1, 1, 1), (8, 8), None),
  ],
)
def test_the_first_axis_is_split_if_it_can_be(axes, shape, expected):
  found = spec_on(sharding.make_mesh(sections.Mesh(*axes)), shape)
  assert (
    found and (found if isinstance(found, tuple) else (found,))
  ) == expected


def test_nothing_changes_without_a_mesh():
  x = jnp.arange(8.0)
  assert batch_sharding.constrain(x) is x
  assert not jax.jit(batch_sharding.constrain).trace(x).jaxpr.eqns


def test_values_and_gradients_do_not_change():
  mesh = sharding.make_mesh(sections.Mesh(2, 2, 2))
  x = jax.random.normal(jax.random.key(0), (8, 3))

  def loss(x):
    each = lambda x_d: (jnp.sin(batch_sharding.constrain(x_d)) ** 2).sum()
    return (jax.vmap(each)(x) * batch_sharding.constrain(x).sum(1)).sum()

  both = lambda x: jax.value_and_grad(loss)(x)
  plain = jax.jit(both)(x)
  constrained = jax.jit(batch_sharding.on_mesh(mesh, both))(
    jax.device_put(x, sharding.of_batch(mesh))
  )
  for a, b in zip(plain, constrained, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-6)


def test_the_mesh_is_in_scope_only_within_the_function():
  mesh = sharding.make_mesh(sections.Mesh(1, 8, 1))

  def broken(x):
    assert jax.sharding.get_abstract_mesh().size == 8
    raise KeyError

  with pytest.raises(KeyError):
    jax.eval_shape(batch_sharding.on_mesh(mesh, broken), jnp.ones(8))
  assert jax.sharding.get_abstract_mesh().empty
