"""Rules for the layout of the package, as functions of a source tree.

Each rule yields a message for every violation. `layout_test.py` applies them to
this repository and to small trees that break them.
"""

import ast
from collections.abc import Iterator
import pathlib
import re

from tests import import_graph

PACKAGE = import_graph.PACKAGE

# From low to high. A module imports from its own layer or from lower ones.
LAYERS = (
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
# Packages that do not import each other; configs combine them.
INDEPENDENT = ({'models', 'families'}, {'config', 'nn'})
MAX_LINES = {PACKAGE: 300, 'tests': 300, 'experiments': 300, 'configs': 80}
MAX_FILES = 14
MANY_FILES = {'models', 'cli'}  # One file per network, or per command.
MAX_PARAMETERS = 8
VAGUE_NAMES = {'utils', 'util', 'common', 'helpers', 'helper', 'misc'}
# Not installed everywhere, or slow to import: imported where they are used.
LAZY = {
  *('scipy', 'sklearn', 'tensorboardX', 'tensorflow', 'tensorflow_datasets'),
  *('torch', 'wandb'),
}
# Names that may be imported, in addition to the types of core/types.py.
IMPORTABLE = {'VideoModel', 'Update', 'TrainState'}


def layer(name: str) -> int:
  """Returns the number of a module's layer, -1 if it is in none."""
  package = name.split('.')[1]
  found = [i for i, packages in enumerate(LAYERS) if package in packages]
  return found[0] if found else -1


def imports_of_higher_layers(root: pathlib.Path) -> Iterator[str]:
  """Imports go to lower layers, and not between independent packages."""
  for path in import_graph.files(root):
    here = import_graph.dotted(root, path)
    if here in (PACKAGE, f'{PACKAGE}.__main__'):
      continue
    if layer(here) < 0:
      yield f'{here} is in no layer; add its package to LAYERS.'
    for name in import_graph.imports(path):
      packages = {here.split('.')[1], name.split('.')[1]}
      if layer(name) > layer(here):
        yield f'{here} imports {name} of a higher layer.'
      if packages in INDEPENDENT:
        yield f'{here} must not import {name}.'


def cycles_of_modules(root: pathlib.Path) -> Iterator[str]:
  """Modules do not import each other in a cycle."""
  if found := import_graph.cycle(import_graph.graph(root)):
    yield f'These modules are part of an import cycle: {found}.'


def cycles_of_packages(root: pathlib.Path) -> Iterator[str]:
  """Folders do not import each other in a cycle, nor their sub-folders."""
  modules = import_graph.graph(root)
  folder = lambda name: (
    name
    if any(other.startswith(f'{name}.') for other in modules)
    else name.rpartition('.')[0]
  )
  edges: dict[str, set[str]] = {}
  for here, others in modules.items():
    targets = {folder(other) for other in others} - {folder(here)}
    edges.setdefault(folder(here), set()).update(targets)
    for target in targets:
      edges.setdefault(target, set())
  if found := import_graph.cycle(edges):
    yield f'These packages are part of an import cycle: {found}.'


def long_files(root: pathlib.Path) -> Iterator[str]:
  """Files have a readable length."""
  for folder, most in MAX_LINES.items():
    for path in import_graph.files(root, folder):
      if (lines := len(path.read_text().splitlines())) > most:
        yield f'{path.relative_to(root)} has {lines} lines, more than {most}.'


def crowded_folders(root: pathlib.Path) -> Iterator[str]:
  """Folders hold few files."""
  for folder in {path.parent for path in import_graph.files(root)}:
    count = len([p for p in folder.glob('*.py') if p.name != '__init__.py'])
    if folder.name not in MANY_FILES and count > MAX_FILES:
      where = folder.relative_to(root)
      yield f'{where} has {count} files, more than {MAX_FILES}.'


def long_signatures(root: pathlib.Path) -> Iterator[str]:
  """Functions have few parameters; sources of clips mirror `config.data`."""
  for path in import_graph.files(root):
    module = import_graph.tree(path)
    free = {
      method
      for cls in ast.walk(module)
      if isinstance(cls, ast.ClassDef)
      for names in [
        {x.name for x in cls.body if isinstance(x, ast.FunctionDef)}
      ]
      if '__getitem__' in names
      for method in cls.body
      if isinstance(method, ast.FunctionDef) and method.name == '__init__'
    }
    for node in ast.walk(module):
      if not isinstance(node, ast.FunctionDef) or node in free:
        continue
      arguments = node.args
      names = arguments.posonlyargs + arguments.args + arguments.kwonlyargs
      count = len([x for x in names if x.arg not in ('self', 'cls')])
      if count > MAX_PARAMETERS:
        where = f'{path.relative_to(root)}:{node.lineno} {node.name}'
        yield f'{where} has {count} parameters, more than {MAX_PARAMETERS}.'


def missing_docstrings(root: pathlib.Path) -> Iterator[str]:
  """Every file begins with its docstring."""
  for folder in MAX_LINES:
    for path in import_graph.files(root, folder):
      if not path.read_text().startswith(('"""', 'r"""')):
        yield f'{path.relative_to(root)} does not begin with a docstring.'


def full_inits(root: pathlib.Path) -> Iterator[str]:
  """An `__init__.py` holds a docstring; the top one also the version."""
  for path in import_graph.files(root):
    if path.name != '__init__.py':
      continue
    rest = [ast.unparse(node) for node in import_graph.tree(path).body[1:]]
    if path.parent.name == PACKAGE:
      rest = [line for line in rest if not line.startswith('__version__ =')]
    if rest:
      yield f'{path.relative_to(root)} holds more than its docstring.'


def vague_names(root: pathlib.Path) -> Iterator[str]:
  """Names of files say what is in them."""
  for path in import_graph.files(root):
    for part in path.relative_to(root).with_suffix('').parts:
      if part in VAGUE_NAMES:
        yield f'{path.relative_to(root)}: {part!r} does not say what is in it.'
      if part not in ('__init__', '__main__') and not re.fullmatch(
        r'[a-z][a-z0-9_]*', part
      ):
        yield f'{path.relative_to(root)}: {part!r} is not in snake_case.'


def run_at_import(node: ast.AST) -> Iterator[ast.AST]:
  """Yields what runs when a file is imported, so not bodies of functions."""
  yield node
  for name, field in ast.iter_fields(node):
    if name == 'body' and isinstance(
      node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    ):
      continue
    for child in field if isinstance(field, list) else [field]:
      if isinstance(child, ast.AST):
        yield from run_at_import(child)


def computation_at_import(root: pathlib.Path) -> Iterator[str]:
  """Importing a file does not run JAX."""
  pattern = r'(jnp|jax\.(numpy|random|lax|devices|device_count|config))\b.*'
  for path in import_graph.files(root):
    for node in run_at_import(import_graph.tree(path)):
      if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        if re.fullmatch(pattern, called):
          yield f'{path.relative_to(root)}: {called} runs at import.'


def eager_imports(root: pathlib.Path) -> Iterator[str]:
  """Packages that may be missing, or are slow, are imported where needed."""
  for path in import_graph.files(root):
    for node in run_at_import(import_graph.tree(path)):
      names = []
      if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
      elif isinstance(node, ast.ImportFrom):
        names = [node.module or '']
      for name in names:
        if name.partition('.')[0] in LAZY:
          where = path.relative_to(root)
          yield f'{where} imports {name} at its top, not where it is used.'


def imported_names(root: pathlib.Path) -> Iterator[str]:
  """Modules are imported, not names."""
  for path in import_graph.files(root):
    for name in import_graph.imports(path):
      target = root.joinpath(*name.split('.'))
      is_module = target.is_dir() or target.with_suffix('.py').exists()
      is_type = name.startswith(f'{PACKAGE}.core.types.')
      if not (is_module or is_type or name.split('.')[-1] in IMPORTABLE):
        yield f'{path.relative_to(root)} imports {name}, which is not a module.'


def assertions(root: pathlib.Path) -> Iterator[str]:
  """Errors are raised, since `python -O` skips assertions."""
  for path in import_graph.files(root):
    for node in ast.walk(import_graph.tree(path)):
      if isinstance(node, ast.Assert):
        where = f'{path.relative_to(root)}:{node.lineno}'
        yield f'{where} asserts; raise an error instead.'


RULES = (
  imports_of_higher_layers,
  cycles_of_modules,
  cycles_of_packages,
  long_files,
  crowded_folders,
  long_signatures,
  missing_docstrings,
  full_inits,
  vague_names,
  computation_at_import,
  eager_imports,
  imported_names,
  assertions,
)
