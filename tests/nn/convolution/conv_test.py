"""Tests of nn/convolution/conv.py."""

import chex
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.nn.convolution import conv

pytestmark = pytest.mark.usefixtures('compares_finite')

P1, CUT = ((1, 1),) * 3, ((0, 0), (-1, 2), (0, 1))
PLAIN = {  # name: (input t, h, w), kernel, strides, padding
  'kernel 3': ((3, 4, 4), (3, 3, 3), (1, 1, 1), 'SAME'),
  'per frame': ((3, 4, 5), (1, 3, 3), (1, 1, 1), 'SAME'),
  'per pixel': ((4, 3, 3), (3, 1, 1), (1, 1, 1), 'SAME'),
  'causal': ((4, 3, 3), (3, 3, 3), (1, 1, 1), 'CAUSAL'),
  'causal stride': ((5, 4, 4), (3, 3, 3), (2, 2, 2), 'CAUSAL'),
  'kernel 4 stride 2': ((4, 6, 6), (4, 4, 4), (2, 2, 2), P1),
  'odd size': ((5, 5, 7), (3, 3, 3), (2, 2, 2), 'SAME'),
  'kernel 1 stride 2': ((4, 4, 4), (1, 1, 1), (2, 2, 2), 'VALID'),
  'whole clip': ((2, 4, 4), (2, 4, 4), (1, 1, 1), 'VALID'),
  'negative': ((3, 5, 5), (2, 3, 3), (1, 1, 1), CUT),
  'kernel larger than frame': ((3, 3, 4), (2, 5, 5), (1, 1, 1), 'SAME'),
  'the same, strided': ((3, 4, 3), (1, 5, 4), (1, 2, 3), 'SAME'),
  'the same, cropped': (
    (3, 3, 4),
    (1, 4, 4),
    (1, 1, 1),
    ((0, 0), (3, -1), (2, 2)),
  ),
  'no result': ((1, 2, 2), (1, 3, 3), (1, 2, 2), 'VALID'),
}
TRANSPOSED = {
  'kernel 4 stride 2': ((2, 3, 3), (4, 4, 4), (2, 2, 2), 'SAME'),
  'space only': ((2, 3, 3), (1, 4, 4), (1, 2, 2), 'SAME'),
  'kernel 3': ((3, 3, 4), (3, 3, 3), (1, 1, 1), 'SAME'),
  'kernel 3 stride 2': ((2, 3, 3), (3, 3, 3), (2, 2, 2), 'SAME'),
  'valid': ((2, 3, 3), (3, 4, 5), (2, 3, 2), 'VALID'),
  'short kernel': ((2, 3, 3), (1, 2, 1), (2, 3, 2), 'SAME'),
  'expand': ((1, 1, 1), (2, 4, 4), (1, 1, 1), 'VALID'),
  'expand and crop': ((1, 1, 1), (4, 4, 4), (2, 2, 2), 'SAME'),
  'negative': ((3, 4, 4), (2, 3, 3), (1, 2, 2), CUT),
}


def values_and_gradients(function, size, kernel, strides, padding):
  """Returns results, and gradients for inputs and kernels, of both forms."""
  x = arrays.normal((2, *size, 3))
  kernel = arrays.normal((*kernel, 3, 2), seed=1)

  def loss(x, kernel, form):
    y = function(x, kernel, strides, padding, form)
    return (y**3).sum(), y

  grad = jax.grad(loss, argnums=(0, 1), has_aux=True)
  both = lambda *args: [grad(*args, form) for form in ('fast', 'lax')]
  return compiled.call(both, x, kernel)


CASES = [
  *((conv.conv3d, case) for case in PLAIN.values()),
  *((conv.conv_transpose3d, case) for case in TRANSPOSED.values()),
]
IDS = [*PLAIN, *(f'transposed, {name}' for name in TRANSPOSED)]


