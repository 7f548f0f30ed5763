"""The house keeps its plan: floors, no circles, rooms of a readable size.

Each rule is a function from a tree of files to its faults, so that it can be
tried on this repository and on a broken one.
"""

import ast
from collections.abc import Iterator
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = 'vgen_jax'

# From the ground up. A file imports from its own floor or from those below.
FLOORS = (
  ('core',),
  ('config', 'nn'),
  ('models', 'families'),
  ('data', 'pretrained', 'post'),
  ('evaluation',),
  ('synthetic',),
  ('runtime',),
  ('training',),
  ('inference',),
  ('ablation',),
  ('cli',),
)
# They meet in a config alone, so that each goes with each.
STRANGERS = ({'models', 'families'},)
MAX_LINES = {PACKAGE: 300, 'tests': 300, 'experiments': 300, 'configs': 80}
NO_PLACES = {'utils', 'util', 'common', 'helpers', 'helper', 'misc'}
# Not installed everywhere, or slow to import: only where they are needed.
LAZY = {'tensorflow', 'torch', 'wandb', 'tensorboardX', 'tensorflow_datasets'}
# Beside the types of core/types.py, names that may be imported themselves.
NAMED = {'VideoModel', 'Update', 'TrainState'}


def files(root: pathlib.Path, folder: str = PACKAGE) -> list[pathlib.Path]:
  return sorted((root / folder).rglob('*.py'))


def tree(path: pathlib.Path) -> ast.Module:
  return ast.parse(path.read_text())


def dotted(root: pathlib.Path, path: pathlib.Path) -> str:
  parts = path.relative_to(root).with_suffix('').parts
  return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def imports(path: pathlib.Path) -> list[str]:
  """Dotted names that a file takes from this package."""
  names = []
  for node in ast.walk(tree(path)):
    if isinstance(node, ast.ImportFrom):
      names += [f'{node.module}.{alias.name}' for alias in node.names]
    elif isinstance(node, ast.Import):
      names += [alias.name for alias in node.names]
  return [name for name in names if name.startswith(PACKAGE + '.')]


def floor(name: str) -> int:
  room = name.split('.')[1]
  found = [i for i, rooms in enumerate(FLOORS) if room in rooms]
  return found[0] if found else -1


def reaches_up(root: pathlib.Path) -> Iterator[str]:
  for path in files(root):
    here = dotted(root, path)
    if here == PACKAGE:
      continue
    if floor(here) < 0:
      yield f'{here} is on no floor; give its room a place in FLOORS.'
    for name in imports(path):
      rooms = {here.split('.')[1], name.split('.')[1]}
      if floor(name) > floor(here):
        yield f'{here} reaches up to {name}.'
      if rooms in STRANGERS:
        yield f'{here} must not know {name}.'


def circles(root: pathlib.Path) -> Iterator[str]:
  known = {dotted(root, path): imports(path) for path in files(root)}
  graph = {
    here: {
      other
      for other in known
      for name in names
      if other not in (PACKAGE, here) and f'{name}.'.startswith(f'{other}.')
    }
    for here, names in known.items()
  }
  while leaves := [here for here, others in graph.items() if not others]:
    for leaf in leaves:
      del graph[leaf]
    for others in graph.values():
      others.difference_update(leaves)
  if graph:
    yield f'{sorted(graph)} import each other in a circle.'


def too_long(root: pathlib.Path) -> Iterator[str]:
  for folder, most in MAX_LINES.items():
    for path in files(root, folder):
      if (lines := len(path.read_text().splitlines())) > most:
        yield f'{path.relative_to(root)} has {lines} lines; {most} are enough.'


def says_not_what_it_is_for(root: pathlib.Path) -> Iterator[str]:
  for folder in MAX_LINES:
    for path in files(root, folder):
      if not path.read_text().startswith(('"""', 'r"""')):
        yield f'{path.relative_to(root)} does not begin with its docstring.'


def inits_that_do_more(root: pathlib.Path) -> Iterator[str]:
  for path in files(root):
    if path.name == '__init__.py' and len(tree(path).body) > 1:
      yield f'{path.relative_to(root)} holds more than its docstring.'


def names_that_say_nothing(root: pathlib.Path) -> Iterator[str]:
  for path in files(root):
    for part in path.relative_to(root).with_suffix('').parts:
      if part in NO_PLACES:
        yield f'{path.relative_to(root)}: {part!r} is no place for a thing.'
      if part != '__init__' and not re.fullmatch(r'[a-z][a-z0-9_]*', part):
        yield f'{path.relative_to(root)}: {part!r} is not in snake_case.'


def run_at_import(node: ast.AST) -> Iterator[ast.AST]:
  """Yields what runs when a file is imported: bodies of functions do not."""
  yield node
  for name, field in ast.iter_fields(node):
    if name == 'body' and isinstance(
      node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    ):
      continue
    for child in field if isinstance(field, list) else [field]:
      if isinstance(child, ast.AST):
        yield from run_at_import(child)


