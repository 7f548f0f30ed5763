"""Tests that a value of the wrong kind is an error that names its field.

Each case changes a config at size 'smoke', as a user does on the command line.
"""

from collections.abc import Callable, Mapping
import inspect
import pathlib
import re
from typing import Any

import flax.linen as nn
import numpy as np
import pytest

from vgen_jax.config import build
from vgen_jax.config import classes
from vgen_jax.config import loading
from vgen_jax.config import settings as settings_lib
from vgen_jax.config import typed
from vgen_jax.core.types import Schema
from vgen_jax.models import rnn
from vgen_jax.training import averages
from vgen_jax.training import optimizers
from vgen_jax.training import setup as setup_lib

CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'
# Classes that the configs name.
_NAMES = sorted(
  {
    spec
    for path in CONFIGS.glob('*.py')
    for spec in re.findall(
      r"'((?:models|families|nn)\.[\w.]+\.\w+)'", path.read_text()
    )
  }
)
CRITIC = {'name': 'models.mocogan.VideoCritic', 'width': 4}


def changed(name: str, path: str, value) -> dict:
  config = loading.load(f'{CONFIGS / name}.py:smoke').to_dict()
  *parents, leaf = path.split('.')
  node = config
  for key in parents:
    node = node[key]
  node[leaf] = value
  return config


@pytest.mark.parametrize(
  ('name', 'path', 'value', 'message'),
  [
    ('demo', 'model.path', 'Cosine', "is 'Cosine'; .* of families.*Path or"),
    ('demo', 'model.solver', None, 'is None; it must be a spec, .*Solver'),
    ('demo', 'model.denoiser', {'width': 3}, 'a spec, .* of a network'),
    ('demo', 'model.denoiser.dtype', 'bf16', "Did you mean 'bfloat16'"),
    ('demo', 'model.denoiser.width', 2.5, 'is 2.5; it must be of type int'),
    ('fsq_world', 'model.perceptual', 'lpips', "'lpips'; .* or network"),
    ('fsq_world', 'model.critic', CRITIC, 'VideoCritic; .* a mapping with'),
    ('mocogan_world', 'model.critic', CRITIC, 'class VideoCritic; .* mapping'),
    ('causal_vae_world', 'model.critic.video', None, 'is None; .* a network'),
    (
      'svg_two_futures', 'model.predictor', {'name': 'models.rnn.RNN'},
      'class RNN; it must be a spec, .* nn.latent_prediction.LatentPredictor',
    ),
    (
      'gaussian_world', 'model.autoencoder', {'name': 'models.rnn.RNN'},
      'class RNN; it must be a spec, .*autoencoder.Autoencoder',
    ),
  ],
)  # fmt: skip
def test_arguments_of_models(name, path, value, message):
  config = changed(name, path, value)
  schema = Schema(tuple(config['clip_shape']), num_classes=8)
  where = rf'^config\.{path.replace(".", "[.]")} .*'
  with pytest.raises(ValueError, match=where) as error:
    build.model(config['model'], schema)
  assert error.match(message)


def test_a_tokenizer_of_text_is_not_a_word():
  """A `str` has the methods of a tokenizer, which have other meanings."""
  config = changed('demo', 'data.text', 'bytes')
  with pytest.raises(ValueError, match=r"^config\.data\.text is 'bytes'"):
    build.source(config['data'], config['clip_shape'], split='train')


@pytest.mark.parametrize('section', ['init', 'guard', 'mesh'])
@pytest.mark.parametrize('value', ['skip', None])
def test_sections_are_mappings(section, value):
  config = changed('demo', section, value)
  with pytest.raises(ValueError, match=rf'^config\.{section} is .*mapping'):
    settings_lib.read(config)


@pytest.mark.parametrize(
  ('path', 'value', 'message'),
  [
    ('clip_norm', None, 'clip_norm is None; it must be a number'),
    ('b2', None, 'b2 is None; it must be a number'),
    ('b1', '0.9', "b1 is '0.9'; it must be a number"),
    ('schedule', None, "config.optim has no 'schedule'"),
    ('schedule', 'wsd', "schedule is 'wsd'; it must be a mapping"),
    ('schedule.peak', None, 'schedule.peak is None; it must be a number'),
    ('players', {'denoiser': 1e-3}, 'players.denoiser is 0.001; .* mapping'),
    ('players', 3, 'players is 3; it must be a mapping'),
    (
      'players',
      {'denoiser': {'schedule': 'wsd'}},
      "players.denoiser.schedule is 'wsd'; it must be a mapping",
    ),
  ],
)
def test_numbers_and_mappings_of_an_optimizer(path, value, message):
  spec = changed('demo', f'optim.{path}', value)['optim']
  spec['name'] = 'adam'
  spec.pop('adam_ratio', None)
  spec.pop('weight_decay', None)
  with pytest.raises(ValueError, match=message):
    optimizers.make(spec, ['denoiser'], 10)


