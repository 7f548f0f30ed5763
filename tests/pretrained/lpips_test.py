"""Tests of pretrained/lpips.py against PyTorch, for both trunks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.pretrained import seeded
from vgen_jax.pretrained import lpips

ENOUGH = 1e-3
each_trunk = pytest.mark.parametrize('trunk', lpips.TRUNKS)


def loaded(trunk: str):
  state, wanted = seeded.load(f'lpips_{trunk}')
  # Published weights of channels are 0 or more.
  heads = {k: abs(v) for k, v in state.items() if k.startswith('lin')}
  return lpips.variables(trunk, state, heads), wanted['distance']


def pairs(low: float = -1.0) -> np.ndarray:
  video_bthwc = np.float32(seeded.clips(0, 6, 2, 64, 72))
  return low + (1 - low) * np.moveaxis(video_bthwc, 1, 0) / 255


@each_trunk
def test_it_equals_pytorch(trunk, monkeypatch):
  variables, wanted_b = loaded(trunk)
  distance = jax.jit(lambda a, b: lpips.distance(variables, trunk, a, b))
  a, b = pairs()
  found_b = distance(a, b)
  assert seeded.error(found_b, wanted_b) < ENOUGH
  np.testing.assert_array_equal(distance(a, a), 0)
  np.testing.assert_allclose(distance(b, a), found_b, rtol=1e-4)
  # Pixels in [0, 1] are a common mistake.
  assert seeded.error(distance(*pairs(low=0.0)), wanted_b) > 50 * ENOUGH


def test_version_0_0_gives_another_result(monkeypatch):
  variables, wanted_b = loaded('alex')
  monkeypatch.setattr(lpips, '_SHIFT', (0.0, 0.0, 0.0))
  monkeypatch.setattr(lpips, '_SCALE', (1.0, 1.0, 1.0))
  distance = jax.jit(lambda a, b: lpips.distance(variables, 'alex', a, b))
  found_b = distance(*pairs())
  assert seeded.error(found_b, wanted_b) > 50 * ENOUGH


def test_arrays_that_do_not_fit_are_errors():
  state, _ = seeded.load('lpips_alex')
  with pytest.raises(ValueError, match=r"features.2.weight is missing.*'vgg'"):
    lpips.variables('vgg', state, state)
  trunk = {k: v for k, v in state.items() if k.startswith('features')}
  with pytest.raises(ValueError, match=r'lin0.model.1.weight is missing'):
    lpips.variables('alex', state, trunk)
  with pytest.raises(ValueError, match='weights of LPIPS for that trunk'):
    lpips.variables('alex', state, seeded.load('lpips_vgg')[0])


@each_trunk
def test_images_must_not_be_too_small(trunk):
  variables, _ = loaded(trunk)

  def of_side(side):
    x = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    distance = lambda a, b: lpips.distance(variables, trunk, a, b)
    return jax.eval_shape(distance, x, x)

  assert of_side(32).shape == (1,)
  with pytest.raises(ValueError, match='use 32 x 32'):
    of_side(15)
