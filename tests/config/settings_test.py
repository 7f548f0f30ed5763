"""Tests of config/settings.py and of the rules of its fields."""

import dataclasses
import pathlib

from ml_collections import ConfigDict
import pytest

from vgen_jax.config import sections
from vgen_jax.config import settings as settings_lib
from vgen_jax.core import fields as fields_lib


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


def test_settings_have_the_values_of_the_config():
  settings = settings_lib.read(make(mesh={'fsdp': 2}, accumulate=2))
  assert settings.clip_shape == (4, 8, 8, 1)
  assert settings.mesh == sections.Mesh(-1, 2, 1)
  assert settings.sample_from == 'slow'


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'bach_size': 4}, "no field 'bach_size'. Did you mean 'batch_size'"),
    ({'mesh': {'fspd': 2}}, r"config\.mesh has no .*Did you mean 'fsdp'\?"),
    ({'num_samples': 0}, 'config.num_samples is 0; it must be at least 1'),
    ({'seed': -1}, 'config.seed is -1; it must be from 0 to 4294967295'),
    (
      {'guard': {'spike': -1.0}},
      'config.guard.spike is -1.0; it must be at least 0',
    ),
    ({'batch_size': 0}, 'config.batch_size is 0; it must be at least 1'),
    ({'batch_size': '8'}, "config.batch_size is '8'; it must be of type int"),
    ({'accumulate': 3}, 'batch_size is 8; it must be a multiple of config.acc'),
    (
      {'clip_shape': (4, 8, 8)},
      r'clip_shape is \(4, 8, 8\); .* \(t, h, w, c\)',
    ),
    (
      {'guard': {'policy': 'stop'}},
      "policy is 'stop'; it must be one of 'raise', 'sk",
    ),
    ({'sample_from': 'slwo'}, "sample_from is 'slwo'; .*mean 'slow'"),
    (
      {'ema': {'params': {'decay': 0.9}}},
      "config.ema has an average with the name 'params'",
    ),
    (
      {
        'ema': {'slow': {'decay': 0.9}, 'params': {'decay': 0.9}},
        'sample_from': 'params',
      },
      "config.ema has an average with the name 'params'",
    ),
  ],
)
def test_wrong_fields_are_reported(fields: dict, message: str):
  with pytest.raises(ValueError, match=message):
    settings_lib.read(make(**fields))


def test_missing_fields_are_reported():
  config = make().to_dict()
  del config['model']
  with pytest.raises(ValueError, match=r"config lacks the fields \['model'\]"):
    settings_lib.read(config)


def test_every_setting_is_used_somewhere():
  """A field without effect would mislead the users of a config."""
  code = ''.join(
    p.read_text()
    for p in pathlib.Path('vgen_jax').rglob('*.py')
    if p.name != 'settings.py'
  )
  names = [f.name for f in dataclasses.fields(settings_lib.Settings)]
  assert [n for n in names if f'settings.{n}' not in code] == []


def test_every_field_has_a_description_and_numbers_have_a_range():
  """The documentation is generated from this table."""
  table = {
    entry.path: entry for entry in fields_lib.table(settings_lib.Settings)
  }
  assert [path for path, x in table.items() if not x.description] == []
  numbers = {path for path, x in table.items() if x.type in ('int', 'float')}
  assert [path for path in numbers if not table[path].allowed] == []
  assert {p for p in numbers if not table[p].unit} == {
    'seed',
    'evaluation.seed',
  }


def test_the_table_states_unit_range_and_when_a_field_may_change():
  table = {
    entry.path: entry for entry in fields_lib.table(settings_lib.Settings)
  }
  entry = table['log_every']
  assert (entry.type, entry.default, entry.unit) == ('int', '50', 'steps')
  assert (entry.allowed, entry.on_resume) == ('1 or more', 'yes')
  assert entry.description == 'Period of metrics.'
  assert table['batch_size'].default == ''
  assert table['guard.policy'].allowed == "one of 'raise', 'skip'"
  assert table['faults.limit'].allowed == '0 to 1'
  assert table['seed'].allowed == '0 to 4294967295'
  assert table['data'].on_resume == 'folder'
  assert table['mesh.fsdp'].on_resume == 'yes', 'Like its section.'
  assert table['evaluation.seed'].on_load
  assert not table['optim'].on_load


@pytest.mark.parametrize(
  ('path', 'may'),
  [
    ('log_every', True),
    ('batch_size', False),
    ('guard.policy', True),
    ('guard.spike', True),
    ('mesh.tensor', True),
    ('evaluation.metrics', True),
    ('data.folder', True),
    ('data.folders', False),
    ('data.name', False),
    ('model.denoiser.width', False),
    ('frozen.autoencoder', True),
  ],
)
def test_fields_that_may_change_on_resume(path: str, may: bool):
  assert settings_lib.may_change_on_resume(path) is may


def test_fields_that_may_change_in_a_trained_run():
  assert settings_lib.changeable_on_load() == [
    'clip_shape', 'data', 'evaluation', 'faults', 'mesh', 'model',
    'sample_from',
  ]  # fmt: skip


def test_a_rule_is_checked_at_both_ends():
  @dataclasses.dataclass(frozen=True)
  class Section:
    fraction: float = fields_lib.field(0.5, least=0, most=1)

  fields_lib.check(Section(), 'config.x')
  for value in (-0.1, 1.1, float('nan')):
    with pytest.raises(
      ValueError, match=r'config\.x\.fraction is .* be from 0 to 1'
    ):
      fields_lib.check(Section(value), 'config.x')
