"""Tests of families/latent.py that generate more frames than a clip has."""

import jax
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.families import latent
from vgen_jax.families.codes import autoregressive
from vgen_jax.models import patch_tokenizer
from vgen_jax.models import videogpt
from vgen_jax.nn.bottlenecks import lookup_free

CLIP_SHAPE = (4, 8, 8, 1)  # 2 x 2 x 2 codes.
KEY_B = arrays.keys(3)
TOKENIZER = patch_tokenizer.PatchTokenizer(
  lookup_free.FSQ((4, 4)), (2, 4, 4), width=8, num_channels=1
)
NETWORK = videogpt.VideoGPT(16, 16, 1, 2, positions='rotary', dropout=0.0)


@pytest.fixture(scope='module')
def generate():
  """Returns a function that generates 10 frames, of which some are known."""
  prior = autoregressive.Autoregressive(
    CLIP_SHAPE, NETWORK, num_frames=5, window=1
  )
  model = latent.Latent(CLIP_SHAPE, TOKENIZER, prior)
  rngs = {'params': jax.random.key(2), 'noise': jax.random.key(3)}
  batch = {'video': np.zeros((1, *CLIP_SHAPE))}
  rng = np.random.default_rng(0)
  variables = jax.tree.map(
    lambda x: np.float32(0.5 * rng.standard_normal(x.shape)),
    jax.eval_shape(model.init, rngs, batch),
  )
  variables['latent_moments'] = jax.tree.map(
    np.zeros_like, variables['latent_moments']
  )

  @compiled.jit
  def apply(condition):
    return model.apply(variables, KEY_B, condition, method='sample')

  def sample(video, num_known: int):
    known = np.arange(video.shape[1])[None, :, None, None, None] < num_known
    known = np.broadcast_to(known, (*video.shape[:-1], 1))
    condition = {'known_video': video, 'known': known}
    return apply(condition)

  return sample


def clips(num_frames: int, seed: int = 1):
  shape = (3, num_frames, *CLIP_SHAPE[1:])
  return jax.random.uniform(jax.random.key(seed), shape, minval=-1)


def test_continues_a_clip(generate):
  clip, other = clips(4), clips(4, seed=2)
  long = generate(clip, 4)
  assert long.shape == (3, 10, *CLIP_SHAPE[1:])
  np.testing.assert_array_equal(long[:, :4], clip)
  # It depends on the known frames, each clip on its own.
  assert (generate(other, 4)[:, 4:6] != long[:, 4:6]).any((1, 2, 3, 4)).all()
  # It does not depend on unknown frames.
  half = arrays.put(clip, np.s_[:, 2:], other[:, 2:])
  np.testing.assert_array_equal(generate(half, 2), generate(clip, 2))
  # All frames of the result can be given, with some of them known.
  whole = clips(10)
  np.testing.assert_array_equal(generate(whole, 10), whole)
  np.testing.assert_array_equal(generate(whole, 6)[:, :6], whole[:, :6])


def test_too_many_known_frames_are_an_error(generate):
  with pytest.raises(ValueError, match='6 frames of codes, but A'):
    generate(clips(12), 4)