@pytest.mark.parametrize(
  ('spec', 'message'),
  [
    ({'decay': '0.9'}, "ema.slow.decay is '0.9'; it must be a number"),
    ({'sigma_rel': None}, 'ema.slow.sigma_rel is None; it must be a number'),
    ({'decay': 0.9, 'warmup': 'no'}, "ema.slow.warmup is 'no'; .* True or"),
    (0.9, 'ema.slow is 0.9; it must be a mapping'),
  ],
)
def test_numbers_of_an_average(spec, message):
  with pytest.raises(ValueError, match=message):
    averages.check({'slow': spec})


@pytest.mark.parametrize(
  ('path', 'owner'),
  [
    ('model.path.name', 'config.model.path'),
    ('optim.players.denoiser.b1', 'config.optim.players'),
    ('data.text.name', 'config.data.text'),
  ],
)
def test_fields_of_what_is_not_set_are_set_as_a_whole(path, owner):
  config = loading.load(f'{CONFIGS / "demo"}.py:smoke')
  with pytest.raises(ValueError, match=f'set {owner} as a whole, such as'):
    loading.replace(config, {path: 'x'})


@pytest.mark.parametrize(
  ('path', 'message'),
  [
    ('model.pth.name', "config.model has no field 'pth'"),
    ('optim.schedul.peak', "no field 'schedul'. Did you mean 'schedule'"),
    ('ema.slwo.decay', "config.ema has no field 'slwo'"),
  ],
)
def test_misspelt_parents_are_not_set_as_a_whole(path, message):
  config = loading.load(f'{CONFIGS / "demo"}.py:smoke')
  with pytest.raises(ValueError, match=message):
    loading.replace(config, {path: 1.0})


@pytest.mark.parametrize(
  ('value', 'annotation'),
  [
    (3, Any),
    (3, inspect.Parameter.empty),
    (3, 'str'),
    ({'a': 1}, Mapping[str, Any]),
    ('/tmp', pathlib.Path),
    ((rnn.RNN(),), tuple[nn.Module, ...]),
    (None, Callable[[int], int] | None),
    (len, Callable[..., int]),
    ([1, 2], tuple[int, ...]),
  ],
)
def test_values_that_fit_their_annotation(value, annotation):
  assert typed.fits(value, annotation)


@pytest.mark.parametrize('spec', _NAMES)
def test_defaults_of_the_package_fit_their_annotations(spec):
  """Otherwise a config could not state them."""
  cls = classes.resolve(classes.MODEL_PACKAGES, spec, 'config.model')
  for name, parameter in inspect.signature(cls).parameters.items():
    default = parameter.default
    is_factory = type(default).__name__ == '_HAS_DEFAULT_FACTORY_CLASS'
    if default is parameter.empty or is_factory or name in ('parent', 'name'):
      continue
    assert typed.fits(default, parameter.annotation), name


def test_none_and_scalars_of_numpy_may_be_arguments_of_optimizers():
  spec = {'schedule': {'name': 'constant', 'peak': np.float32(1e-3)}}
  no_clipping = {'name': 'adafactor', 'clipping_threshold': None}
  for arguments in (no_clipping, {'name': 'adam', 'b1': np.float64(0.9)}):
    made = optimizers.make(spec | arguments, ['denoiser'], 10)
    assert made['denoiser'].init({'kernel': np.float32([1])})


@pytest.mark.parametrize(
  ('name', 'changes', 'message'),
  [
    ('vgan_world', {'generator.num_context': 1}, 'generator.num_context both'),
    ('mocogan_world', {'num_context': 1}, 'ignores known frames'),
    ('causal_vae_world', {'loss_kind': 'relativistic'}, 'compares pairs of'),
    (
      'vid2vid_layouts', {'critic.video.inputs': 'image'},
      r"Critic with inputs 'image' also needs \['layout'\]",
    ),
    (
      'mocogan_world',
      {'critic.image': {'name': 'models.vid2vid_critic.Critic'}},
      r"Critic with inputs 'image' also needs \['layout'\]",
    ),
    (
      'svg_two_futures', {'name': 'families.prediction.holistic.Holistic'},
      'SVG, which infers no attributes',
    ),
    ('world_transformer_actions', {'predictor.patch': 5}, 'patch size'),
    ('world_transformer_actions', {'predictor.window': 0}, 'window is 0'),
  ],
)  # fmt: skip
def test_parts_that_do_not_go_together(name, changes, message):
  config = loading.load(f'{CONFIGS / name}.py:smoke')
  paths = {f'model.{path}': value for path, value in changes.items()}
  # The state is traced, which calls each network and each loss once.
  settings = loading.replace(config, {'mesh.data': 1, **paths})
  with pytest.raises(ValueError, match=message):
    setup_lib.make(settings_lib.read(settings))
