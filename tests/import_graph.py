"""The files of a source tree, what they import, and cycles of imports."""

import ast
import functools
import pathlib

PACKAGE = 'vgen_jax'


def files(root: pathlib.Path, folder: str = PACKAGE) -> list[pathlib.Path]:
  """Returns all Python files of a folder."""
  return sorted((root / folder).rglob('*.py'))


def tree(path: pathlib.Path) -> ast.Module:
  """Returns the syntax tree of a file, which must not be changed."""
  return _tree(path.read_text())


@functools.cache
def _tree(text: str) -> ast.Module:
  return ast.parse(text)


def dotted(root: pathlib.Path, path: pathlib.Path) -> str:
  """Returns the name of the module that a file holds."""
  parts = path.relative_to(root).with_suffix('').parts
  return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def imports(path: pathlib.Path) -> list[str]:
  """Returns the dotted names that a file imports from this package."""
  return _imports(path.read_text())


@functools.cache
def _imports(text: str) -> list[str]:
  names = []
  for node in ast.walk(_tree(text)):
    if isinstance(node, ast.ImportFrom):
      names += [f'{node.module}.{alias.name}' for alias in node.names]
    elif isinstance(node, ast.Import):
      names += [alias.name for alias in node.names]
  return [name for name in names if name.startswith(PACKAGE + '.')]


def graph(root: pathlib.Path) -> dict[str, set[str]]:
  """Returns {module: modules that it imports}."""
  known = {dotted(root, path): imports(path) for path in files(root)}
  return {
    here: {
      other
      for other in known
      for name in names
      if other not in (PACKAGE, here)
      and (name == other or name.rpartition('.')[0] == other)
      and not (name in known and name != other)
    }
    for here, names in known.items()
  }


def cycle(edges: dict[str, set[str]]) -> list[str]:
  """Returns the nodes that are on a cycle or lead to one."""
  left = {node: set(others) for node, others in edges.items()}
  while leaves := [node for node, others in left.items() if not others]:
    for leaf in leaves:
      del left[leaf]
    for others in left.values():
      others.difference_update(leaves)
  return sorted(left)
