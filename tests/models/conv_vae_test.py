"""Tests of models/conv_vae.py."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.models import conv_vae
from vgen_jax.nn.bottlenecks import gaussian
from vgen_jax.nn.bottlenecks import quantize

SHAPE = (4, 8, 8, 3)
VIDEO = arrays.uniform((2, *SHAPE), low=-1)


def frames(**fields):
  fields = {'bottleneck': gaussian.Gaussian(5), 'widths': (4, 8, 8), **fields}
  return conv_vae.FrameVAE(SHAPE, **fields)


def clip(**fields):
  fields = {'bottleneck': gaussian.Gaussian(5), 'widths': (4, 8, 8), **fields}
  return conv_vae.ClipVAE(SHAPE, **{'time_strides': (1, 2, 2), **fields})


def outcome(model, video):
  """Returns latents and decoded frames, with random parameters."""
  variables, apply = applied(model)
  reconstructed, output = apply(variables, video)
  return output.latent_bthwd, reconstructed


@functools.cache
def applied(model):
  """Returns random variables and a compiled function of them and clips."""
  variables = compiled.init(model, jax.random.key(1), VIDEO)
  return variables, compiled.jit(model.apply)


def test_frame_vae_encodes_each_frame_separately():
  model = frames()
  latent, reconstructed = outcome(model, VIDEO)
  assert latent.shape == (2, 4, 1, 1, 5)
  assert model.latent_shape(SHAPE) == latent.shape[1:]
  assert reconstructed.shape == VIDEO.shape
  # Frames are independent: the result for another order is reordered.
  reordered = [x[:, ::-1] for x in outcome(model, VIDEO[:, ::-1])]
  for one, two in zip((latent, reconstructed), reordered, strict=True):
    np.testing.assert_allclose(one, two, atol=1e-5)
  assert np.abs(jnp.diff(latent, axis=1)).min(1).max() > 1e-3
  # Clips may have any number of frames.
  assert outcome(model, VIDEO[:, :3])[1].shape == (2, 3, 8, 8, 3)


def test_clip_vae_has_one_latent_per_clip():
  model = clip()
  latent, reconstructed = outcome(model, VIDEO)
  assert latent.shape == (2, 1, 1, 1, 5)
  assert model.latent_shape(SHAPE) == latent.shape[1:]
  assert reconstructed.shape == VIDEO.shape
  changed, _ = outcome(model, arrays.put(VIDEO, np.s_[:, 3], 0))
  assert np.abs(changed - latent).max() > 1e-3
  reordered, _ = outcome(model, VIDEO[:, ::-1])
  assert np.abs(reordered - latent).max() > 1e-3


def test_other_bottlenecks_can_be_used():
  """A plain autoencoder, and an autoencoder with one code per clip."""
  latent, _ = outcome(clip(bottleneck=gaussian.Identity(7)), VIDEO)
  assert latent.shape == (2, 1, 1, 1, 7)
  latent, _ = outcome(frames(bottleneck=quantize.VQ(16, 3)), VIDEO)
  assert latent.shape == (2, 4, 1, 1, 3)


def test_parameter_count_of_default_widths():
  """Counted by hand: the dense layer has 4 x 4 x 256 inputs, 2 * 64 outputs."""
  model = conv_vae.FrameVAE((1, 64, 64, 3), gaussian.Gaussian(64))
  params = jax.eval_shape(
    model.init, jax.random.key(0), np.zeros((1, 1, 64, 64, 3))
  )['params']
  count = lambda tree: sum(x.size for x in jax.tree.leaves(tree))
  convs = [(3, 32), (32, 64), (64, 128), (128, 256)]
  kernels = sum(16 * i * o for i, o in convs)
  assert count(params['encoder']) == kernels + 32 + 64 + 128 + 256
  assert count(params['bottleneck']) == 4096 * 128 + 128
  assert count(params['decoder']) == (
    64 * 4096 + 4096 + kernels + 128 + 64 + 32 + 3
  )


@pytest.mark.parametrize(
  ('make', 'match'),
  [
    (lambda: frames(widths=(4, 4, 4, 4)), 'multiples of 16'),
    (lambda: frames(widths=()), 'Number of widths is 0'),
    (lambda: frames(widths=(0,)), 'is 0; it must be at least 1'),
    (lambda: clip(widths=(), time_strides=()), 'Number of widths is 0'),
    (lambda: clip(time_strides=(2, 2, 2)), 'multiples of 8'),
    (lambda: clip(time_strides=(1, 2)), 'needs one entry of each'),
    (lambda: clip().latent_shape((6, 8, 8, 3)), r'is built for \(4, 8'),
    (lambda: frames().latent_shape((4, 8, 16, 3)), r'is built for \(4, 8'),
  ],
)
def test_clips_of_unsuitable_shapes_raise(make, match):
  with pytest.raises(ValueError, match=match):
    make()
