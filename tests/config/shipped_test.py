"""Tests of config/shipped.py: configs and experiments are found by name."""

import pathlib
import runpy

import pytest

from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.config import shipped

ROOT = pathlib.Path(__file__).parents[2]


def test_all_files_are_found_by_name():
  names = {p.stem for p in (ROOT / 'configs').glob('*.py')}
  assert set(shipped.configs()) == names
  names = {p.stem for p in (ROOT / 'experiments').glob('*.py')}
  assert set(shipped.experiments()) == names - {'__init__'}


def test_a_name_works_in_any_directory(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'demo').mkdir()  # It does not hide the config.
  plain = lambda path: settings_lib.plain(config_lib.load(path))
  assert plain('demo') == plain(f'{ROOT}/configs/demo.py')
  assert plain('dit_world:smoke') == plain(f'{ROOT}/configs/dit_world.py:smoke')
  assert plain('demo') != plain('demo:smoke')


def test_a_file_hides_nothing_and_a_path_is_not_a_name(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'demo.py').write_text(
    'SIZES = ("base",)\nget_config = lambda size="base": {"mine": size}\n'
  )
  assert config_lib.load('demo.py') == {'mine': 'base'}
  assert config_lib.load('./demo.py:base') == {'mine': 'base'}
  assert 'model' in config_lib.load('demo')


@pytest.mark.parametrize(
  ('path', 'message'),
  [
    ('dmo', r"'dmo' is not one of the configs that ship .*mean 'demo'\?"),
    ('mine', r'Choose from .*dit_world.*needs its path, such as \./mine\.py'),
    ('dit_wrld:smoke', "mean 'dit_world'"),
    ('dit_world:smok', "'L', 'XL', 'small', 'smoke'.*mean 'smoke'"),
    ('mine.py', "found by name, such as --config=demo; 'vgen configs'"),
  ],
)
def test_an_unknown_name_is_reported(path, message, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(ValueError, match=message):
    config_lib.load(path)


@pytest.mark.parametrize('name', shipped.configs())
def test_the_summary_of_a_config_is_that_of_its_file(name: str):
  entry = shipped.describe(name)
  names = runpy.run_path(str(shipped.configs()[name]))
  assert entry.sizes == tuple(names['SIZES'])
  assert not entry.title.endswith('.')
  sizes = ' '.join(names['__doc__'].partition('Sizes:')[2].split())
  is_stated = '`base`, for one accelerator' in sizes
  assert is_stated == ('base' in entry.accelerator_sizes)
  assert 'smoke' not in entry.accelerator_sizes
  config = config_lib.load(name)
  assert entry.needs_folder == ('folder' in config.data)
  for workdir in entry.frozen:
    assert pathlib.PurePath(workdir).name in shipped.configs()


def test_accelerator_sizes_are_sizes():
  names = {'SIZES': ('base', 'cpu'), 'NEEDS_ACCELERATOR': ('bse',)}
  with pytest.raises(ValueError, match="is 'bse'; it must be one of 'base'"):
    shipped.accelerator_sizes(names)
  assert shipped.accelerator_sizes({'SIZES': ('base',)}) == ()


def test_sizes_for_a_cpu_exclude_those_for_tests():
  assert shipped.describe('convlstm_world').cpu_sizes == ('cpu',)
  assert shipped.describe('dit_world').cpu_sizes == ('small',)
  assert shipped.describe('convlstm_digits').cpu_sizes == ()
