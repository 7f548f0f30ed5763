"""Tests of models/magvit_vqgan.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.models import magvit_vqgan
from vgen_jax.nn.bottlenecks import lookup_free
from vgen_jax.nn.bottlenecks import quantize


def small(**fields) -> magvit_vqgan.MagvitVQGAN:
  fields = dict(width=4, multipliers=(1, 1, 2), num_blocks=1) | fields
  fields = dict(halves_time=(True, True)) | fields
  bottleneck = lookup_free.LFQ(num_bits=4)
  return magvit_vqgan.MagvitVQGAN(bottleneck, **fields)


def clips(num_frames: int):
  shape = (2, num_frames, 8, 8, 3)
  return arrays.uniform(shape, low=-1)


def initial(model, x):
  return compiled.init(model, jax.random.key(0), x, None, train=False)


def block(before: int, after: int) -> int:
  """Returns the number of parameters of a residual block, by hand."""
  skip = before * after if before != after else 0
  return 2 * before + 27 * before * after + 2 * after + 27 * after**2 + skip


def test_paper_has_the_parameters_of_the_released_code():
  """The paper states 41 million parameters for its base tokenizer."""
  kernel = lambda i, o: 27 * i * o
  encoder = kernel(3, 64) + 2 * block(64, 64)
  encoder += block(64, 128) + 3 * block(128, 128)
  encoder += block(128, 256) + 3 * block(256, 256) + 2 * 256
  decoder = kernel(256, 256) + 256 + 4 * block(256, 256)
  decoder += kernel(256, 256) + 256 + block(256, 128) + block(128, 128)
  decoder += 2 * (kernel(128, 128) + 128) + 2 * block(128, 128)
  decoder += block(128, 64) + block(64, 64) + 2 * 64 + kernel(64, 3) + 3
  codebook = 256 * 256 + 256 + 1024 * 256
  model = magvit_vqgan.MagvitVQGAN(quantize.VQ(1024, 256))
  shapes = jax.eval_shape(
    lambda: model.init(
      jax.random.key(0), jnp.zeros((1, 16, 128, 128, 3)), None, train=False
    )
  )['params']
  count = sum(x.size for x in jax.tree.leaves(shapes))
  assert count == encoder + decoder + codebook == 40_579_843
  assert model.latent_shape((16, 128, 128, 3)) == (4, 16, 16, 256)


@pytest.mark.parametrize(('causal', 'num_frames'), [(False, 8), (True, 9)])
def test_receptive_field_of_latents_and_frames(causal: bool, num_frames: int):
  """If causal, latent j depends on frames 0 to 4 j, and on no later ones."""
  model = small(causal=causal)
  x = clips(num_frames)
  variables = initial(model, x)
  encode = compiled.jit(lambda x: model.apply(variables, x, method='encode'))
  decode = compiled.jit(lambda z: model.apply(variables, z, method='decode'))
  differs = lambda one, two: np.abs(one - two).max((0, 2, 3, 4)) > 0
  before = encode(x)
  dependences = [
    differs(encode(arrays.add(x, np.s_[:, t], 0.5)), before)
    for t in range(num_frames)
  ]
  depends_tj = np.stack(dependences)
  t, j = np.indices(depends_tj.shape)
  later = t > 4 * j
  if not causal:
    assert depends_tj[later].any()  # What the test would catch.
    return
  assert not depends_tj[later].any()
  assert depends_tj[~later & (t > 4 * j - 4)].all()  # At least its own frames.
  alone = compiled.apply(model, variables, x[:, :1], method='encode')
  np.testing.assert_allclose(alone, before[:, :1], atol=1e-5)

  z = arrays.normal((2, *model.latent_shape(x.shape[1:])), 1)
  depends = differs(decode(arrays.add(z, np.s_[:, 1], 1.0)), decode(z))
  assert not depends[0]  # The first frame only depends on the first latent.
  assert depends[1:].all()


def test_reconstructions_have_the_shape_of_clips_and_equal_decoded_codes():
  model = small(causal=True)
  x = clips(5)
  variables = initial(model, x)
  call = compiled.jit(
    lambda x, method: model.apply(variables, x, method=method),
    static_argnums=1,
  )
  codes = call(x, 'codes')
  assert codes.shape == (2, 2, 2, 2)
  reconstructed = call(codes, 'from_codes')
  assert reconstructed.shape == x.shape
  np.testing.assert_allclose(reconstructed, call(x, '__call__')[0], atol=1e-5)


def test_halving_averages_and_doubling_repeats():
  x = np.arange(5.0).reshape(1, 5, 1, 1, 1)
  halved = lambda **how: magvit_vqgan._halve(x, **how)[0, :, 0, 0, 0]
  np.testing.assert_array_equal(halved(), [0.5, 2.5, 4])
  np.testing.assert_array_equal(halved(causal=True), [0, 1.5, 3.5])
  np.testing.assert_array_equal(halved(time=False), np.arange(5.0))
  doubled = lambda causal: magvit_vqgan._double(x[:, :3], True, causal)
  np.testing.assert_array_equal(doubled(True)[0, :, 0, 0, 0], [0, 1, 1, 2, 2])
  assert doubled(False).shape == (1, 6, 2, 2, 1)


def test_critic_logits_depend_only_on_their_clip():
  critic = magvit_vqgan.Critic(width=4, multipliers=(1, 2))
  x = clips(5)
  key = jax.random.key(0)
  variables = compiled.init(critic, key, x, {}, None, train=False)
  logits_of = compiled.jit(
    lambda x: critic.apply(variables, x, {}, None, train=False)
  )
  logits = logits_of(x)
  assert logits.shape == (2, 1)
  changed = logits_of(arrays.put(x, 1, 0.0))
  np.testing.assert_allclose(changed[0], logits[0], rtol=1e-5)
  assert changed[1] != logits[1]


@pytest.mark.parametrize('causal', [False, True])
def test_the_first_latent_is_declared_to_encode_one_frame(causal: bool):
  """The declaration is true if and only if a single frame has a latent."""
  model = small(causal=causal)
  assert model.encodes_first_frame_alone == causal
  if causal:
    assert model.latent_shape((1, 8, 8, 3))[0] == 1
  else:
    with pytest.raises(ValueError, match='number of frames a multiple of'):
      model.latent_shape((1, 8, 8, 3))


def test_invalid_shapes_and_fields_raise():
  with pytest.raises(ValueError, match='one entry for each'):
    small(halves_time=(True,))
  with pytest.raises(ValueError, match='1 more than a multiple of 4'):
    small(causal=True).latent_shape((8, 8, 8, 3))
