"""Tests of nn/convolution/recurrent.py."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.nn.convolution import recurrent


class Count(nn.Module):
  """Returns (input + step) times a parameter, which is 1."""

  @nn.compact
  def __call__(self, carry, x_b1, step_b):
    scale = self.param('scale', nn.initializers.ones_init(), ())
    output_b1 = (x_b1 + step_b[:, None]) * scale
    return carry + 1, output_b1, (output_b1, carry)


def roll(inputs_bt1, mask_bt, steps_bt):
  cell = lambda module, carry, x, extra: module(carry, x, extra)

  class Model(nn.Module):
    def setup(self):
      self.count = Count()

    def __call__(self):
      return recurrent.scan_rollout(
        cell,
        self.count,
        jnp.zeros(len(inputs_bt1)),
        inputs_bt1,
        mask_bt,
        steps_bt,
      )

  return compiled.init_with_output(Model(), jax.random.key(0))


def test_rollout_uses_given_inputs_or_predictions():
  inputs_bt1 = np.float32([[10, 20, 30, 40]] * 2)[..., None]
  mask_bt = np.array([[True, True, True, True], [True, False, True, False]])
  ((carry, last_b1), (output_bt1, carries_bt)), _ = roll(
    inputs_bt1, mask_bt, np.ones((2, 4), np.float32)
  )
  np.testing.assert_array_equal(output_bt1[0, :, 0], [11, 21, 31, 41])
  np.testing.assert_array_equal(output_bt1[1, :, 0], [11, 12, 31, 32])
  np.testing.assert_array_equal(last_b1[:, 0], [41, 32])
  np.testing.assert_array_equal(carries_bt, [[0, 1, 2, 3]] * 2)
  np.testing.assert_array_equal(carry, [4, 4])


def test_masked_inputs_have_no_effect():
  mask_bt = np.array([[True, True, False, False]])

  def total(inputs_bt1):
    (_, (output_bt1, _)), _ = roll(inputs_bt1, mask_bt, jnp.ones((1, 4)))
    return output_bt1.sum()

  gradient = compiled.jit(jax.grad(total))(np.ones((1, 4, 1), np.float32))
  np.testing.assert_array_equal(gradient[0, :, 0], [1, 3, 0, 0])


def test_conv_lstm_equals_that_of_flax():
  """Flax has two kernels, for input and state; here both are one kernel."""
  features, size = 3, 5
  key = jax.random.key(0)
  x_bhwc = arrays.normal((2, 6, 6, 4))
  carry = tuple(arrays.normal((2, 2, 6, 6, features), seed=1))
  ours = recurrent.ConvLSTM(features, size)
  variables = compiled.init(ours, key, carry, x_bhwc)
  conv = variables['params']['Conv2D_0']
  # Gates here are input, forget, output, new; in Flax input, new, forget,
  # output.
  order = np.concatenate(
    [np.arange(features) + features * k for k in (0, 3, 1, 2)]
  )
  kernel, bias = conv['kernel'][..., order], conv['bias'][order]
  theirs = nn.ConvLSTMCell(features, (size, size))
  params = {
    'ih': {'kernel': kernel[:, :, :4], 'bias': bias},
    'hh': {'kernel': kernel[:, :, 4:], 'bias': np.zeros_like(bias)},
  }
  ((memory, hidden), _), ((memory_2, hidden_2), _) = compiled.call(
    lambda ours_v, theirs_v, *args: (
      ours.apply(ours_v, *args), theirs.apply(theirs_v, *args)
    ),
    variables, {'params': params}, carry, x_bhwc,
  )  # fmt: skip
  np.testing.assert_allclose(memory, memory_2, atol=1e-5)
  np.testing.assert_allclose(hidden, hidden_2, atol=1e-5)


@pytest.mark.parametrize('norm', [False, True])
def test_conv_gru_equals_the_formula(norm):
  """With a kernel of one pixel, a ConvGRU is a GRU at each position."""
  key = jax.random.key(0)
  x_bhwc = arrays.normal((1, 2, 2, 3))
  carry = (arrays.normal((1, 2, 2, 4), seed=1),)
  cell = recurrent.ConvGRU(4, 1, norm)
  variables = compiled.init(cell, key, carry, x_bhwc)
  # All values differ, as after training.
  stir = lambda x: np.float32(
    x + 0.5 * np.sin(np.arange(x.size)).reshape(x.shape)
  )
  params = jax.tree.map(stir, variables['params'])
  _, out_bhwc = compiled.apply(cell, {'params': params}, carry, x_bhwc)

  def gates(i, x, count):
    y = np.concatenate(x) @ params[f'Conv2D_{i}']['kernel'][0, 0]
    y = (y + params[f'Conv2D_{i}']['bias']).reshape(count, 4)
    if norm:
      y = (y - y.mean(1, keepdims=True)) / np.sqrt(
        y.var(1, keepdims=True) + 1e-6
      )
      layer = params[f'LayerNorm_{i}']
      y = y * layer['scale'] + layer['bias']
    return y

  sigmoid = lambda x: 1 / (1 + np.exp(-x))
  x, hidden = x_bhwc[0, 1, 0], carry[0][0, 1, 0]
  reset, update = sigmoid(gates(0, [x, hidden], 2))
  new = np.tanh(gates(1, [x, reset * hidden], 1)[0])
  np.testing.assert_allclose(
    out_bhwc[0, 1, 0], update * hidden + (1 - update) * new, atol=1e-5
  )


def test_normed_gates_have_separate_scales_and_biases():
  """The scale and the bias of a gate do not affect other gates."""
  cell = recurrent.ConvLSTM(4, 1, norm=True)
  carry = (np.ones((1, 1, 1, 4), np.float32),) * 2
  x_bhwc = arrays.normal((1, 1, 1, 3))
  variables = compiled.init(cell, jax.random.key(1), carry, x_bhwc)
  params = variables['params']
  bias = np.zeros((4, 4), np.float32)
  bias[:2] = -20  # Closes the input gate and the forget gate.
  params['LayerNorm_0']['bias'] = bias
  apply = compiled.jit(cell.apply)
  (memory, hidden), _ = apply({'params': params}, carry, x_bhwc)
  np.testing.assert_allclose(memory, 0, atol=1e-3)
  bias[1] = 20  # The memory is kept.
  (memory, hidden), _ = apply({'params': params}, carry, x_bhwc)
  np.testing.assert_allclose(memory, 1, atol=1e-3)
  assert np.abs(hidden).min() > 0.01
  with pytest.raises(ValueError, match='features is 1, with norm'):
    compiled.init(
      recurrent.ConvGRU(1, 1, norm=True),
      jax.random.key(1),
      (np.ones((1, 1, 1, 1), np.float32),),
      x_bhwc,
    )


def test_scheduled_sampling_decays_as_published():
  step_n = np.array([0, 6122, 20_000])
  share = compiled.call(recurrent.inverse_sigmoid, step_n, 900.0)
  np.testing.assert_allclose(share, [900 / 901, 0.5, 0.0], atol=1e-4)
