"""Tests that the package keeps the layout rules, and that each rule works."""

import importlib.util
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]

_spec = importlib.util.spec_from_file_location(
  'layout_rules', ROOT / 'tests/layout_rules.py'
)
rules = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(rules)


@pytest.mark.parametrize('rule', rules.RULES, ids=lambda rule: rule.__name__)
def test_the_repository_keeps(rule):
  violations = list(rule(ROOT))
  assert not violations, '\n'.join(violations)


D = '"""Says what the file is for."""\n'
EIGHT = ', '.join('abcdefgh')
TOO_MANY = ', '.join('abcdefghijk')
# (rule, {file: text}): each tree breaks the rule.
BROKEN = (
  (
    rules.imports_of_higher_layers,
    {'nn/a.py': D + 'from vgen_jax.models import dit\n'},
  ),
  (
    rules.imports_of_higher_layers,
    {'models/a.py': D + 'from vgen_jax.families import vae\n'},
  ),
  (
    rules.imports_of_higher_layers,
    {'training/a.py': D + 'from vgen_jax.inference import sampling\n'},
  ),
  (rules.imports_of_higher_layers, {'attic/a.py': D}),
  (
    rules.cycles_of_modules,
    {'nn/dit.py': D + 'from vgen_jax.nn import dit_b\n'},
  ),
  (
    rules.cycles_of_packages,
    {
      'data/files/a.py': D + 'from vgen_jax.data.tfds import b\n',
      'data/files/c.py': D,
      'data/tfds/b.py': D,
      'data/tfds/d.py': D + 'from vgen_jax.data.files import c\n',
    },
  ),
  (
    rules.cycles_of_packages,
    {
      'data/a.py': D + 'from vgen_jax.data.tfds import b\n',
      'data/c.py': D,
      'data/tfds/b.py': D + 'from vgen_jax.data import c\n',
    },
  ),
  (rules.long_files, {'nn/a.py': D + 'x = 1\n' * 300}),
  (rules.crowded_folders, {f'nn/a{i}.py': D for i in range(15)}),
  (rules.long_signatures, {'nn/a.py': D + f'def f({TOO_MANY}):\n  a\n'}),
  (
    rules.long_signatures,
    {'nn/a.py': D + f'def f(*, {TOO_MANY}):\n  a\n'},
  ),
  (rules.missing_docstrings, {'nn/a.py': 'x = 1\n' + D}),
  (rules.full_inits, {'nn/__init__.py': D + 'import os\n'}),
  (rules.full_inits, {'nn/__init__.py': D + "__version__ = '1'\n"}),
  (rules.full_inits, {'__init__.py': D + 'import os\n'}),
  (rules.vague_names, {'nn/utils.py': D}),
  (rules.vague_names, {'nn/convLSTM.py': D}),
  (rules.computation_at_import, {'nn/a.py': D + 'X = 2 * jnp.ones(3)\n'}),
  (
    rules.computation_at_import,
    {'nn/a.py': D + 'class A:\n  x: int = jnp.ones(3)\n'},
  ),
  (
    rules.computation_at_import,
    {'nn/a.py': D + 'def f(x=jax.random.key(0)):\n  x\n'},
  ),
  (rules.eager_imports, {'data/a.py': D + 'import tensorflow as tf\n'}),
  (
    rules.imported_names,
    {'nn/a.py': D + 'from vgen_jax.nn.sound import sizes\n'},
  ),
  (rules.assertions, {'nn/a.py': D + 'def f(x):\n  assert x\n'}),
)


def write(root: pathlib.Path, texts: dict[str, str]) -> None:
  for name, text in texts.items():
    file = root / rules.PACKAGE / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def sound(tmp_path):
  """A small tree that keeps all rules, with code that nearly breaks some."""
  write(
    tmp_path,
    {
      '__init__.py': D + "__version__ = '1'\n",
      'core/types.py': D,
      'nn/__init__.py': D,
      'nn/sound.py': D + 'f = lambda: jnp.ones(3)\nX = jnp.float32\n',
      'nn/dit.py': D,
      'nn/dit_b.py': D + 'from vgen_jax.nn import dit\n',
      'nn/short.py': D + f'def f({EIGHT}):\n  a\n',
      'data/source.py': D
      + f'class S:\n  def __init__(self, {EIGHT}, i):\n    a\n'
      '  def __getitem__(self, i):\n    a\n',
      'data/files/a.py': D + 'from vgen_jax.data import clips\n',
      'data/clips.py': D,
      'models/sound.py': D + 'from vgen_jax.nn import sound\n'
      'from vgen_jax.core.types import Array\n'
      'def f(x):\n  import torch\n  return jnp.sum(x)\n',
    },
  )
  return tmp_path


def test_a_sound_tree_has_no_violations(sound):
  assert [fault for rule in rules.RULES for fault in rule(sound)] == []


@pytest.mark.parametrize(('rule', 'texts'), BROKEN)
def test_a_violation_is_detected(sound, rule, texts):
  write(sound, texts)
  assert list(rule(sound))


def test_every_rule_is_shown_to_work():
  assert {rule for rule, _ in BROKEN} == set(rules.RULES)
