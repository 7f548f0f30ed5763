"""Tests that a value of the wrong kind is an error that names its field.

Each case changes a config at size 'smoke', as a user does on the command line.
"""

import pathlib

import pytest

from vgen_jax.config import build
from vgen_jax.config import loading
from vgen_jax.config import settings as settings_lib
from vgen_jax.core.types import Schema
from vgen_jax.training import averages
from vgen_jax.training import optimizers
from vgen_jax.training import setup as setup_lib

CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'
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
    ('demo', 'model.path', 'Cosine', "is 'Cosine'; .*diffusion.paths.Path or"),
    ('demo', 'model.solver', None, 'is None; it must be a spec of the class'),
    ('demo', 'model.denoiser', {'width': 3}, 'it must be a network, {'),
    ('demo', 'model.denoiser.dtype', 'bf16', "Did you mean 'bfloat16'"),
    ('demo', 'model.denoiser.width', 2.5, 'is 2.5; it must be of type int'),
    ('fsq_world', 'model.perceptual', 'lpips', "is 'lpips'; it must be a func"),
    ('fsq_world', 'model.critic', CRITIC, 'is a VideoCritic; .* of names'),
    ('mocogan_world', 'model.critic', CRITIC, 'is a VideoCritic; .* of names'),
    ('causal_vae_world', 'model.critic.video', None, 'is None; .* a network'),
    (
      'svg_two_futures', 'model.predictor', {'name': 'models.rnn.RNN'},
      'is a RNN; it must be a spec of .*latent_prediction.LatentPredictor',
    ),
    (
      'gaussian_world', 'model.autoencoder', {'name': 'models.rnn.RNN'},
      'is a RNN; it must be a spec of .*autoencoder.Autoencoder',
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
  with pytest.raises(ValueError, match=f'set {owner} as a whole'):
    loading.replace(config, {path: 'x'})
  with pytest.raises(ValueError, match="has no field 'pth'"):
    loading.replace(config, {'model.pth.name': 'x'})


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
