"""Tests of families/latent.py with a tokenizer that rounds mean brightness."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from tests.families import rounding
from vgen_jax.families import base
from vgen_jax.families import latent
from vgen_jax.families.codes import masked
from vgen_jax.families.diffusion import denoising
from vgen_jax.families.prediction import recurrent
from vgen_jax.models import dit
from vgen_jax.models import maskgit
from vgen_jax.models import rnn
from vgen_jax.models import vae3d
from vgen_jax.nn.bottlenecks import lookup_free
from vgen_jax.runtime import sharding

CLIP_SHAPE = (4, 4, 4, 1)
GRID = (2, 2, 2)
KEY_B = arrays.keys(3, 1)
# Cells of 2 x 2 x 2 pixels, each of one of three values.
CODES = arrays.integers((3, *GRID), 3)


class Fixed(base.VideoModel):
  """Generates a constant; has an update with a penalty."""

  critic: nn.Module
  penalty_name: str = 'penalty'
  value: float = 3.0

  @property
  def updates(self):
    return (base.Update('critic'), base.Update('critic', self.penalty_name))

  def loss(self, batch, *, player, train):
    return self.critic(batch['video']).mean(), {}

  def penalty(self, batch, *, player, train):
    return jnp.square(batch['video']).mean(), {}

  def sample(self, key_b, condition):
    return self.sample_unclipped(key_b, condition).clip(-1, 1)

  def sample_unclipped(self, key_b, condition):
    return jnp.full((len(key_b), *self.clip_shape), self.value)


def over_codes(net=None, **kwargs):
  net = net or maskgit.MaskGIT(3, 8, 1, 2, dropout=0.0)
  prior = masked.Masked(CLIP_SHAPE, net, num_steps=4)
  return latent.Latent(
    CLIP_SHAPE, rounding.Tokenizer(rounding.Rounding(), **kwargs), prior
  )


def init(model):
  rngs = {'params': jax.random.key(2), 'noise': jax.random.key(3)}
  return compiled.init(model, rngs, {'video': np.zeros((2, *CLIP_SHAPE))})


def generate(model, variables, condition=None):
  return compiled.apply(
    model, variables, KEY_B, condition or {}, method='sample'
  )


def test_parts_are_the_priors_and_only_they_are_trained():
  model = over_codes()
  assert model.prior.clip_shape == (*GRID, 1)
  assert model.players == ('transformer',)
  assert set(init(model)['params']) == {'autoencoder', 'transformer'}
  net = dit.VideoDiT(8, 2, 2, patch_size=(1, 1, 1))
  prior = denoising.Diffusion(CLIP_SHAPE, net)
  model = latent.Latent(
    CLIP_SHAPE, rounding.Tokenizer(rounding.Rounding(0)), prior
  )
  assert model.players == ('denoiser',)
  variables = init(model)
  assert set(variables['params']) == {'autoencoder', 'denoiser'}
  assert set(variables['latent_moments']) == {'autoencoder'}
  assert sharding.rules_of(model) == dit.TENSOR_RULES


def test_loss_equals_the_priors_on_codes():
  model = over_codes()
  variables = init(model)

  def compute(model, variables, batch):
    return compiled.apply(
      model,
      variables,
      batch,
      player='transformer',
      train=True,
      method='loss',
      rngs={'noise': jax.random.key(5), 'dropout': jax.random.key(6)},
    )

  whole = compute(model, variables, {'video': rounding.decoded(CODES)})
  own = {'params': {'transformer': variables['params']['transformer']}}
  prior = model.prior.clone(parent=None)
  expected = compute(prior, own, {'codes': CODES})
  jax.tree.map(np.testing.assert_array_equal, whole, expected)
  other = compute(prior, own, {'codes': (CODES + 1) % 3})
  assert other[0] != expected[0]


def test_known_pixels_condition_the_prior_and_are_kept():
  """Given one cell of brightness 1, all codes are 1; known pixels are kept."""
  model = over_codes(rounding.Copies())
  variables = init(model)
  video = np.full((3, *CLIP_SHAPE), -1.0, np.float32)
  known = np.zeros((3, *CLIP_SHAPE), bool)
  video[:, :2, :2, :2], known[:, :2, :2, :2] = 0.9, True
  # A pixel, but not a whole cell.
  video[:, 0, 3, 3], known[:, 0, 3, 3] = 0.25, True
  generated = generate(model, variables, {'known_video': video, 'known': known})
  expected = np.where(known, video, 1.0)
  np.testing.assert_array_equal(generated, expected)
  with pytest.raises(ValueError, match=r"'known_codes'\] is given"):
    generate(model, variables, {'known_codes': CODES})
  free = generate(model, variables)
  assert set(np.unique(free)) <= {-1, 0, 1}


def test_unknown_pixels_are_forward_filled():
  """Unknown frames of a partly known cell have the last known value."""
  video = np.arange(4.0).reshape(1, 4, 1, 1, 1)
  known = np.array([False, True, False, True]).reshape(1, 4, 1, 1, 1)
  filled = compiled.call(latent._forward_filled, video, known)
  np.testing.assert_array_equal(filled.ravel(), [0, 1, 1, 3])


def test_latents_are_standardized_and_not_clipped():
  tokenizer = rounding.Tokenizer(rounding.Rounding(0))
  model = latent.Latent(CLIP_SHAPE, tokenizer, Fixed(CLIP_SHAPE, nn.Dense(1)))
  variables = init(model)
  latents = 0.2 * arrays.normal((64, *GRID, 1)) + 0.1
  video = rounding.decoded(latents[..., 0] + 1)
  own = {
    'params': variables['params']['autoencoder'],
    'latent_moments': variables['latent_moments']['autoencoder'],
  }
  _, updated = compiled.apply(
    tokenizer, own, video, train=True, mutable=['latent_moments']
  )
  moments = {'latent_moments': {'autoencoder': updated['latent_moments']}}
  loss = lambda method: compiled.apply(
    model,
    {**variables, **moments},
    {'video': video},
    player='critic',
    train=True,
    method=method,
  )[0]
  assert loss('penalty') == pytest.approx(1, abs=1e-4), 'The mean square is 1.'
  kernel = variables['params']['critic']['kernel']
  assert loss('loss') == pytest.approx(0, abs=1e-5 + abs(float(kernel[0, 0])))
  generated = generate(model, {**variables, **moments})
  bright = float(latents.mean() + 3 * latents.std())  # The prior generates 3.
  np.testing.assert_allclose(generated, bright, atol=1e-4)


def test_generated_latents_are_quantized_if_there_is_a_codebook():
  def sample(num_codes: int):
    prior = Fixed(CLIP_SHAPE, nn.Dense(1), value=0.4)
    model = latent.Latent(
      CLIP_SHAPE, rounding.Tokenizer(rounding.Rounding(num_codes)), prior
    )
    return generate(model, init(model))

  np.testing.assert_allclose(sample(0), 0.4)
  np.testing.assert_allclose(sample(3), 0)  # The nearest of -1, 0 and 1.


@pytest.mark.parametrize(
  ('make', 'match'),
  [
    (
      lambda: over_codes(maskgit.MaskGIT(4, 8, 1, 2)),
      'Masked, is built for num_codes 4, but model.autoencoder has 3 codes',
    ),
    (
      lambda: latent.Latent(
        CLIP_SHAPE,
        rounding.Tokenizer(rounding.Rounding(0)),
        over_codes().prior.clone(),
      ),
      'but model.autoencoder has no codes, but latents',
    ),
    (
      lambda: latent.Latent(
        CLIP_SHAPE,
        rounding.Tokenizer(rounding.Rounding()),
        Fixed(CLIP_SHAPE, nn.Dense(1), penalty_name='fine'),
      ),
      r"Fixed, is trained with \['fine', 'loss'\]; over latents only",
    ),
    (
      lambda: latent.Latent(
        CLIP_SHAPE,
        rounding.Tokenizer(rounding.Rounding(0)),
        recurrent.Recurrent(CLIP_SHAPE, rnn.RNN(), num_context=1),
      ),
      'model.prior, Recurrent, needs first frames as input',
    ),
  ],
)
def test_incompatible_parts_are_an_error(make, match):
  with pytest.raises(ValueError, match=match):
    make()


def test_the_first_code_of_a_causal_tokenizer_is_of_one_frame():
  """Codes cover frames 0, 1 to 4 and 5 to 8, not three frames each."""
  autoencoder = vae3d.VAE3D(
    lookup_free.LFQ(2), 2, (1, 1, 1), halves_time=(True, True)
  )
  prior = masked.Masked(CLIP_SHAPE, maskgit.MaskGIT(4, 8, 1, 2))
  model = latent.Latent((9, 4, 4, 1), autoencoder, prior)
  assert autoencoder.encodes_first_frame_alone
  known_codes = compiled.jit(model._known_codes)
  for first, end, codes in (
    (0, 3, [1, 0, 0]),
    (0, 5, [1, 1, 0]),
    (6, 9, [0, 0, 0]),
    (5, 9, [0, 0, 1]),
  ):
    known = np.zeros((1, 9, 4, 4, 1), bool)
    known[:, first:end] = True
    np.testing.assert_array_equal(known_codes(known).ravel(), codes)


@pytest.mark.parametrize('key', ['known', 'known_video'])
def test_known_video_needs_its_mask_and_vice_versa(key: str):
  model = over_codes(rounding.Copies())
  with pytest.raises(ValueError, match='give both, or neither'):
    generate(model, {'params': {}}, {key: np.zeros((3, *CLIP_SHAPE))})


def test_uneven_codes_cannot_be_known():
  model = over_codes(rounding.Copies(), halves_time=False)
  with pytest.raises(ValueError, match=r'do not divide into .* codes evenly'):
    model._known_codes(np.zeros((1, *CLIP_SHAPE), bool))
