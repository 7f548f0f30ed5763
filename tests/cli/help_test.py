"""Tests of help texts and flags of all commands."""

import argparse
import importlib
import os
import pathlib
import subprocess
import sys

import pytest

import vgen_jax
from vgen_jax.cli import main as cli

ROOT = pathlib.Path(__file__).parents[2]
COMMANDS = sorted(
  path.stem
  for path in (ROOT / 'vgen_jax/cli').glob('*.py')
  if 'def add_arguments' in path.read_text() and path.stem != 'cluster'
)
each_command = pytest.mark.parametrize('command', COMMANDS)


def argv(command: str) -> list[str]:
  return command.split('_', 1)


def parser(command: str) -> argparse.ArgumentParser:
  found = cli._Parser(formatter_class=cli.Formatter)
  importlib.import_module(f'vgen_jax.cli.{command}').add_arguments(found)
  return found


def printed(capsys, *words: str) -> str:
  assert cli.main(list(words)) == 0
  return capsys.readouterr().out


def test_all_commands_are_here():
  assert {'train', 'data', 'data_prepare', 'configs'} <= set(COMMANDS)
  assert set(cli._COMMANDS) <= set(COMMANDS)


@each_command
def test_the_help_shows_every_default(command: str, capsys):
  text = ' '.join(printed(capsys, *argv(command), '--help').split())
  for action in parser(command)._actions:
    if not action.option_strings or action.nargs == 0 or action.required:
      continue
    what = ' '.join(action.help.split())
    if action.default in (None, []):
      assert '(default: ' in what or 'required' in what, action.dest
      assert 'None' not in what
    else:
      assert f'{what} (default: {action.default})' in text, action.dest


@each_command
def test_the_help_keeps_the_lines_of_its_examples(command: str, capsys):
  text = printed(capsys, *argv(command), '--help')
  module = importlib.import_module(f'vgen_jax.cli.{command}')
  examples = [x for x in module.__doc__.splitlines() if x.startswith('  ')]
  assert examples
  for line in examples:
    assert line in text.splitlines()


def test_help_of_a_command_by_either_form(capsys):
  assert printed(capsys, 'help', 'train') == printed(capsys, 'train', '--help')
  help_of_data = printed(capsys, 'help', 'data', 'bench')
  assert '--rounds' in help_of_data


@each_command
def test_a_misspelt_flag_is_reported_as_such(command: str, capsys):
  """The error is not that a required flag is missing."""
  for action in parser(command)._actions:
    for flag in action.option_strings:
      if len(flag) > 5 and flag.startswith('--'):
        wrong = f'{flag[:-2]}{flag[-1]}{flag[-2]}'
        if wrong == flag:
          wrong = flag + 'x'
        assert cli.main([*argv(command), f'{wrong}=1']) == 1
        error = capsys.readouterr().err
        assert f"Unknown flag '{wrong}'. Did you mean '{flag}'?" in error


def test_the_version_is_known_to_all():
  done = subprocess.run(
    [sys.executable, '-m', 'vgen_jax', '--version'],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout == f'vgen_jax {vgen_jax.__version__}\n'


def test_modules_of_the_current_directory_are_not_run(tmp_path):
  """A downloaded folder may have files with the names of imported modules."""
  for name in ('json', 'numpy', 'payload'):
    (tmp_path / f'{name}.py').write_text('print("payload ran")\n')
  (tmp_path / 'config.json').write_text(
    '{"data": {"name": "synthetic.world.source.World"}, "batch_size": 1,'
    ' "clip_shape": [4, 16, 16, 3], "num_steps": 1, "optim": {"name": "adam",'
    ' "schedule": {"name": "constant", "peak": 1}},'
    ' "model": {"name": "payload.Net"}}'
  )
  command = [sys.executable, '-m', 'vgen_jax', 'sample', '--workdir=.']
  done = subprocess.run(
    command,
    cwd=tmp_path,
    env={**os.environ, 'PYTHONPATH': str(ROOT), 'JAX_PLATFORMS': 'cpu'},
    capture_output=True,
    text=True,
    check=False,
  )
  assert 'payload ran' not in done.stdout + done.stderr
  assert 'one that Python finds' in done.stderr
  assert done.returncode == 1
