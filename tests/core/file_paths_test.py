"""Tests that `~` is the home directory in every path that a user gives."""

import argparse
import ast
import importlib
import inspect
import pathlib
import pkgutil
import re
from typing import get_args

from etils import epath
import pytest

from vgen_jax import data as data_package
from vgen_jax import synthetic as synthetic_package
from vgen_jax.cli import data as data_command
from vgen_jax.cli import main as cli
from vgen_jax.config import build
from vgen_jax.core import file_paths
from vgen_jax.core.types import PathText

ROOT = pathlib.Path(__file__).parents[2]
# Flags with text that is not a path.
PLAIN = {
  *('label', 'set', 'metrics', 'only', 'profile', 'coordinator', 'command'),
  *('rest', 'distributed', 'dataset', 'format', 'name', 'clip_shape', 'beam'),
  *('split', 'dtype', 'formats', 'shapes', 'known'),
  'condition',  # KEY=FILE; tests/inference/own_conditions_test.py.
}
WORDS = ('folder', 'path', 'file', 'dir', 'annotations')  # In names of paths.


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
  monkeypatch.setenv('HOME', str(tmp_path))


def test_the_home_directory_replaces_the_tilde(tmp_path):
  assert file_paths.expanded('~/a b/~') == f'{tmp_path}/a b/~'
  assert file_paths.expanded('~') == str(tmp_path)
  assert file_paths.read('~/x') == epath.Path(tmp_path / 'x')
  assert file_paths.local('~/x') == tmp_path / 'x'


@pytest.mark.parametrize(
  'path', ['a/~/b', './~a', '', 'gs://bucket/~a', pathlib.Path('~a')]
)
def test_other_paths_are_unchanged(path):
  assert file_paths.expanded(path) == str(path if path else '')


def test_an_unknown_user_is_reported():
  with pytest.raises(ValueError, match=r"no user 'nobody_here'.* \./~nobody_h"):
    file_paths.expanded('~nobody_here/x')


def parsers() -> list[argparse.ArgumentParser]:
  """Returns the parser of each command."""
  found = []
  names = [*cli._COMMANDS, *(f'data_{x}' for x in data_command._COMMANDS)]
  for name in names:
    parser = cli._Parser(prog=name)
    importlib.import_module(f'vgen_jax.cli.{name}').add_arguments(parser)
    found.append(parser)
  return found


@pytest.mark.parametrize('parser', parsers(), ids=lambda parser: parser.prog)
def test_every_flag_that_is_a_path_reads_the_tilde(parser):
  """A flag of text is a path, unless it is in `PLAIN`."""
  for action in parser._actions:
    is_text = action.nargs != 0 and action.type in (None, str)
    assert not is_text or action.dest in PLAIN, action.dest


def test_an_unknown_user_in_a_flag_is_one_line(capsys):
  assert cli.main(['sample', '--workdir=~nobody_here/x']) == 1
  message = capsys.readouterr().err.strip()
  assert "there is no user 'nobody_here'" in message
  assert len(message.splitlines()) == 1


def sources() -> list[type]:
  """Returns all classes that config.data may name."""
  found = []
  for package in (data_package, synthetic_package):
    prefix = f'{package.__name__}.'
    for module in pkgutil.walk_packages(package.__path__, prefix):
      loaded = importlib.import_module(module.name)
      found += [
        x
        for _, x in inspect.getmembers(loaded, inspect.isclass)
        if x.__module__ == loaded.__name__ and not x.__name__.startswith('_')
      ]
  return found


def test_every_argument_of_a_source_that_is_a_path_is_marked():
  """`build` expands the tilde only in marked arguments."""
  marked = 0
  for cls in sources():
    parameters = inspect.signature(cls).parameters
    # A class that takes settings is not built from a spec.
    is_source = hasattr(cls, 'schema') and 'settings' not in parameters
    if not is_source and cls.__name__ != 'SentencePiece':
      continue
    for name, x in parameters.items():
      is_path = any(
        w in name for w in ('folder', 'path', 'file', 'dir', 'anno')
      )
      is_text = x.annotation is not inspect.Parameter.empty and (
        x.annotation == PathText or PathText in get_args(x.annotation)
      )
      assert is_text or not is_path, (cls, name)
      marked += is_text
  assert marked >= 4


def test_build_reads_the_tilde_in_a_nested_spec(monkeypatch, tmp_path):
  folder = 'nothing'
  spec = {
    'name': 'data.transforms.Transformed',
    'source': {
      'name': 'data.files.video_folder.VideoFolder',
      'clip_shape': (2, 8, 8, 3),
      'folder': f'~/{folder}',
    },
  }
  with pytest.raises((ValueError, OSError), match=f'{tmp_path}/{folder}'):
    build.source(spec, (2, 8, 8, 3))


def test_other_modules_do_not_make_paths_of_what_users_give():
  """Other modules call `file_paths`, which expands `~`."""
  given = re.compile(r'args\.\w+|workdir|out|source|data_dir')
  for file in (ROOT / 'vgen_jax').rglob('*.py'):
    for node in ast.walk(ast.parse(file.read_text())):
      if not isinstance(node, ast.Call) or file.name == 'file_paths.py':
        continue
      if ast.unparse(node.func) in ('epath.Path', 'pathlib.Path'):
        arguments = ', '.join(map(ast.unparse, node.args))
        assert not given.fullmatch(arguments), f'{file}: {ast.unparse(node)}'
      assert ast.unparse(node.func) != 'os.path.expanduser', file