def computes_at_import(root: pathlib.Path) -> Iterator[str]:
  busy = r'(jnp|jax\.(numpy|random|lax|devices|device_count|config))\b.*'
  for path in files(root):
    for node in run_at_import(tree(path)):
      if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        if re.fullmatch(busy, called):
          yield f'{path.relative_to(root)}: {called} runs at import.'


def imports_what_may_be_absent(root: pathlib.Path) -> Iterator[str]:
  for path in files(root):
    for node in run_at_import(tree(path)):
      names = []
      if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
      elif isinstance(node, ast.ImportFrom):
        names = [node.module or '']
      for name in names:
        if name.partition('.')[0] in LAZY:
          where = path.relative_to(root)
          yield f'{where} imports {name} at its top; do so where it is used.'


def imports_names(root: pathlib.Path) -> Iterator[str]:
  for path in files(root):
    for name in imports(path):
      place = root.joinpath(*name.split('.'))
      is_module = place.is_dir() or place.with_suffix('.py').exists()
      is_type = name.startswith(f'{PACKAGE}.core.types.')
      if not is_module and not is_type and name.split('.')[-1] not in NAMED:
        yield f'{path.relative_to(root)} imports {name}, which is no module.'


def asserts(root: pathlib.Path) -> Iterator[str]:
  for path in files(root):
    for node in ast.walk(tree(path)):
      if isinstance(node, ast.Assert):
        where = f'{path.relative_to(root)}:{node.lineno}'
        yield f'{where} asserts; `python -O` would not. Raise an error.'


RULES = (
  reaches_up,
  circles,
  too_long,
  says_not_what_it_is_for,
  inits_that_do_more,
  names_that_say_nothing,
  computes_at_import,
  imports_what_may_be_absent,
  imports_names,
  asserts,
)


@pytest.mark.parametrize('rule', RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps(rule):
  faults = list(rule(ROOT))
  assert not faults, '\n'.join(faults)


D = '"""What it is for."""\n'
BROKEN = (
  (reaches_up, 'nn/a.py', D + 'from vgen_jax.models import dit\n'),
  (reaches_up, 'models/a.py', D + 'from vgen_jax.families import vae\n'),
  (reaches_up, 'data/a.py', D + 'import vgen_jax.training.loop\n'),
  (reaches_up, 'attic/a.py', D),
  (circles, 'nn/dit.py', D + 'from vgen_jax.nn import dit_b\n'),
  (too_long, 'nn/a.py', D + 'x = 1\n' * 300),
  (says_not_what_it_is_for, 'nn/a.py', 'x = 1\n' + D),
  (inits_that_do_more, 'nn/__init__.py', D + 'import os\n'),
  (names_that_say_nothing, 'nn/utils.py', D),
  (names_that_say_nothing, 'nn/convLSTM.py', D),
  (computes_at_import, 'nn/a.py', D + 'X = 2 * jnp.ones(3)\n'),
  (computes_at_import, 'nn/a.py', D + 'class A:\n  x: int = jnp.ones(3)\n'),
  (computes_at_import, 'nn/a.py', D + 'def f(x=jax.random.key(0)):\n  x\n'),
  (imports_what_may_be_absent, 'data/a.py', D + 'import tensorflow as tf\n'),
  (imports_names, 'nn/a.py', D + 'from vgen_jax.nn.sound import sizes\n'),
  (asserts, 'nn/a.py', D + 'def f(x):\n  assert x\n'),
)


@pytest.fixture
def sound(tmp_path):
  """A small tree without a fault, though with what looks like some."""
  for name, text in {
    '__init__.py': D,
    'core/types.py': D,
    'core/__init__.py': D,
    'nn/__init__.py': D,
    'nn/sound.py': D + 'f = lambda: jnp.ones(3)\nX = jnp.float32\n',
    'nn/dit_b.py': D + 'from vgen_jax.nn import dit\n',
    'models/sound.py': D + 'from vgen_jax.nn import sound\n'
    'from vgen_jax.core.types import Array\n'
    'def f(x):\n  import torch\n  return jnp.sum(x)\n',
  }.items():
    file = tmp_path / PACKAGE / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
  (tmp_path / PACKAGE / 'nn/dit.py').write_text(D)
  return tmp_path


def test_a_sound_tree_has_no_faults(sound):
  assert [fault for rule in RULES for fault in rule(sound)] == []


@pytest.mark.parametrize(('rule', 'name', 'text'), BROKEN)
def test_a_fault_is_found(sound, rule, name, text):
  file = sound / PACKAGE / name
  file.parent.mkdir(exist_ok=True)
  file.write_text(text)
  assert list(rule(sound))
