"""Tests of config.py: what a config says wrong, it is told."""

import dataclasses

from ml_collections import ConfigDict
import pytest

from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib


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


def test_settings_are_what_the_config_says():
  settings = settings_lib.read(make(mesh={'fsdp': 2}, accumulate=2))
  assert settings.clip_shape == (4, 8, 8, 1)
  assert settings.mesh == settings_lib.Mesh(-1, 2, 1)
  assert settings.sample_from == 'slow'


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'bach_size': 4}, "'bach_size' that nothing reads. .*mean 'batch_size'"),
    ({'mesh': {'fspd': 2}}, r"config\.mesh has .*Did you mean 'fsdp'\?"),
    ({'num_samples': 0}, 'config.num_samples is 0; it must be 1 or more'),
    ({'seed': -1}, 'config.seed is -1; it must be 0 or more'),
    ({'guard': {'spike': -1.0}}, 'config.guard is .*; 0 is the least in it'),
    ({'batch_size': 0}, 'config.batch_size is 0; it must be 1 or more'),
    ({'batch_size': '8'}, "config.batch_size is '8'; it must be of kind int"),
    ({'accumulate': 3}, 'batch_size is 8; it must be a multiple of config.acc'),
    (
      {'clip_shape': (4, 8, 8)},
      r'clip_shape is \(4, 8, 8\); .* \(t, h, w, c\)',
    ),
    ({'guard': {'policy': 'stop'}}, "policy is 'stop'; it can be 'raise' or"),
    ({'sample_from': 'slwo'}, "sample_from is 'slwo', .*mean 'slow'"),
  ],
)
def test_wrong_fields_are_named(fields: dict, message: str):
  with pytest.raises(ValueError, match=message):
    settings_lib.read(make(**fields))


def test_missing_fields_are_named():
  config = make().to_dict()
  del config['model']
  with pytest.raises(ValueError, match=r"config lacks \['model'\]"):
    settings_lib.read(config)


def test_every_setting_is_read_by_someone():
  """A field that nothing reads would be a lie in the config."""
  import pathlib

  code = ''.join(
    p.read_text()
    for p in pathlib.Path('vgen_jax').rglob('*.py')
    if p.name != 'settings.py'
  )
  names = [f.name for f in dataclasses.fields(settings_lib.Settings)]
  assert [n for n in names if f'settings.{n}' not in code] == []


def test_replace_leaves_the_original():
  config = make()
  changed = config_lib.replace(config, {'optim.schedule.peak': 1})
  assert changed.optim.schedule.peak == 1.0
  assert config.optim.schedule.peak == 1e-3


def test_replace_may_add_what_something_reads():
  changed = config_lib.replace(
    make(), {'model.guidance': 2.0, 'keep': 5, 'mesh.tensor': 2}
  )
  assert changed.model.guidance == 2.0
  assert settings_lib.read(changed).mesh.tensor == 2
  assert settings_lib.read(changed).keep == 5


@pytest.mark.parametrize(
  ('path', 'value', 'message'),
  [
    ('optmi.name', 'sgd', "config has no 'optmi'. Did you mean 'optim'?"),
    ('num_step', 3, "config has no 'num_step'. Did you mean 'num_steps'?"),
    ('model.denoser.width', 3, "config.model has no 'denoser'. Did you mean"),
    ('mesh.fspd', 3, "config.mesh has no 'fspd'. Did you mean 'fsdp'?"),
    ('num_steps', 'many', "config.num_steps is 4; 'many' is not of its kind"),
    ('num_steps', True, 'config.num_steps is 4; True is not of its kind'),
    ('batch_size.x', 1, "config.batch_size is 8; it has no 'x' in it"),
  ],
)
def test_replace_names_what_is_wrong(path: str, value, message: str):
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
def test_replace_takes_what_fits(path: str, value, becomes):
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


def test_overrides_are_literals_or_words():
  texts = ['a.b=1e-3', 'c=(2, 3)', 'd=true', 'e=left', 'f=None', 'g="x=y"']
  assert config_lib.parse_overrides(texts) == {
    'a.b': 1e-3, 'c': (2, 3), 'd': True, 'e': 'left', 'f': None, 'g': 'x=y',
  }  # fmt: skip
  with pytest.raises(ValueError, match="'abc' is no override; write path="):
    config_lib.parse_overrides(['abc'])


def test_a_run_is_rebuilt_from_its_json(tmp_path):
  config = make(model={'name': 'a.B', 'widths': (1, (2, 3)), 'none': None})
  file = tmp_path / 'config.json'
  file.write_text(config_lib.to_json(config))
  again = config_lib.load(str(file))
  assert settings_lib.read(again) == settings_lib.read(config)
  assert config_lib.differences(again.to_dict(), config.to_dict()) == []


def test_differences_name_the_field():
  one, two = make().to_dict(), make(batch_size=16).to_dict()
  assert config_lib.differences(one, two) == ['batch_size: 8 != 16']


def test_load_names_what_is_near(tmp_path):
  (tmp_path / 'dit.py').write_text(
    'def get_config(size="base"):\n  return {"base": 1, "smoke": 2}[size]\n'
  )
  with pytest.raises(ValueError, match=r"No config at .* mean 'dit\.py'"):
    config_lib.load(f'{tmp_path}/dti.py')
  with pytest.raises(ValueError, match="no size 'smok'"):
    config_lib.load(f'{tmp_path}/dit.py:smok')
