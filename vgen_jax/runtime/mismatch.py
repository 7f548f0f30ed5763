"""Comparison of the tree in a checkpoint with the expected one."""

from typing import Any

import jax

from vgen_jax.runtime import sharding


class MismatchError(ValueError):
  """A checkpoint has another tree than the expected one."""


def check_same_tree(metadata: Any, wanted: Any, where: str) -> None:
  """Raises MismatchError with the first leaf in which two trees differ.

  Args:
    metadata: Metadata of the checkpoint, from Orbax.
    wanted: Expected tree of arrays or of their shapes.
    where: Name of the checkpoint in the message.
  """
  stored = _leaves(getattr(metadata, 'tree', metadata))
  for path, leaf in jax.tree_util.tree_leaves_with_path(wanted):
    name = sharding.path_name(path)
    if name not in stored:
      raise MismatchError(
        f'{where} has no {name}, which this config needs; the run there has'
        ' another model or optimizer. Use its own config.json, or another'
        ' workdir.'
      )
    found = stored.pop(name)
    _check_leaf(name, found, leaf, where)
  if stored:
    raise MismatchError(
      f'{where} has {next(iter(stored))}, which this config does not have; the'
      ' run there has another model or optimizer. Use its own config.json, or'
      ' another workdir.'
    )


def check_shapes(stored: Any, wanted: Any, where: str) -> None:
  """Raises MismatchError with the first leaf of another shape or dtype.

  Leaves that only one of the trees has are not compared.

  Args:
    stored: Tree of the checkpoint, of arrays or of their metadata.
    wanted: Expected tree of arrays or of their shapes.
    where: Name of the checkpoint in the message.
  """
  found = _leaves(stored)
  for name, leaf in _leaves(wanted).items():
    if name in found:
      _check_leaf(name, found[name], leaf, where)


def _leaves(tree: Any) -> dict[str, Any]:
  """Returns the leaves of a tree by the names of their paths."""
  return {
    sharding.path_name(path): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


def _check_leaf(name: str, found: Any, wanted: Any, where: str) -> None:
  """Raises MismatchError if a leaf has another shape or dtype."""
  if jax.dtypes.issubdtype(wanted.dtype, jax.dtypes.prng_key):
    return
  shapes = tuple(found.shape), tuple(wanted.shape)
  if shapes[0] != shapes[1] or str(found.dtype) != str(wanted.dtype):
    raise MismatchError(
      f'{where}: {name} is {found.dtype}{list(found.shape)}, but with this'
      f' config it is {wanted.dtype}{list(wanted.shape)}. Use the config.json'
      ' of that workdir, or another workdir.'
    )
