"""Tests of mutants.py and mutations.py."""

import ast
import pathlib

import pytest

from tests import mutants
from tests import mutations

ROOT = pathlib.Path(__file__).parents[1]
HEAD = '"""About 3 things."""\n\nfrom a import b\n\n'


def changes(tmp_path, source) -> set[tuple[str, str]]:
  """Returns (before, after) of all mutants of a file."""
  (tmp_path / 'file.py').write_text(HEAD + source)
  found = [*mutations.mutants_of(tmp_path / 'file.py', tmp_path)]
  for mutant in found:
    assert mutant.path == 'file.py'
    ast.parse(mutant.source)
    assert mutant.source != HEAD + source
    assert mutant.source.startswith(HEAD)
    assert mutant.line > 4
  return {(mutant.before, mutant.after) for mutant in found}


@pytest.mark.parametrize(
  ('source', 'expected'),
  [
    ('x = a + b', {('a + b', 'a - b')}),
    ('x = a < b', {('a < b', 'a <= b')}),
    ('x = not a', {('not a', 'a')}),
    ('x = a and b', {('a and b', 'a or b')}),
    ('x = 3', {('3', '4')}),
    ('x = 0.5', {('0.5', '1.0')}),
    ('x = True', {('True', 'False')}),
    ('x = a[b:]', {('a[b:]', 'a')}),
    ('x = f(x)', {('x = f(x)', 'pass')}),
    ('x += a', {('x += a', 'pass')}),
    ('check(a)', {('check(a)', 'pass')}),
    ('x = a if b else c', {('a if b else c', x) for x in 'ac'}),
    ('x: tuple[int, 3] = a', set()),
    ("raise ValueError(f'{a + 1}')", set()),
    ('def f(a: int | b) -> 3 | c:\n  return a', set()),
    ('"""Text of 2 lines."""', set()),
  ],
)
def test_changes_of_a_line(tmp_path, source, expected):
  assert changes(tmp_path, source) == expected


def test_text_outside_of_the_change_stays(tmp_path):
  source = "x = 'ä', (a +\n  b)  # Why.\ny = 1\n"
  (tmp_path / 'file.py').write_text(HEAD + source)
  texts = [
    m.source for m in mutations.mutants_of(tmp_path / 'file.py', tmp_path)
  ]
  assert HEAD + "x = 'ä', ((a - b))  # Why.\ny = 1\n" in texts
  assert HEAD + "x = 'ä', (a +\n  b)  # Why.\ny = (2)\n" in texts


def test_the_sample_is_one_mutant_of_each_line(tmp_path):
  for name in ('nn/warp', 'nn/compositing', 'training/step', 'core/checks'):
    path = tmp_path / f'vgen_jax/{name}.py'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text((ROOT / f'vgen_jax/{name}.py').read_text())
  one, two = (mutants.sample(tmp_path, 8, seed=3) for _ in range(2))
  assert one == two
  assert len({(mutant.path, mutant.line) for mutant in one}) == 8
  assert {m.path.split('/')[1] for m in one} <= set(mutants.PACKAGES)
  assert one != mutants.sample(tmp_path, 8, seed=4)


def test_the_closest_tests_come_first():
  found = mutants.tests_of(ROOT, 'vgen_jax/models/dit.py', 3)
  assert found[0] == 'tests/models/dit_test.py'
  assert len(found) == 3
  found = mutants.tests_of(ROOT, 'vgen_jax/nn/attention/cache.py', 9)
  assert found[0] == 'tests/nn/attention/multi_head_test.py'
  assert all((ROOT / path).exists() for path in found)
