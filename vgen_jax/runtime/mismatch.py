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
  stored = {
    sharding.path_name(path): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(
      getattr(metadata, 'tree', metadata)
    )
  }
  for path, leaf in jax.tree_util.tree_leaves_with_path(wanted):
    name = sharding.path_name(path)
    if name not in stored:
      raise MismatchError(
        f'{where} has no {name}, which this config needs; the run there has'
        ' another model or optimizer. Use its own config.json, or another'
        ' workdir.'
      )
    found = stored.pop(name)
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
      continue
    if (tuple(found.shape), str(found.dtype)) != (leaf.shape, str(leaf.dtype)):
      raise MismatchError(
        f'{where}: {name} is {found.dtype}{list(found.shape)}, but with this'
        f' config it is {leaf.dtype}{list(leaf.shape)}. Use the config.json of'
        ' that workdir, or another workdir.'
      )
  if stored:
    raise MismatchError(
      f'{where} has {next(iter(stored))}, which this config does not have; the'
      ' run there has another model or optimizer. Use its own config.json, or'
      ' another workdir.'
    )
