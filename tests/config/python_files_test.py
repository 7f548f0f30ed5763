"""Tests of config/python_files.py: errors name the file and the line."""

import re

import pytest

from vgen_jax.cli import main as cli
from vgen_jax.config import loading
from vgen_jax.config import python_files


def test_the_names_of_a_file_are_returned(tmp_path):
  (tmp_path / 'a.py').write_text('A = 1 + 2\n')
  assert python_files.run(str(tmp_path / 'a.py'))['A'] == 3


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    (b'A = 1\nB = (\n', "a.py, line 2: SyntaxError: '(' was never closed"),
    (b'A = 1\nB = C\n', "a.py, line 2: NameError: name 'C' is not defined"),
    (b'\nimport no_such\n', 'a.py, line 2: ModuleNotFoundError: No module'),
    (b'def f():\n  1 / 0\nf()\n', 'a.py, line 2: ZeroDivisionError: division'),
    (b'A = 1\nB = "\xe9"\n', 'a.py, line 2: SyntaxError: (unicode error)'),
    (b'\x00\x01', 'a.py: SyntaxError: source code string cannot contain null'),
    (b'raise ValueError("x")', 'a.py, line 1: ValueError: x'),
  ],
)
def test_an_error_names_the_file_and_the_line(tmp_path, content, message):
  file = tmp_path / 'a.py'
  file.write_bytes(content)
  message = re.escape(message)
  for read in (python_files.run, loading.load):
    with pytest.raises(ValueError, match=message):
      read(str(file))


def test_commands_print_it_in_one_line(tmp_path, capsys):
  file = tmp_path / 'a.py'
  file.write_text('\nBASE = x\n')
  for argv in (
    ['train', f'--config={file}', f'--workdir={tmp_path}/run'],
    ['ablate', f'--experiment={file}', f'--workdir={tmp_path}/run'],
  ):
    assert cli.main(argv) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert f"{file}, line 2: NameError: name 'x' is not defined" in line


def test_an_error_of_get_config_names_its_line(tmp_path):
  file = tmp_path / 'a.py'
  file.write_text(
    "SIZES = ('base',)\ndef get_config(size='base'):\n  return size.wdith\n"
  )
  with pytest.raises(ValueError, match=r'a\.py, line 3: AttributeError: .str'):
    loading.load(f'{file}:base')
