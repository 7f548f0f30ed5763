"""Tests of nn/frame_convolution.py and of nn/convolution/conv_fast.py."""

import contextlib
import re

import chex
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.families.adversarial import lipschitz
from vgen_jax.nn import frame_convolution as frames
from vgen_jax.nn.convolution import conv

pytestmark = pytest.mark.usefixtures('compares_finite')

QUICK = 'b01f_01io->b01f'  # What XLA's library for CPUs takes, and no other.


def rolled(form, strides=(1, 1, 1)):
  """Returns the gradients of a loop of convolutions."""

  def loss(x_bthwc, kernel):
    def step(x_bthwc, _):
      y_bthwc = conv.conv3d(x_bthwc, kernel, strides, 'SAME', form)
      return jnp.tanh(jnp.resize(y_bthwc, x_bthwc.shape)), None

    return lax.scan(step, x_bthwc, None, length=3)[0].sum()

  x_bthwc = arrays.normal((2, 2, 8, 8, 3))
  kernel = arrays.normal((1, 3, 3, 3, 3), seed=1)
  return jax.jit(jax.grad(loss, argnums=(0, 1))), x_bthwc, kernel


def axes(function, *args) -> set[str]:
  """Returns the layouts of the operands of compiled convolutions."""
  text = function.lower(*args).compile().as_text()
  return set(re.findall(r' convolution\(.*dim_labels=([^, ]+)', text))


@pytest.mark.parametrize('strides', [(1, 1, 1), (1, 2, 2)])
def test_gradients_in_loops_have_the_layout_of_the_library(strides):
  assert axes(*rolled('fast', strides)) == {QUICK}
  assert axes(*rolled('lax', strides)) - {QUICK}  # The layout of lax is slow.


def test_gradients_in_loops_equal_those_of_lax():
  fast, plain = (
    function(*args) for function, *args in map(rolled, ('fast', 'lax'))
  )
  chex.assert_trees_all_close(fast, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('way', ['forward', 'mapped', 'twice'])
def test_all_derivatives_equal_those_of_lax(way):

  def derivative(form, x, kernel):
    def cubes(x, kernel):
      return (conv.conv2d(x, kernel, (2, 1), 'SAME', form) ** 3).sum()

    both = jax.grad(cubes, argnums=(0, 1))
    if way == 'forward':
      return jax.jvp(cubes, (x, kernel), (x + 1, 2 * kernel - 1))
    if way == 'mapped':
      one = lambda x: both(x[None], kernel)
      return jax.vmap(one)(x)
    squares = lambda *args: sum(jnp.square(g).sum() for g in both(*args))
    return jax.grad(squares, argnums=(0, 1))(x, kernel)

  fast, plain = compiled.call(
    lambda *args: [derivative(form, *args) for form in ('fast', 'lax')],
    arrays.normal((2, 5, 4, 3)),
    arrays.normal((3, 3, 3, 2), seed=1),
  )
  chex.assert_trees_all_close(fast, plain, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(
  'strides', [(1, 1, 2), (1, 2, 1), (2, 1, 1), (2, 1, 3)]
)
def test_strides_of_a_pointwise_kernel_are_those_of_each_axis(strides):
  """Such a convolution is a matrix product of the subsampled input."""
  x_bthwc = arrays.normal((2, 4, 6, 6, 3))
  kernel = arrays.normal((1, 1, 1, 3, 2), seed=1)
  fast = compiled.call(conv.conv3d, x_bthwc, kernel, strides, 'VALID', 'fast')
  t, h, w = strides
  assert np.isfinite(fast).all()
  chex.assert_trees_all_close(
    fast, x_bthwc[:, ::t, ::h, ::w] @ kernel[0, 0, 0], rtol=1e-5, atol=1e-5
  )


def penalties(context, strides=(2, 2), padding='SAME', sides=(8, 7), k=(4, 3)):
  """Returns the gradient of a squared gradient, compiled, and its operands."""
  x = arrays.normal((2, *sides, 3))
  kernel = arrays.normal((*k, 3, 2), seed=1)

  def squared_gradient(x, kernel):
    def score(x):
      y = conv.conv2d(x, kernel, strides, padding, 'fast')
      return jnp.sin(y).sum()

    with context():
      return jnp.square(jax.grad(score)(x)).sum()

  return jax.jit(jax.grad(squared_gradient, argnums=(0, 1))), x, kernel


@pytest.mark.parametrize('padding', ['SAME', 'VALID', ((3, 0), (1, 2))])
@pytest.mark.parametrize('strides', [(1, 1), (2, 2), (3, 1)])
def test_second_derivatives_equal_those_of_lax(strides, padding):
  fast, plain = (
    function(*args)
    for function, *args in (
      penalties(context, strides, padding)
      for context in (
        frames.second_derivatives,
        contextlib.nullcontext,
      )
    )
  )
  chex.assert_trees_all_close(fast, plain, rtol=1e-4, atol=1e-4)


def test_second_derivatives_have_the_layout_of_the_library():
  assert axes(*penalties(frames.second_derivatives)) == {QUICK}
  assert axes(*penalties(contextlib.nullcontext)) - {QUICK}


def test_penalties_on_gradients_have_fast_second_derivatives():
  kernel = arrays.normal((4, 4, 4, 3, 2), seed=1)
  video_bthwc = arrays.normal((2, 4, 8, 8, 3))

  def penalty(kernel):
    def score(x):
      return jnp.tanh(conv.conv3d(x, kernel, (2, 2, 2))).sum((1, 2, 3, 4))

    return lipschitz.zero_centred(score, video_bthwc).sum()

  assert axes(jax.jit(jax.grad(penalty)), kernel) == {QUICK}


def test_third_derivatives_equal_those_without_the_context():
  x, kernel = penalties(frames.second_derivatives)[1:]

  def third(context, x, kernel):
    def squares(x, kernel):
      with context():
        both = jax.grad(lambda *args: cubes(*args).sum(), argnums=(0, 1))
        inner = lambda *args: sum(jnp.square(g).sum() for g in both(*args))
        return jnp.square(jax.grad(inner)(x, kernel)).sum()

    cubes = lambda x, kernel: (
      conv.conv2d(x, kernel, (2, 1), 'SAME', 'fast') ** 3
    )
    return jax.grad(squares, argnums=(0, 1))(x / 8, kernel / 8)

  contexts = frames.second_derivatives, contextlib.nullcontext
  fast, plain = compiled.call(
    lambda *args: [third(context, *args) for context in contexts], x, kernel
  )
  chex.assert_trees_all_close(fast, plain, rtol=1e-3, atol=1e-4)


def test_the_context_ends_after_an_error():
  """Forward mode, which the context does not support, works after it."""
  x, kernel = penalties(frames.second_derivatives)[1:]
  function = lambda x: conv.conv2d(x, kernel, (2, 2), 'SAME', 'fast')
  with (
    pytest.raises(TypeError, match='forward'),
    frames.second_derivatives(),
  ):
    jax.jvp(function, (x,), (x,))
  y, tangent = compiled.call(lambda x: jax.jvp(function, (x,), (x,)), x)
  chex.assert_trees_all_close(tangent, y, rtol=1e-4, atol=1e-5)
