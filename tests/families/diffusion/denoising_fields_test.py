"""Tests of the fields of denoising.py: specs, and errors."""

import flax.linen as nn
import pytest

from vgen_jax.config import build
from vgen_jax.core.types import Schema
from vgen_jax.families.diffusion import denoising
from vgen_jax.families.diffusion import paths
from vgen_jax.families.diffusion import solvers
from vgen_jax.families.diffusion import times

CLIP_SHAPE = (3, 4, 4, 1)


class Net(nn.Module):
  """A network that is never called."""


def test_specs_build_the_whole_model():
  spec = {
    'name': 'families.diffusion.denoising.Diffusion',
    'denoiser': Net(),
    'path': {
      'name': 'families.diffusion.paths.VarianceExploding',
      'sigma_max': 20.0,
    },
    'prediction': 'edm',
    'time_density': {
      'name': 'families.diffusion.times.LogNormal',
      'mean': -1.0,
    },
    'solver': {'name': 'families.diffusion.solvers.Heun', 'num_steps': 4},
    'guidance_interval': [0.1, 0.9],
  }
  model = build.model(spec, Schema(CLIP_SHAPE, num_classes=3))
  assert model.solver == solvers.Heun(4)
  assert model.path == paths.VarianceExploding(sigma_max=20.0)
  assert model.time_density == times.LogNormal(-1.0)
  assert model.condition_keys == ('label',)


@pytest.mark.parametrize(
  ('kwargs', 'message'),
  [
    ({'prediction': 'score'}, r"model.prediction is 'score'; .*'velocity'"),
    (
      {'weight': 'snr'},
      r"model.weight is 'snr'; it must be one of .*'min_snr'",
    ),
    (
      {'clip_x0': 'yes'},
      r"model.clip_x0 is 'yes'; it must be one of .*'static'",
    ),
    ({'sigma_data': 0.0}, 'model.sigma_data is 0.0; it must be positive'),
    ({'min_snr_gamma': -1.0}, 'model.min_snr_gamma is -1.0'),
    (
      {'class_dropout': 1.5},
      'model.class_dropout is 1.5; it must be from 0 to 1',
    ),
    ({'guidance_interval': (0.5, 0.2)}, r'guidance_interval is \(0.5, 0.2\)'),
    ({'guidance': 2.0}, 'model.guidance is 2.0, .* num_classes is 0'),
    (
      {'guidance': 2.0, 'num_classes': 3, 'class_dropout': 0.0},
      'class_dropout 0.0. Set guidance to 1',
    ),
    (
      {'path': paths.VarianceExploding()},
      "'velocity', which is unbounded .* VarianceExploding; use",
    ),
    (
      {'path': paths.VarianceExploding(), 'prediction': 'x0', 'weight': 'v'},
      "model.weight is 'v', which is unbounded",
    ),
  ],
)
def test_wrong_fields(kwargs, message: str):
  with pytest.raises(ValueError, match=message):
    denoising.Diffusion(CLIP_SHAPE, Net(), **kwargs)
