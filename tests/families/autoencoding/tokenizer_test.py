"""Tests of tokenizer.py, with autoencoders of one or two parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import compiled
from tests.families import tiny_autoencoder as tiny
from vgen_jax.families.base import Update


@pytest.mark.parametrize(
  ('kind', 'distance'), [('l1', 0.3), ('l2', 0.1), ('huber', 0.05)]
)
def test_loss_by_hand(kind: str, distance: float):
  model = tiny.make(
    reconstruction=kind, reconstruction_weight=2.0, bottleneck_weight=0.5
  )
  loss, terms, _, _ = tiny.run(model, tiny.BATCH)
  assert terms['reconstruction'] == pytest.approx(distance)
  assert loss == pytest.approx(2 * distance + 0.5 * 3)
  assert terms['bottleneck'] == terms['constant'] == 3
  # Two units from black to white: 10 log10(4 / square), its mean over clips.
  psnr = (10 * np.log10(4 / 0.16) + 10 * np.log10(4 / 0.04)) / 2
  assert terms['psnr'] == pytest.approx(psnr, rel=1e-5)


def test_huber_is_linear_for_large_errors():
  model = tiny.make(autoencoder=tiny.Doubler(-2.0), reconstruction='huber')
  batch = tiny.batch_of([1.0])  # The reconstruction is -4.
  _, terms, _, _ = tiny.run(model, batch)
  assert terms['reconstruction'] == pytest.approx(5 - 0.5)


def test_perceptual_distance_is_added():
  distance = lambda one, two: 10 * (one - two).mean((1, 2, 3, 4))
  model = tiny.make(perceptual=distance, perceptual_weight=0.1)
  loss, terms, _, _ = tiny.run(model, tiny.BATCH)
  assert terms['perceptual'] == pytest.approx(3)
  assert loss == pytest.approx(0.1 + 0.3 + 3)


def test_updates():
  assert tiny.make().updates == (Update('autoencoder'),)
  assert tiny.make(critic={'a': tiny.Slope(), 'b': tiny.Slope()}).updates == (
    Update('autoencoder'),
    Update('critic_a', with_previous=True),
    Update('critic_b', with_previous=True),
  )
  late = tiny.make(critic={'a': tiny.Slope()}, critic_start=3)
  assert late.updates[1] == Update('critic_a', with_previous=True, start=3)
  assert late.start_steps == {'autoencoder': 0, 'critic_a': 3}


def test_samples_are_reconstructions():
  model = tiny.make()
  assert model.num_known == tiny.SHAPE[0]
  key_b = jax.random.split(jax.random.key(0), 2)
  variables = compiled.init(
    model,
    {'params': jax.random.key(0), **tiny.NOISE},
    tiny.BATCH,
  )
  video = 3 * tiny.BATCH['video']
  sample = lambda **x: model.apply(variables, key_b, x, method='sample')
  np.testing.assert_allclose(
    sample(known_video=video), (0.5 * video).clip(-1, 1)
  )
  with pytest.raises(ValueError, match="no 'known_video'"):
    sample()
  with pytest.raises(ValueError, match='label'):
    sample(known_video=video, label=jnp.zeros(2, jnp.int32))


def test_wrong_fields_and_parts_are_errors():
  with pytest.raises(ValueError, match="'l3'; it must be one of"):
    tiny.make(reconstruction='l3')
  with pytest.raises(
    ValueError, match='critic_start is -1; it must be at least 0'
  ):
    tiny.make(critic_start=-1)

  class Headless(tiny.Doubler):
    def decode(self, latent_bthwd, *, train=False):
      return latent_bthwd

  model = tiny.make(autoencoder=Headless(), critic={'clip': tiny.Slope()})
  with pytest.raises(ValueError, match='no parameter decoder/out/kernel'):
    tiny.run(model, tiny.BATCH)
