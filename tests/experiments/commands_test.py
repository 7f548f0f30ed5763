"""Tests that the commands of experiments in pages and docstrings are correct.

A script that is run by its path does not find the package `experiments`, so
commands name modules: `python -m experiments.NAME`.
"""

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
TOPS = (
  'README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'configs', 'docs',
  'experiments', 'vgen_jax',
)  # fmt: skip
BY_PATH = re.compile(r'python3?\s+experiments/\S+')
MODULE = re.compile(r'python3?\s+-m\s+(experiments[\w.]*\w)')
FILE = re.compile(r'(?:tests/)?experiments/[\w/]+\.(?:py|md|png|gif)')


def wrong(text: str) -> list[str]:
  """Returns the commands and names of files in a text that are wrong."""
  by_path = BY_PATH.findall(text)
  modules = [
    name
    for name in MODULE.findall(text)
    if not (ROOT / f'{name.replace(".", "/")}.py').exists()
  ]
  files = [name for name in FILE.findall(text) if not (ROOT / name).exists()]
  return by_path + modules + files


def test_commands_of_experiments_name_modules():
  found, num_commands = {}, 0
  for top in TOPS:
    path = ROOT / top
    files = [path] if path.is_file() else path.rglob('*.*')
    for file in files:
      if file.suffix in ('.py', '.md'):
        text = file.read_text()
        num_commands += len(MODULE.findall(text))
        if commands := wrong(text):
          found[str(file.relative_to(ROOT))] = commands
  assert not found
  assert num_commands > 20


def test_wrong_commands_are_found():
  for text in (
    'run `python experiments/bottlenecks.py`',
    'run `python -m experiments.zoo.rough_clips --num=2`',
    'run `python -m\nexperiments.zoo.rough_clips --num=2`',
    'see experiments/zoo/rough_clips.py',
  ):
    assert len(wrong(text)) == 1, text