@pytest.mark.parametrize(('function', 'case'), CASES, ids=IDS)
def test_forms_agree(function, case):
  fast, plain = values_and_gradients(function, *case)
  chex.assert_trees_all_close(fast, plain, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize('padding', ['SAME', 'VALID', ((1, 0), (2, 2))])
def test_transposed_convolution_equals_that_of_lax(padding):
  both = compiled.call(
    lambda x, kernel: (
      conv.conv_transpose2d(x, kernel, (2, 2), padding, 'fast'),
      lax.conv_transpose(x, kernel, (2, 2), padding),
    ),
    arrays.normal((2, 3, 4, 3)),
    arrays.normal((3, 4, 3, 2), seed=1),
  )
  chex.assert_trees_all_close(*both, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
  'mutation',
  [
    lambda y, x, kernel: jnp.roll(y, 1, axis=2),
    lambda y, x, kernel: conv.conv_transpose3d(
      x, kernel[::-1, ::-1, ::-1], (2, 2, 2), 'SAME', 'fast'
    ),
    lambda y, x, kernel: conv.conv_transpose3d(
      x, kernel, (2, 2, 2), ((1, 3),) * 3, 'fast'
    ),
  ],
  ids=['wrong phase', 'flipped kernel', 'shifted padding'],
)
def test_the_comparison_of_forms_can_fail(mutation):

  def both(x, kernel):
    y = conv.conv_transpose3d(x, kernel, (2, 2, 2), 'SAME', 'lax')
    return y, mutation(y, x, kernel)

  x = arrays.normal((1, 2, 3, 3, 3))
  y, wrong = compiled.call(both, x, arrays.normal((4, 4, 4, 3, 2), seed=1))
  assert wrong.shape == y.shape
  assert not np.allclose(wrong, y, atol=0.1)


def sees_later_frames(padding) -> bool:
  kernel = np.ones((3, 1, 1, 1, 1), np.float32)

  def second_frame(x_bthwc):
    return conv.conv3d(x_bthwc, kernel, padding=padding)[0, 1].sum()

  dependence_t = compiled.jit(jax.grad(second_frame))(
    np.ones((1, 4, 1, 1, 1), np.float32)
  ).ravel()
  assert dependence_t[:2].all(), 'A frame depends on itself and the one before.'
  return bool(dependence_t[2:].any())


def test_causal_convolution_does_not_depend_on_later_frames():
  assert not sees_later_frames('CAUSAL')
  assert sees_later_frames('SAME')


@pytest.mark.parametrize(
  ('layer', 'flax_layer', 'shape'),
  [
    (conv.Conv3D, 'Conv', (2, 4, 4, 4, 3)),
    (conv.Conv2D, 'Conv', (2, 4, 4, 3)),
    (conv.ConvTranspose3D, 'ConvTranspose', (2, 2, 4, 4, 3)),
    (conv.ConvTranspose2D, 'ConvTranspose', (2, 4, 4, 3)),
  ],
)
def test_layers_equal_those_of_flax(layer, flax_layer, shape):
  """The same key gives the same parameters and the same result."""
  args = dict(features=5, kernel_size=(4,) * (len(shape) - 2))
  args['strides'] = (2,) * (len(shape) - 2)
  layers = layer(**args, form='fast'), getattr(conv.nn, flax_layer)(**args)
  ours, theirs = compiled.call(
    lambda *args: [module.init_with_output(*args) for module in layers],
    jax.random.key(1),
    arrays.normal(shape),
  )
  chex.assert_trees_all_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_results_have_dtype_and_parameters_are_float32():
  layer = conv.Conv3D(2, (1, 3, 3), dtype='bfloat16')
  y, variables = jax.eval_shape(
    layer.init_with_output, jax.random.key(0), jnp.ones((1, 2, 4, 4, 3))
  )
  assert y.dtype == jnp.bfloat16
  assert {x.dtype for x in jax.tree.leaves(variables)} == {np.dtype('float32')}


def test_errors_name_the_fault():
  x, kernel = jnp.ones((1, 2, 4, 4, 3)), jnp.ones((1, 3, 3, 4, 2))
  with pytest.raises(ValueError, match='as many channels'):
    conv.conv3d(x, kernel)
  with pytest.raises(ValueError, match='must be one of'):
    conv.conv3d(x, kernel[..., :3, :], form='quick')
  with pytest.raises(ValueError, match="'causal'; it must be 'SAME'"):
    conv.conv3d(x, kernel[..., :3, :], padding='causal')
  with pytest.raises(ValueError, match='must have 3 pairs'):
    conv.conv3d(x, kernel[..., :3, :], padding=((1, 1), (1, 1)))
  with pytest.raises(ValueError, match='one side for each'):
    compiled.init(conv.Conv3D(2, (3, 3)), jax.random.key(0), x)
