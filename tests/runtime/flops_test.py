"""Tests of runtime/flops.py against operations counted by hand."""

import types

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P
import pytest

from vgen_jax.runtime import flops

_X = jax.ShapeDtypeStruct((4, 8), jnp.float32)
_W = jax.ShapeDtypeStruct((8, 8), jnp.float32)
_STACK = jax.ShapeDtypeStruct((6, 8, 8), jnp.float32)
_ONE = 2 * 4 * 8 * 8


def _layers(x, stack):
  layer = lambda x, w: (jnp.tanh(x @ w), None)
  return jax.lax.scan(layer, x, stack)[0]


def _conv(lhs_dilation=(1, 1), strides=(1, 1), padding='SAME', groups=1):
  return lambda x, w: jax.lax.conv_general_dilated(
    x,
    w,
    strides,
    padding,
    lhs_dilation=lhs_dilation,
    feature_group_count=groups,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )


def _image(*shape):
  return jax.ShapeDtypeStruct(shape, jnp.float32)


def _gradients(function):
  loss = lambda *args: jnp.sum(function(*args) ** 2)
  return jax.grad(loss, argnums=(0, 1))


def test_matrix_products():
  assert flops.count(jnp.matmul, _X, _W) == _ONE
  batched = lambda a, b: jnp.einsum('bij,bjk->bik', a, b)
  assert flops.count(batched, _image(3, 4, 8), _image(3, 8, 8)) == 3 * _ONE
  assert flops.count(jnp.add, _X, _X) == 0


def test_the_body_of_a_scan_counts_as_often_as_it_runs():
  unrolled = lambda x, stack: [x := jnp.tanh(x @ w) for w in stack][-1]
  assert flops.count(_layers, _X, _STACK) == 6 * _ONE
  assert flops.count(unrolled, _X, _STACK) == 6 * _ONE
  # The compiler's count, which this replaces, has one layer only.
  analysis = jax.jit(_layers).lower(_X, _STACK).compile().cost_analysis()
  assert analysis['flops'] < 3 * _ONE


def test_gradients_cost_twice_the_function_and_remat_once_more():
  assert flops.count(_gradients(_layers), _X, _STACK) == 3 * 6 * _ONE

  def remat(x, stack):
    layer = jax.checkpoint(lambda x, w: jnp.tanh(x @ w))
    return jax.lax.scan(lambda x, w: (layer(x, w), None), x, stack)[0]

  assert flops.count(_gradients(remat), _X, _STACK) == 4 * 6 * _ONE


def test_convolutions():
  image, kernel = _image(2, 6, 6, 4), _image(3, 3, 4, 10)
  want = 2 * (2 * 6 * 6 * 10) * (3 * 3 * 4)
  assert flops.count(_conv(), image, kernel) == want
  strided = _conv(strides=(2, 2))
  assert flops.count(strided, image, kernel) == want / 4
  # Neither gradient of a strided convolution multiplies by its zeros.
  assert flops.count(_gradients(strided), image, kernel) == 3 * want / 4
  grouped = _conv(groups=2)
  halves = _image(3, 3, 2, 10)
  assert flops.count(grouped, image, halves) == want / 2
  assert flops.count(_gradients(grouped), image, halves) == 3 * want / 2


def test_a_transposed_convolution_costs_as_much_as_the_strided_one():
  small, large = _image(2, 4, 4, 3), _image(2, 8, 8, 5)
  kernel = _image(4, 4, 3, 5)
  up = _conv(lhs_dilation=(2, 2), padding=((2, 2), (2, 2)))
  assert jax.eval_shape(up, small, kernel).shape == large.shape
  down = _conv(strides=(2, 2), padding=((1, 1), (1, 1)))
  want = flops.count(down, large, _image(4, 4, 5, 3))
  assert flops.count(up, small, kernel) == want == 2 * 2 * 16 * 16 * 3 * 5


def test_branches_loops_and_custom_derivatives():
  expensive, cheap = (lambda x, w: x @ w @ w), (lambda x, w: x)
  branch = lambda x, w: jax.lax.cond(x[0, 0] > 0, expensive, cheap, x, w)
  assert flops.count(branch, _X, _W) == 2 * _ONE
  loop = lambda x, w: jax.lax.while_loop(
    lambda x: x[0, 0] > 0, lambda x: x @ w, x
  )
  assert flops.count(loop, _X, _W) == _ONE
  product = jax.custom_vjp(jnp.matmul)
  product.defvjp(
    lambda x, w: (x @ w, (x, w)),
    lambda saved, g: (g @ saved[1].T, saved[0].T @ g),
  )
  assert flops.count(jax.jit(product), _X, _W) == _ONE
  assert flops.count(_gradients(product), _X, _W) == 3 * _ONE
  relu = lambda x, w: jax.nn.relu(x @ w)  # A custom_jvp without products.
  assert flops.count(relu, _X, _W) == _ONE


def test_a_shard_map_counts_for_all_its_devices():
  mesh = jax.make_mesh((4,), ('data',), (AxisType.Auto,))
  sharded = jax.shard_map(
    jnp.matmul, mesh=mesh, in_specs=(P('data'), P()), out_specs=P('data')
  )
  assert flops.count(sharded, _X, _W) == _ONE


def test_a_network():
  dense = nn.Dense(16)
  params = jax.eval_shape(dense.init, jax.random.key(0), _X)
  assert flops.count(dense.apply, params, _X) == 2 * 4 * 8 * 16


@pytest.mark.parametrize(
  ('platform', 'kind', 'want'),
  [
    ('tpu', 'TPU v4', 275e12),
    ('tpu', 'TPU v5 lite', 197e12),
    ('tpu', 'TPU v5p', 459e12),
    ('tpu', 'TPU v6 lite', 918e12),
    ('gpu', 'NVIDIA A100-SXM4-80GB', 312e12),
    ('gpu', 'NVIDIA H100 80GB HBM3', 989e12),
    ('gpu', 'NVIDIA H100 PCIe', 756e12),
    ('gpu', 'NVIDIA H200', 989e12),
    ('gpu', 'NVIDIA L4', 121e12),
    ('gpu', 'NVIDIA L40', None),
    ('gpu', 'Tesla T4', 65e12),
    ('gpu', 'Tesla V100-SXM2-16GB', 125e12),
    ('gpu', 'NVIDIA GeForce GTX 970', None),
    ('cpu', 'cpu', None),
  ],
)
def test_peak_rates_of_devices(platform, kind, want):
  device = types.SimpleNamespace(platform=platform, device_kind=kind)
  assert flops.peak_flops(device) == want


def test_memory_of_a_compiled_function():
  twice = jax.jit(lambda x: x * 2, donate_argnums=0)
  sizes = flops.memory(twice.lower(_X).compile())
  num_bytes = 4 * 8 * 4
  assert sizes['arguments'] == sizes['outputs'] == num_bytes
  assert sizes['aliased'] == num_bytes  # The output reuses the input's memory.
  rest = sizes['temporary'] + sizes['code']
  assert sizes['total'] == num_bytes + rest
