"""Tests of docs/: code blocks run, commands parse, links lead to files."""

import pathlib
import re
import subprocess
import sys
import textwrap

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGES = sorted((ROOT / 'docs').glob('*.md'))


def blocks(text: str, language: str) -> list[str]:
  """Returns the contents of all code blocks of a language, also indented."""
  pattern = rf'^( *)```{language}\n(.*?)^ *```$'
  found = re.findall(pattern, text, re.M | re.S)
  return [textwrap.dedent(body) for _, body in found]


WITH_CODE = [page for page in PAGES if blocks(page.read_text(), 'python')]


@pytest.mark.parametrize('page', WITH_CODE, ids=lambda page: page.stem)
def test_python_blocks_run(page: pathlib.Path, tmp_path):
  code = '\n'.join(blocks(page.read_text(), 'python'))
  done = subprocess.run(
    [sys.executable, '-c', code],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr


def test_a_broken_block_fails():
  page = 'Text.\n\n1. In a list:\n\n    ```python\n    x = 1 / 0\n    ```\n'
  (code,) = blocks(page, 'python')
  assert code == 'x = 1 / 0\n'
  with pytest.raises(ZeroDivisionError):
    exec(code, {})


def test_several_pages_have_code():
  assert len(WITH_CODE) >= 4


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files(page: pathlib.Path):
  """Generated pages are checked by `make docs`, which is strict."""
  for link in re.findall(r'\]\(([^)#]+)\)', page.read_text()):
    if not link.startswith('reference/'):
      assert (page.parent / link).exists(), f'{page.name}: {link}'


def test_the_navigation_lists_every_page():
  navigation = (ROOT / 'mkdocs.yml').read_text()
  assert [p.name for p in PAGES if f': {p.name}\n' not in navigation] == []
