"""Checks that opening a TFDS dataset does not run code from its folder.

TFDS imports the module of every class that `features.json` names. A dataset
from elsewhere could therefore run any module that Python finds. Only the
feature classes of TFDS itself are allowed.
"""

from collections.abc import Iterator
from typing import Any

from etils import epath

from vgen_jax.core import file_paths
from vgen_jax.core import json_files

_FILE = 'features.json'
_ALLOWED = 'tensorflow_datasets.core.features.'
# Names of the field with the class: in JSON, in protobuf, in old datasets.
_CLASS_KEYS = ('pythonClassName', 'python_class_name', 'type')


def check_folder(folder: epath.PathLike) -> None:
  """Checks the features of a dataset before TFDS reads them.

  Args:
    folder: Folder of a version of a dataset, with features.json. Nothing is
      checked if there is no such file, since TFDS then imports nothing.

  Raises:
    ValueError: If a feature has a class that is not one of TFDS, or the file
      cannot be parsed.
  """
  file = file_paths.read(folder) / _FILE
  if not file.exists():
    return
  for name in _class_names(json_files.read(file)):
    is_path = all(part.isidentifier() for part in name.split('.'))
    is_class = name.rpartition('.')[2][:1].isupper()
    if not (name.startswith(_ALLOWED) and is_path and is_class):
      raise ValueError(
        f'{file} names the class {name!r}; only classes of'
        f' {_ALLOWED.rstrip(".")} are allowed, because TFDS would import the'
        ' module and so run its code. Prepare the dataset again, or remove the'
        ' feature.'
      )


def check_all(folder: epath.PathLike) -> None:
  """Calls `check_folder` for all versions of all configs of a dataset."""
  for pattern in (f'*/{_FILE}', f'*/*/{_FILE}'):
    for file in file_paths.read(folder).glob(pattern):
      check_folder(file.parent)


def _class_names(content: Any) -> Iterator[str]:
  """Yields all names of classes in the content of features.json."""
  nodes = [content]
  while nodes:
    node = nodes.pop()
    if isinstance(node, dict):
      for key in _CLASS_KEYS:
        # Other fields are named `type`, too, but not after a module.
        if isinstance(node.get(key), str) and '.' in node[key]:
          yield node[key]
      nodes += node.values()
    elif isinstance(node, list):
      nodes += node
