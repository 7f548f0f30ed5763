"""Tests of config/loading.py: loading, overrides and differences."""

import runpy

from ml_collections import ConfigDict
import pytest

from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.config import shipped


def make(**fields) -> ConfigDict:
  return ConfigDict(
    {
      'clip_shape': (4, 8, 8, 1),
      'batch_size': 8,
      'num_steps': 4,
      'data': {'name': 'synthetic.digits.source.MovingDigits'},
      'model': {
        'name': 'families.diffusion.denoising.Diffusion',
        'denoiser': {'name': 'x.Y'},
      },
      'optim': {'name': 'adam', 'schedule': {'name': 'constant', 'peak': 1e-3}},
      **fields,
    }
  )


def test_replace_returns_a_copy():
  config = make()
  changed = config_lib.replace(config, {'optim.schedule.peak': 1})
  assert changed.optim.schedule.peak == 1.0
  assert config.optim.schedule.peak == 1e-3


def test_replace_does_not_change_the_overrides():
  schedule = {'name': 'constant', 'peak': 1e-3}
  changed = config_lib.replace(
    make(), {'optim.schedule': schedule, 'optim.schedule.peak': 0.5}
  )
  assert changed.optim.schedule.peak == 0.5
  assert schedule == {'name': 'constant', 'peak': 1e-3}


def test_replace_may_add_fields_that_the_config_leaves_out():
  changed = config_lib.replace(
    make(), {'model.guidance': 2.0, 'keep': 5, 'mesh.tensor': 2}
  )
  assert changed.model.guidance == 2.0
  assert settings_lib.read(changed).mesh.tensor == 2
  assert settings_lib.read(changed).keep == 5


@pytest.mark.parametrize(
  ('path', 'value', 'message'),
  [
    ('optmi.name', 'sgd', "config has no field 'optmi'. Did you mean 'optim'?"),
    (
      'num_step',
      3,
      "config has no field 'num_step'. Did you mean 'num_steps'?",
    ),
    ('model.denoser.width', 3, "config.model has no field 'denoser'. Did you"),
    ('mesh.fspd', 3, "config.mesh has no field 'fspd'. Did you mean 'fsdp'?"),
    ('num_steps', 'many', "config.num_steps is 4; 'many' must be of the same"),
    ('num_steps', True, 'config.num_steps is 4; True must be of the same'),
    ('batch_size.x', 1, "batch_size is 8, which has no field 'x'"),
  ],
)
def test_replace_reports_wrong_paths_and_types(path: str, value, message: str):
  with pytest.raises(ValueError, match=message.replace('?', r'\?')):
    config_lib.replace(make(), {path: value})


@pytest.mark.parametrize(
  ('path', 'value', 'becomes'),
  [
    ('num_steps', 1e4, 10_000),
    ('optim.schedule.peak', 1, 1.0),
    ('data.label', ('color', 'size'), ('color', 'size')),
    ('data.folder', 2024, '2024'),
    ('frozen.tokenizer', 'runs/vq', 'runs/vq'),
    ('ema.slow', {'decay': 0.5}, {'decay': 0.5}),
    ('model.denoiser.weight', 0.5, 0.5),
  ],
)
def test_replace_converts_values_of_compatible_types(path: str, value, becomes):
  config = make(
    data={
      'name': 'synthetic.world.source.World',
      'label': 'size',
      'folder': 'a',
    }
  )
  config.model.denoiser.weight = 1
  changed = config_lib.replace(config, {path: value})
  assert changed.to_dict() != config.to_dict()
  node = changed.to_dict()
  for word in path.split('.'):
    node = node[word]
  assert node == becomes
  assert type(node) is type(becomes)


def test_overrides_have_a_path_and_a_text():
  texts = ['a.b=1e-3', 'c=(2, 3)', 'd=', 'g="x=y"']
  assert config_lib.parse_overrides(texts) == {
    'a.b': '1e-3', 'c': '(2, 3)', 'd': '', 'g': '"x=y"',
  }  # fmt: skip
  with pytest.raises(ValueError, match="'abc' is not an override; write path="):
    config_lib.parse_overrides(['abc'])


def test_settings_survive_a_config_json(tmp_path):
  config = make(model={'name': 'a.B', 'widths': (1, (2, 3)), 'none': None})
  file = tmp_path / 'config.json'
  file.write_text(config_lib.to_json(config))
  again = config_lib.load(str(file))
  assert settings_lib.read(again) == settings_lib.read(config)
  assert config_lib.differences(again.to_dict(), config.to_dict()) == []


def test_differences_hold_path_and_values():
  one, two = make().to_dict(), make(batch_size=16).to_dict()
  assert config_lib.differences(one, two) == [('batch_size', 8, 16)]


def test_an_unknown_file_is_reported_with_suggestions(tmp_path):
  (tmp_path / 'dit.py').write_text('')
  message = (
    r"No such file: .*dti\.py \(relative to .*\)\. Did you mean 'dit\.py'"
  )
  with pytest.raises(ValueError, match=message):
    config_lib.load(f'{tmp_path}/dti.py')
  with pytest.raises(ValueError, match=r'that ship .*: .*demo, .*dit_world'):
    config_lib.load(f'{tmp_path}/x/y.py')
  with pytest.raises(ValueError, match=r'No such file: .*config\.json'):
    config_lib.load(f'{tmp_path}/config.json')


def test_an_unknown_size_is_reported_with_all_sizes(tmp_path):
  file = tmp_path / 'dit.py'
  body = (
    'def get_config(size="base"):\n  return {"base": 1, "smoke": 2}[size]\n'
  )
  file.write_text(f'SIZES = ("base", "smoke", "XL")\n{body}')
  assert config_lib.load(str(file)) == 1
  assert config_lib.load(f'{file}:smoke') == 2
  message = r"is 'smok'; .* of 'base', 'smoke', 'XL'\. .* mean 'smoke'"
  with pytest.raises(ValueError, match=message):
    config_lib.load(f'{file}:smok')
  with pytest.raises(ValueError, match=r"no value for 'XL' in the size 'XL'"):
    config_lib.load(f'{file}:XL')
  file.write_text(body)
  with pytest.raises(ValueError, match='a tuple SIZES of the sizes'):
    config_lib.load(str(file))


@pytest.mark.parametrize(
  'path', shipped.configs().values(), ids=lambda path: path.stem
)
def test_every_size_of_a_config_can_be_loaded(path):
  sizes = runpy.run_path(str(path))['SIZES']
  assert {'base', 'smoke'} <= set(sizes)
  for size in sizes:
    settings_lib.read(config_lib.load(f'{path}:{size}'))
