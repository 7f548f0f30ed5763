"""Tests of the size of the paper of video-to-video synthesis."""

import pathlib

import jax
import jax.numpy as jnp
import pytest

from tests.families.translation import tiny
from vgen_jax.config import build
from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib


@pytest.mark.slow
def test_the_size_of_the_paper_can_be_traced():
  """All losses are traced, not computed."""
  path = pathlib.Path(__file__).parents[3] / 'configs/vid2vid_layouts.py'
  settings = settings_lib.read(config_lib.load(f'{path}:paper'))
  schema = build.source(settings.data, settings.clip_shape).schema
  net = build.model(settings.model, schema)
  t, h, w, c = settings.clip_shape
  batch = {
    'video': jnp.zeros((1, t, h, w, c)),
    'layout': jnp.zeros((1, t, h, w), int),
    'flow': jnp.zeros((1, t, h, w, 2)),
  }
  params = jax.eval_shape(lambda x: tiny.variables(net, x), batch)['params']
  assert set(params) == set(net.players)
  scales = {name[-1] for name in params['generator'] if '_encoder_' in name}
  assert scales == {'0', '1'}
