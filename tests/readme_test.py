"""Tests of the README and docs: commands parse, links and paths exist."""

import importlib
import pathlib
import re
import shlex

import pytest

from vgen_jax.cli import main as cli
from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.config import shipped

ROOT = pathlib.Path(__file__).parents[1]
DOCUMENTS = [
  ROOT / 'README.md',
  ROOT / 'CONTRIBUTING.md',
  ROOT / 'experiments/README.md',
  ROOT / 'experiments/results/README.md',
]
PAGES = sorted((ROOT / 'docs').glob('*.md'))
SOURCES = [*ROOT.glob('configs/*.py'), *ROOT.glob('experiments/*.py')]


def commands(text: str) -> list[list[str]]:
  """Returns the words of every `vgen` command in a text."""
  text = re.sub(r'\s*\\\n\s*', ' ', text)
  found = re.findall(
    r'^[^`\n]*?\bvgen ((?!COMMAND)[a-z]+(?: [a-z_0-9]+)* --'
    r"""(?:'[^'\n]*'|[^`"'\n])*)""",
    text,
    re.M,
  )
  return [shlex.split(line.partition('  #')[0]) for line in found]


ALL = [
  pytest.param(words, id=f'{path.name}: {" ".join(words)[:60]}')
  for path in [*DOCUMENTS, *PAGES, *SOURCES]
  for words in commands(path.read_text())
]


@pytest.mark.parametrize('words', ALL)
def test_commands_parse_and_configs_apply(words, monkeypatch):
  monkeypatch.chdir(ROOT)
  name, *flags = words
  if name == 'data':
    name = f'data_{flags.pop(0)}'
  module = importlib.import_module(f'vgen_jax.cli.{name}')
  parser = cli._Parser()
  module.add_arguments(parser)
  args = parser.parse(flags)
  overrides = config_lib.parse_overrides(args.overrides)
  if name == 'train' and args.config:
    config = config_lib.load(args.config)
    settings_lib.read(config_lib.replace(config, overrides))
  if name == 'ablate' and args.experiment not in ('x', 'NAME'):
    assert shipped.find('experiments', args.experiment)


def test_there_are_commands_to_check():
  assert len(ALL) >= 8
  with pytest.raises(ValueError, match="Unknown flag '--wrkdir'"):
    test_commands_parse_and_configs_apply(
      ['sample', '--workdir=x', '--wrkdir=y'], pytest.MonkeyPatch()
    )


@pytest.mark.parametrize(
  'path', DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT))
)
def test_links_lead_somewhere(path):
  text = path.read_text()
  for link in re.findall(r'\]\(([^)#]+)', text) + re.findall(
    r'src="([^"]+)"', text
  ):
    assert '://' in link or (path.parent / link).exists(), link


def test_the_map_of_the_tree_is_the_tree():
  text = (ROOT / 'CONTRIBUTING.md').read_text()
  block = re.search(r'```\n(vgen_jax/\n.*?)```', text, re.S)
  assert block, 'CONTRIBUTING.md has no map.'
  named = re.findall(r'^(  )?(\S+?)/?(?=\s)', block.group(1), re.M)
  for indent, name in named:
    folder = ROOT / 'vgen_jax' if indent else ROOT
    assert (folder / name).exists(), name
  folders = {p.name for p in (ROOT / 'vgen_jax').iterdir() if p.is_dir()}
  listed = {name for indent, name in named if indent}
  assert folders - {'__pycache__'} <= listed
