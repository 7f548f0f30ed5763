"""Tests of experiments/benchmarks/twins/transfer.py.

`make test` has no PyTorch, so the layout of its parameters is tested against
its formulas in NumPy.
"""

import itertools
import types

import flax.linen as nn
import jax
import numpy as np
import pytest

from experiments.benchmarks.twins import transfer
from tests import compiled
from vgen_jax.models import vgan
from vgen_jax.nn.convolution import conv


def _random(*shape: int, seed: int = 0) -> np.ndarray:
  return np.random.default_rng(seed).standard_normal(shape, np.float32)


def _placed(
  x_bcthw: np.ndarray, weight: np.ndarray, stride: int, padding: int
) -> np.ndarray:
  """Returns the transposed convolution as PyTorch defines it."""
  b, _, *sides = x_bcthw.shape
  taps = weight.shape[2:]
  full = [(n - 1) * stride + k for n, k in zip(sides, taps, strict=True)]
  y = np.zeros((b, weight.shape[1], *full), np.float32)
  for place in itertools.product(*map(range, sides)):
    part = np.einsum(
      'bi,io...->bo...', x_bcthw[(..., *place)], weight
    )  # One pixel.
    at = tuple(
      slice(i * stride, i * stride + k)
      for i, k in zip(place, taps, strict=True)
    )
    y[(..., *at)] += part
  crop = (slice(padding, n - padding) for n in full)
  return y[(..., *crop)]


@pytest.mark.parametrize('taps', [(4, 4, 4), (1, 4, 4)])
def test_kernels_of_transposed_convolutions_are_reversed(taps):
  x_bthwc, kernel = _random(2, 1, 3, 3, 2), _random(*taps, 2, 3, seed=1)
  num_axes = 3 if taps[0] > 1 else 2
  strides = (2,) * 3 if num_axes == 3 else (1, 2, 2)
  wanted = compiled.call(conv.conv_transpose3d, x_bthwc, kernel, strides)
  weight = transfer.transposed({'kernel': kernel}, num_axes)['weight']
  x_bcthw = np.moveaxis(x_bthwc, -1, 1)
  if num_axes == 2:
    x_bcthw = x_bcthw[:, :, 0]
  found = np.moveaxis(_placed(x_bcthw, weight, 2, 1), 1, -1)
  np.testing.assert_allclose(found.reshape(wanted.shape), wanted, atol=1e-4)
  wrong = np.moveaxis(_placed(x_bcthw, weight[..., ::-1], 2, 1), 1, -1)
  assert np.abs(wrong.reshape(wanted.shape) - wanted).max() > 0.1


def test_kernels_of_convolutions_keep_their_order():
  kernel, bias = _random(4, 4, 4, 2, 3), _random(3)
  found = transfer.convolution({'kernel': kernel, 'bias': bias}, 3)
  np.testing.assert_array_equal(
    found['weight'][1, 0, 0, 2, 3], kernel[0, 2, 3, 0, 1]
  )
  np.testing.assert_array_equal(found['bias'], bias)
  frames = transfer.convolution({'kernel': kernel[:1]}, 2)
  assert set(frames) == {'weight'}
  np.testing.assert_array_equal(frames['weight'], found['weight'][:, :, 0])
  with pytest.raises(ValueError, match=r'has shape \(4, 4, 4, 2, 3\)'):
    transfer.convolution({'kernel': kernel}, 2)


def _sigmoid(x: np.ndarray) -> np.ndarray:
  return 1 / (1 + np.exp(-x))


def _gates(params, x, state, number):
  """Returns the gates' inputs from x and from the state, of PyTorch."""
  of_x = x @ params['weight_ih_l0'].T + params['bias_ih_l0']
  of_state = state @ params['weight_hh_l0'].T + params['bias_hh_l0']
  return np.split(of_x, number, -1), np.split(of_state, number, -1)


