"""Tests that a network output of the wrong shape raises an error."""

import pathlib

import jax
import pytest

from vgen_jax.config import build
from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.core.types import Schema
from vgen_jax.models import convlstm
from vgen_jax.models import dit
from vgen_jax.models import maskgit
from vgen_jax.models import mocogan
from vgen_jax.models import videogpt
from vgen_jax.nn.bottlenecks import autoencoder
from vgen_jax.training import step as step_lib

ROOT = pathlib.Path(__file__).parents[2]
CASES = {
  'dit_world': ('model', dit.VideoDiT, 'denoiser: VideoDiT returned shape'),
  'mocogan_world': ('model', mocogan.Generator, 'generator: Generator ret'),
  'fsq_world': ('model', autoencoder.Autoencoder, 'autoencoder: PatchTok'),
  'vae_world': ('model', autoencoder.Autoencoder, 'autoencoder: ClipVAE'),
  'convlstm_world': ('model', convlstm.ConvLSTM, 'predictor: ConvLSTM ret'),
  'maskgit_world': ('prior', maskgit.MaskGIT, 'transformer: MaskGIT ret'),
  'videogpt_world': ('prior', videogpt.VideoGPT, 'transformer: VideoGPT ret'),
}


def cut(output):
  """Returns the output of a network without its last channel."""
  if not isinstance(output, tuple):
    return output[..., :-1]
  first, *rest = output
  if hasattr(rest[0], 'shape') and not hasattr(first, 'shape'):
    return (first, cut(rest[0]))  # A carry and an output.
  return (cut(first), *rest)


@pytest.mark.parametrize('name', CASES)
def test_the_wrong_shape_is_named(name: str, monkeypatch):
  kind, network, message = CASES[name]
  config = settings_lib.read(config_lib.load(f'{name}:smoke'))
  source = build.source(config.data, config.clip_shape)
  batch = {k: x[None].repeat(2, 0) for k, x in source[0].items()}
  batch = step_lib.prepare(batch, 0)
  schema, spec = source.schema, config.model
  if kind == 'prior':
    spec = config.model['prior']
    grid = (2, 2, 2)
    schema = Schema((*grid, 1), schema.num_classes, schema.class_names)
    batch['codes'] = jax.numpy.zeros((2, *grid), jax.numpy.int32)
  model = build.model(spec, schema)
  call = network.__call__
  wrong = lambda self, *args, **kwargs: cut(call(self, *args, **kwargs))

  def loss(batch):
    rngs = {name: jax.random.key(0) for name in ('params', 'noise')}
    player = model.players[-1] if name == 'mocogan_world' else model.players[0]
    call = lambda model: model.loss(batch, player=player, train=True)
    return model.init_with_output(rngs, method=call)[0]

  # Not the function itself, whose trace is cached.
  traced = lambda: jax.eval_shape(lambda batch: loss(batch), batch)
  traced()  # The right shape is not refused.
  monkeypatch.setattr(network, '__call__', wrong)
  with pytest.raises(ValueError, match=f'config.model.{message}.*needs'):
    traced()
