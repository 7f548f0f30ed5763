"""Tests of build.py: what a config says wrong, it is told."""

import pytest

from vgen_jax import build
from vgen_jax.families import paths
from vgen_jax.models import unet3d
from vgen_jax.types import Schema

SCHEMA = Schema((4, 8, 8, 1), num_classes=3)
NET = {'name': 'unet3d.UNet3D', 'width': 8}


def diffusion(**fields) -> dict:
  return {'name': 'diffusion.Diffusion', 'denoiser': NET, **fields}


def test_networks_are_built_in_place_and_told_of_the_data():
  model = build.model(diffusion(), SCHEMA)
  assert model.denoiser == unet3d.UNet3D(width=8, num_classes=3)
  assert model.clip_shape == (4, 8, 8, 1)
  assert model.num_classes == 3


def test_what_the_spec_says_comes_first():
  net = NET | {'num_classes': 0}
  assert build.model(diffusion(denoiser=net), SCHEMA).denoiser.num_classes == 0


def test_methods_are_built_beside_their_family():
  model = build.model(diffusion(path={'name': 'paths.Cosine'}), SCHEMA)
  assert model.path == paths.Cosine()


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'denoiser': NET | {'name': 'unet.U'}}, "no file 'unet' .* mean 'unet3d'"),
    ({'denoiser': NET | {'name': 'unet3d.UNet'}}, "no class 'UNet' .*'UNet3D'"),
    ({'denoiser': NET | {'name': 'unet3d.nn'}}, "no class 'nn' in"),
    (
      {'denoiser': NET | {'widht': 8}},
      "takes no 'widht'. Did you mean 'width'",
    ),
    ({'denoiser': NET | {'parent': 8}}, "takes no 'parent'"),
    ({'denoiser': {'name': 'unet3d.UNet3D'}}, r"needs \['width'\] as well"),
    ({'sovler': {}}, r"config\.model: .* no 'sovler'. Did you mean 'solver'\?"),
    ({'solver': {'name': 'solvers.Eule'}}, "Did you mean 'Euler'"),
  ],
)
def test_typos_are_named(fields: dict, message: str):
  with pytest.raises(ValueError, match=message):
    build.model(diffusion(**fields), SCHEMA)


def test_a_spec_needs_a_name():
  with pytest.raises(ValueError, match=r"config\.data has no 'name'"):
    build.source({'nam': 'world.World'}, (4, 8, 8, 3))


def test_context_goes_where_it_is_taken():
  source = build.source({'name': 'world.World'}, (4, 8, 8, 3), split='test')
  assert (source.split, source.clip_shape) == ('test', (4, 8, 8, 3))


def test_a_name_may_lead_through_rooms():
  source = build.source({'name': 'worlds.bounce.Bounce'}, (4, 16, 16, 3))
  assert type(source).__module__ == 'vgen_jax.data.worlds.bounce'
  assert source.clip_shape == (4, 16, 16, 3)


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('wolds.bounce.Bounce', "no file 'wolds' in vgen_jax.data. .*'worlds?'"),
    ('worlds.bonce.Bounce', "'bonce' in .*data.worlds. Did you mean 'bounce'"),
    ('worlds.bounce.Bonce', 'worlds.bounce. Did you mean .Bounce.'),
    ('worlds.Bounce', "no class 'Bounce' in .*worlds. Did you mean 'bounce'"),
    ('world.bounce.Bounce', "no file 'bounce' in vgen_jax.data.world. It has"),
    ('world', "no class '' in vgen_jax.data.world. It has"),
  ],
)
def test_a_lost_way_is_told_where_it_was_lost(name: str, message: str):
  with pytest.raises(ValueError, match=message):
    build.source({'name': name}, (4, 16, 16, 3))
