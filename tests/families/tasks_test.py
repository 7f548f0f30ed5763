"""Tests of the tasks that families declare."""

import pytest

from tests.families import tiny_autoencoder as tiny
from vgen_jax.families import base
from vgen_jax.families import latent
from vgen_jax.families.adversarial import gan
from vgen_jax.families.autoencoding import vae
from vgen_jax.families.codes import masked
from vgen_jax.families.diffusion import denoising
from vgen_jax.families.prediction import holistic
from vgen_jax.families.prediction import recurrent
from vgen_jax.families.prediction import stochastic
from vgen_jax.models import dit
from vgen_jax.models import maskgit
from vgen_jax.models import patch_tokenizer
from vgen_jax.models import rnn
from vgen_jax.models import svg
from vgen_jax.models import videovae
from vgen_jax.nn.bottlenecks import autoencoder
from vgen_jax.nn.bottlenecks import lookup_free

SHAPE = (4, 8, 8, 1)
DIT = dit.VideoDiT(8, 1, 1, patch_size=(1, 1, 1))
DIFFUSION = denoising.Diffusion(SHAPE, DIT)
MASKED = masked.Masked((2, 2, 2, 1), maskgit.MaskGIT(16, 8, 1, 1))
VIDEO_VAE = videovae.VideoVAE(SHAPE, num_classes=2, layers=((4, 3, 2),))
TOKENIZER = patch_tokenizer.PatchTokenizer(
  lookup_free.FSQ((4, 4)), (2, 4, 4), width=8, num_channels=1
)
FAMILIES = [
  (gan.GAN(SHAPE, DIT, {'clip': tiny.Slope()}), ('generate',)),
  (DIFFUSION, ('generate',)),
  (MASKED, ('generate',)),
  (tiny.make(), ('reconstruct',)),
  (vae.VAE(SHAPE, TOKENIZER), ('generate', 'reconstruct')),
  (recurrent.Recurrent(SHAPE, rnn.RNN()), ('generate', 'predict')),
  (holistic.Holistic(SHAPE, VIDEO_VAE), ('generate', 'predict')),
  (stochastic.Stochastic(SHAPE, svg.SVG(SHAPE)), ('generate', 'predict')),
  (latent.Latent(SHAPE, TOKENIZER, DIFFUSION), ('generate', 'reconstruct')),
  (latent.Latent(SHAPE, TOKENIZER, MASKED), base.TASKS),
]


@pytest.mark.parametrize(
  ('model', 'tasks'), FAMILIES, ids=lambda x: type(x).__name__
)
def test_tasks_of_families(model, tasks):
  assert model.supported_tasks == tasks
  if 'predict' in tasks:
    assert 'known_video' in model.condition_keys
  if 'reconstruct' in tasks:
    assert isinstance(model.autoencoder, autoencoder.Autoencoder)
  # Without any unknown frame there is nothing to generate.
  assert ('generate' in tasks) == (model.num_known < model.clip_shape[0])
