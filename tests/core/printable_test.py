"""Tests of `file_paths.printable` and of its use for names of files."""

import logging
import os
import unicodedata

import pytest

from vgen_jax.cli import main
from vgen_jax.core import faults
from vgen_jax.core import file_paths

HOSTILE = 'a\x1b[2J\x1b]0;title\x07\r\n\u202e\u2028\x9b31m\x00\udcff.mp4'


def test_characters_that_change_the_display_are_escaped():
  text = file_paths.printable(HOSTILE)
  assert text.isprintable()
  assert text.encode()  # UTF-8, so that it can be printed.
  for escape in (r'\x1b[2J', r'\x07', r'\r\n', r'\u202e', r'\x9b', r'\udcff'):
    assert escape in text
  assert (
    len(set(file_paths.printable(x) for x in ('\x1b', r'\x1c', '\x07'))) == 3
  )


@pytest.mark.parametrize(
  'name',
  ['café 12:30 "x" (1)', '視頻😀.MP4', unicodedata.normalize('NFD', 'é')],
)
def test_names_in_all_scripts_are_unchanged(name):
  assert file_paths.printable(name) == name


def test_names_of_bytes_and_paths():
  assert file_paths.printable(b'a\xff') == r'a\udcff'
  assert file_paths.printable(os.fsdecode(b'a\xff')) == r'a\udcff'
  assert file_paths.printable('a\n\tb', keeps='\n') == 'a\n\\tb'


def test_errors_about_files_are_printable():
  error = faults.ClipError(HOSTILE, 'it is bad.')
  assert str(error).isprintable()
  assert error.path == HOSTILE


def test_the_command_line_prints_no_control_characters(tmp_path, capsys):
  name = HOSTILE.replace('\x00', '').replace('\r', '').replace('\n', '')
  folder = tmp_path / name
  assert main.main(['data', 'prepare', 'video_folder', f'--source={folder}',
                    f'--out={tmp_path}']) == 1  # fmt: skip
  message = capsys.readouterr().err.removesuffix('\n')
  assert 'there is no such folder' in message
  assert message.isprintable()


def test_log_messages_keep_their_lines_only(caplog):
  record = logging.LogRecord('x', 20, 'f', 1, 'one\ntwo %s', ('\x1b[2J',), None)
  assert file_paths.Formatter('%(message)s').format(record) == (
    'one\ntwo \\x1b[2J'
  )
