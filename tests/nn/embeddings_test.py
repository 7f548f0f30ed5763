"""Tests of nn/embeddings.py."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.nn import embeddings

pytestmark = pytest.mark.usefixtures('compares_finite')


def logits(encode) -> jax.Array:
  """Returns products of one query and one key at all pairs of positions."""
  query, key = arrays.normal((2, 8))
  query_ne, key_me = encode(query), encode(key)
  return query_ne @ key_me.T


def rotary(x_e):
  angle_np = embeddings.rotary_grid((6,), 8)
  x_bnae = jnp.broadcast_to(x_e, (1, 6, 1, 8))
  return embeddings.rotate(x_bnae, angle_np)[0, :, 0]


def absolute(x_e):
  return x_e[None] + embeddings.sincos_grid((6,), 8)


def depends_on_distance_only(encode) -> bool:
  logits_nm = compiled.call(logits, encode)
  assert not np.allclose(logits_nm[0, 0], logits_nm[0, 1], atol=1e-3)
  return np.allclose(logits_nm[1:, 1:], logits_nm[:-1, :-1], atol=1e-4)


def test_rotary_logits_depend_only_on_the_distance():
  assert depends_on_distance_only(rotary)
  assert not depends_on_distance_only(absolute)


def test_rotary_angles_differ_between_axes():
  """A step along each axis of a grid rotates different pairs."""
  angle = compiled.call(embeddings.rotary_grid, (2, 3, 4), 16)
  angle = angle.reshape(2, 3, 4, 8)
  moved = [angle[1, 0, 0], angle[0, 1, 0], angle[0, 0, 1]]
  turned = np.stack(moved) != 0
  assert turned.sum(0).tolist() == [1] * 8
  assert turned.sum(1).tolist() == [4, 2, 2]
  chex.assert_trees_all_close(
    angle[1, 2, 3],
    sum(n * step for n, step in zip((1, 2, 3), moved, strict=True)),
  )


def test_rotation_keeps_norms():
  x = arrays.normal((2, 6, 3, 8))
  turned = compiled.call(
    lambda x: embeddings.rotate(x, embeddings.rotary_grid((6,), 8)), x
  )
  chex.assert_trees_all_close((turned**2).sum(-1), (x**2).sum(-1), rtol=1e-5)


def test_sincos_differs_between_all_cells_of_a_grid():
  cells = compiled.call(embeddings.sincos_grid, (3, 4, 5), 32)
  distance = np.abs(cells[:, None] - cells[None]).max(-1)
  assert cells.shape == (60, 32)
  assert (distance + np.eye(60)).min() > 0.1
  row = compiled.call(embeddings.sincos_grid, (4, 5), 32).reshape(4, 5, 32)
  chex.assert_trees_all_equal(row[:, 0, :16], row[:, 3, :16])


def test_invalid_widths_raise():
  with pytest.raises(ValueError, match=r'width is 5; .* even width'):
    embeddings.sincos(jnp.arange(3), 5)
  with pytest.raises(ValueError, match='for 3 axes it must be even'):
    embeddings.rotary_grid((2, 2, 2), 4)


def test_embeddings_of_times_in_0_to_1_differ():
  layer = embeddings.TimeAndLabel(16)
  time_b = np.linspace(0, 1, 33, dtype=np.float32)
  out, _ = compiled.init_with_output(layer, jax.random.key(0), time_b, {})
  distance = np.abs(out[:, None] - out[None]).max(-1)
  assert (distance + np.eye(33)).min() > 0.01


def test_tables_have_one_row_for_each_class_and_one_for_no_label():
  layer = embeddings.TimeAndLabel(8, num_classes=5)
  condition = {'label': np.array([0, 5])}
  time_b = np.zeros(2, np.float32)

  def both(time_b):
    out, params = layer.init_with_output(jax.random.key(0), time_b, condition)
    return params, out, layer.apply(params, time_b, {})

  params, out, free = compiled.call(both, time_b)
  assert params['params']['label']['embedding'].shape == (6, 8)
  chex.assert_trees_all_equal(out[1], free[1])
  assert np.abs(out[0] - free[0]).max() > 1e-3
