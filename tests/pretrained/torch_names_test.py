"""Tests of pretrained/torch_names.py."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vgen_jax.pretrained import torch_names


class Network(nn.Module):
  @nn.compact
  def __call__(self, x_bhwc):
    x_bhwc = nn.Conv(4, (1, 3), name='conv')(x_bhwc)
    x_bhwc = nn.BatchNorm(True, name='bn')(x_bhwc)
    return nn.Dense(2, name='fc')(x_bhwc)


def state() -> dict[str, np.ndarray]:
  shapes = {
    'conv.weight': (4, 3, 1, 3),
    'conv.bias': (4,),
    'bn.weight': (4,),
    'bn.bias': (4,),
    'bn.running_mean': (4,),
    'bn.running_var': (4,),
    'fc.weight': (2, 4),
    'fc.bias': (2,),
  }
  rng = np.random.default_rng(0)
  return {k: rng.random(v, np.float32) for k, v in shapes.items()}


def converted(arrays: dict[str, np.ndarray]):
  shape = jax.ShapeDtypeStruct((1, 5, 6, 3), jnp.float32)
  return torch_names.check_variables(
    Network(), torch_names.variables(arrays), shape
  )


def test_layers_compute_the_same_as_in_pytorch():
  s = state()
  variables = converted(s | {'bn.num_batches_tracked': np.zeros((), np.int64)})
  x_bhwc = np.random.default_rng(1).random((1, 5, 6, 3), np.float32)
  # Computed by hand in the middle of a row, where the kernel has 3 pixels.
  window_ci = x_bhwc[0, 2, 2:5].T
  y = np.einsum('oci,ci->o', s['conv.weight'][:, :, 0], window_ci)
  y = (y + s['conv.bias'] - s['bn.running_mean']) * s['bn.weight']
  y = y / np.sqrt(s['bn.running_var'] + 1e-5) + s['bn.bias']
  wanted = s['fc.weight'] @ y + s['fc.bias']
  found = Network().apply(variables, x_bhwc)[0, 2, 3]
  np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_arrays_that_do_not_fit_are_named():
  with pytest.raises(ValueError, match=r'params/aux/kernel.*unknown in the'):
    converted(state() | {'aux.weight': np.zeros((3, 3))})
  with pytest.raises(ValueError, match=r'conv/kernel is \(1, 1, 3, 4\), but'):
    converted(state() | {'conv.weight': np.zeros((4, 3, 1, 1))})
  for name in state():
    rest = state()
    del rest[name]
    with pytest.raises(ValueError, match=r'1 arrays do not fit.* is missing'):
      converted(rest)
