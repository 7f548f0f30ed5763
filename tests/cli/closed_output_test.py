"""Tests of commands whose output is read by a program that ends early."""

import errno
import os
import pathlib
import subprocess
import sys

import pytest

from vgen_jax.cli import closed_output
from vgen_jax.cli import configs
from vgen_jax.cli import main

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(name='unread')
def fixture_unread():
  """The writing end of a pipe whose reading end is closed."""
  reading, writing = os.pipe()
  os.close(reading)
  yield writing
  os.close(writing)


def vgen(*words, unbuffered='', **streams):
  command = [sys.executable, '-m', 'vgen_jax', *words]
  environment = {**os.environ, 'PYTHONUNBUFFERED': unbuffered}
  return subprocess.run(
    command, cwd=ROOT, check=False, env=environment, **streams
  )


# Output is written by each `print`, or at the end of the command.
@pytest.mark.parametrize('unbuffered', ['', '1'])
@pytest.mark.parametrize('words', [['configs'], ['--version'], ['--help']])
def test_a_command_ends_without_a_message(words, unbuffered, unread):
  done = vgen(
    *words, unbuffered=unbuffered, stdout=unread, stderr=subprocess.PIPE
  )
  assert done.stderr == b''
  assert done.returncode == closed_output.STATUS


def test_help_of_a_command_ends_without_a_message(unread):
  done = vgen('train', '--help', stdout=unread, stderr=subprocess.PIPE)
  assert done.stderr == b''
  assert done.returncode == closed_output.STATUS


@pytest.mark.skipif(
  not pathlib.Path('/dev/full').exists(), reason='no /dev/full'
)
def test_output_to_a_full_disk_is_an_error_in_one_line():
  with open('/dev/full', 'w', encoding='utf-8') as full:
    done = vgen('configs', stdout=full, stderr=subprocess.PIPE)
  assert done.returncode == 1
  [line] = done.stderr.decode().splitlines()
  assert 'disk is full' in line


def test_errors_may_have_no_reader_either(unread):
  done = vgen('configs', 'cpy', stdout=unread, stderr=unread)
  assert done.returncode == closed_output.STATUS


def test_errors_are_reported_if_only_the_output_has_no_reader(unread):
  done = vgen('configs', 'cpy', stdout=unread, stderr=subprocess.PIPE)
  assert b"'cpy'" in done.stderr
  assert done.returncode == 1


def test_other_broken_pipes_are_errors(monkeypatch, capsys):
  def fails(args):
    raise BrokenPipeError(errno.EPIPE, 'Broken pipe')

  monkeypatch.setattr(configs, 'run', fails)
  assert main.main(['configs']) == 1
  assert 'Broken pipe' in capsys.readouterr().err
  with pytest.raises(BrokenPipeError):
    main.main(['configs', '--debug'])


def test_a_command_may_be_started_without_standard_output():
  command = f'{sys.executable} -m vgen_jax --version >&-'
  done = subprocess.run(
    command, cwd=ROOT, check=False, shell=True, stderr=subprocess.PIPE
  )
  assert (done.returncode, done.stderr) == (0, b'')
