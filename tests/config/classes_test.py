"""Tests of config/classes.py: base classes cannot be named in a spec."""

import re

import pytest

from vgen_jax.config import build
from vgen_jax.config import classes
from vgen_jax.core.types import Schema

SCHEMA = Schema((4, 8, 8, 3), num_classes=3)


@pytest.mark.parametrize(
  ('packages', 'name', 'missing', 'derived'),
  [
    (
      classes.MODEL_PACKAGES, 'families.base.VideoModel',
      'loss, updates', 'families.diffusion.denoising.Diffusion',
    ),
    (
      classes.MODEL_PACKAGES, 'families.adversarial.gan_clips.GANClips',
      'loss, updates', 'families.adversarial.gan.GAN',
    ),
    (
      classes.MODEL_PACKAGES, 'families.prediction.sequential.SequentialVAE',
      'loss', 'families.prediction.stochastic.Stochastic',
    ),
    (
      classes.MODEL_PACKAGES, 'families.codes.code_model.CodeModel',
      'loss', 'families.codes.masked.Masked',
    ),
    (
      classes.MODEL_PACKAGES, 'families.diffusion.paths.Path',
      'scales, time', 'families.diffusion.paths.Cosine',
    ),
    (
      classes.MODEL_PACKAGES, 'families.diffusion.solvers.Solver',
      'advance', 'families.diffusion.solvers.Heun',
    ),
    (
      classes.MODEL_PACKAGES, 'nn.bottlenecks.autoencoder.Autoencoder',
      'decode, encode, latent_shape', 'models.vae3d.VAE3D',
    ),
    (
      classes.MODEL_PACKAGES, 'nn.bottlenecks.quantizer.Quantizer',
      'lookup, nearest', 'nn.bottlenecks.lookup_free.FSQ',
    ),
    (
      classes.MODEL_PACKAGES, 'nn.convolution.recurrent.Predictor',
      'initial_carry', 'models.world_transformer.WorldTransformer',
    ),
    (
      classes.MODEL_PACKAGES, 'nn.latent_prediction.LatentPredictor',
      '__call__, encode_targets, initial_carry', 'models.savp.SAVP',
    ),
    (
      classes.MODEL_PACKAGES, 'nn.translation.Translator',
      '__call__', 'models.vid2vid.Generator',
    ),
    (
      classes.DATA_PACKAGES, 'synthetic.base.SyntheticDataset',
      '__getitem__', 'synthetic.two_futures.source.TwoFutures',
    ),
  ],
)  # fmt: skip
def test_a_base_class_is_an_error_that_lists_classes(
  packages, name, missing, derived
):
  with pytest.raises(ValueError, match=r'^config\.x\.name is') as error:
    classes.resolve(packages, name, 'config.x')
  start = f'{name!r}; this is a base class, which does not define {missing}.'
  assert start in str(error.value)
  listed = str(error.value).rpartition(': ')[2].removesuffix('.').split(', ')
  assert derived in listed
  assert name not in listed
  for other in listed:  # Each of them may be named.
    assert classes.resolve(packages, other, 'config.x')


def test_the_error_states_the_path_of_the_spec():
  spec = {
    'name': 'families.diffusion.denoising.Diffusion',
    'denoiser': {'name': 'models.unet3d.UNet3D', 'width': 8},
    'path': {'name': 'families.diffusion.paths.Path'},
  }
  message = r'^config\.model\.path\.name is .* base class, .*paths\.Linear'
  with pytest.raises(ValueError, match=message):
    build.model(spec, SCHEMA)


def test_a_protocol_is_an_error():
  message = "'data.text.Tokenizer'; this is a protocol"
  with pytest.raises(ValueError, match=message):
    classes.resolve(classes.DATA_PACKAGES, 'data.text.Tokenizer', 'config.x')


def test_classes_of_other_packages_must_define_all_methods(
  tmp_path, monkeypatch
):
  tmp_path.joinpath('half_a_family.py').write_text(
    'from vgen_jax.families.base import VideoModel\n'
    'class Half(VideoModel):\n'
    '  def loss(self, batch, *, player, train):\n'
    '    return 0.0, {}\n'
    'class Whole(Half):\n'
    '  updates = ()\n'
  )
  monkeypatch.syspath_prepend(tmp_path)
  message = re.escape("'half_a_family.Half'; this is a base class, which does")
  with pytest.raises(ValueError, match=f'{message} not define updates'):
    build.model({'name': 'half_a_family.Half'}, SCHEMA)
  assert build.model({'name': 'half_a_family.Whole'}, SCHEMA)