def test_an_lstm_has_the_gates_in_the_order_of_pytorch():
  cell = nn.OptimizedLSTMCell(3)
  x, c, h = _random(2, 5), _random(2, 3, seed=1), _random(2, 3, seed=2)
  shapes = compiled.shapes(cell, jax.random.key(0), (c, h), x)
  params = _noisy(shapes['params'])
  (new_c, new_h), _ = compiled.apply(cell, {'params': params}, (c, h), x)
  own = transfer.lstm(params)
  i, f, g, o = (a + b for a, b in zip(*_gates(own, x, h, 4), strict=True))
  found = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
  np.testing.assert_allclose(found, new_c, atol=1e-5)
  np.testing.assert_allclose(_sigmoid(o) * np.tanh(found), new_h, atol=1e-5)
  sizes = [x.size for x in jax.tree.leaves(params)]
  assert sum(x.size for x in own.values()) == sum(sizes) + 4 * 3


def test_a_gru_has_the_gates_in_the_order_of_pytorch():
  cell = nn.GRUCell(3)
  x, h = _random(2, 5), _random(2, 3, seed=1)
  params = _noisy(compiled.shapes(cell, jax.random.key(0), h, x)['params'])
  wanted, _ = compiled.apply(cell, {'params': params}, h, x)
  own = transfer.gru(params)
  (xr, xz, xn), (hr, hz, hn) = _gates(own, x, h, 3)
  r, z = _sigmoid(xr + hr), _sigmoid(xz + hz)
  found = (1 - z) * np.tanh(xn + r * hn) + z * h
  np.testing.assert_allclose(found, wanted, atol=1e-5)
  sizes = [x.size for x in jax.tree.leaves(params)]
  assert sum(x.size for x in own.values()) == sum(sizes) + 2 * 3


def _noisy(params):
  """Returns parameters whose biases are not zero."""
  leaves, tree = jax.tree.flatten(params)
  return jax.tree.unflatten(
    tree, [_random(*x.shape, seed=i) for i, x in enumerate(leaves)]
  )


def _layer(kind: str, **children):
  """Returns a module like those of torch.nn."""
  layer = type(kind, (types.SimpleNamespace,), {})(hidden_size=3)
  layer.named_children = lambda: children.items()
  layer.named_modules = lambda: [('', layer), *children.items()]
  return layer


def test_layers_correspond_by_their_names():
  params = {
    'in': {'kernel': _random(2, 3), 'bias': _random(3)},
    'BatchNorm_0': {'scale': _random(3), 'bias': _random(3, seed=1)},
  }
  twin = _layer(
    'Twin', **{'in': _layer('Linear'), 'BatchNorm_0': _layer('BatchNorm3d')}
  )
  found = transfer.to_twin(params, twin)
  np.testing.assert_array_equal(found['in.weight'], params['in']['kernel'].T)
  np.testing.assert_array_equal(
    found['BatchNorm_0.weight'], params['BatchNorm_0']['scale']
  )
  assert set(found) == {
    'in.weight', 'in.bias', 'BatchNorm_0.weight', 'BatchNorm_0.bias'
  }  # fmt: skip
  for others in ({}, {**params, 'out': params['in']}):
    with pytest.raises(ValueError, match='those of its twin'):
      transfer.to_twin(others, twin)


def test_only_recurrent_layers_have_more_biases_in_pytorch():
  twin = _layer('Twin', a=_layer('LSTM'), b=_layer('GRU'), c=_layer('Conv3d'))
  assert transfer.additional(twin) == {'a': 12, 'b': 6}


def test_fields_that_a_twin_lacks_are_errors():
  shape = (8, 16, 16, 3)
  read = ('clip_shape', 'width')
  transfer.check_fields(vgan.Generator(shape, width=4), read)
  with pytest.raises(ValueError, match="streams of Generator is 'one'"):
    transfer.check_fields(vgan.Generator(shape, streams='one'), read)
  generator = vgan.Generator(shape, norm='none')
  assert transfer.check_value(generator, 'norm', ('none', 'batch')) == 'none'
  with pytest.raises(ValueError, match="has only 'batch'"):
    transfer.check_value(generator, 'norm', ('batch',))
