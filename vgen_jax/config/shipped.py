"""Configs and experiments that ship with vgen_jax, found by their names.

An installed package has them in its folders `configs/` and `experiments/`; a
checkout has them next to the package.
"""

import dataclasses
import pathlib
import re
from typing import Any

from vgen_jax.config import python_files
from vgen_jax.core import checks

_FOLDER_SOURCE = 'data.files.video_folder.VideoFolder'


@dataclasses.dataclass(frozen=True)
class Entry:
  """Summary of a config.

  Attributes:
    name: Name of the config, for `--config=NAME`.
    title: First sentence of its docstring.
    sizes: Names of its sizes, for `--config=NAME:SIZE`; the first is used
      without one.
    accelerator_sizes: Names of the sizes that need a GPU or a TPU.
    data: Name of the class that its clips come from.
    needs_folder: Whether `config.data.folder` must be set to a folder of
      videos.
    frozen: Directories of runs that must exist before, such as
      'runs/fsq_world'.
  """

  name: str
  title: str
  sizes: tuple[str, ...]
  accelerator_sizes: tuple[str, ...]
  data: str
  needs_folder: bool
  frozen: tuple[str, ...]

  @property
  def cpu_sizes(self) -> tuple[str, ...]:
    """Sizes for a CPU, without the one for tests."""
    others = {*self.accelerator_sizes, 'smoke'}
    return tuple(size for size in self.sizes if size not in others)


def configs() -> dict[str, pathlib.Path]:
  """Returns the configs that ship with vgen_jax, {name: file}."""
  return _files('configs')


def experiments() -> dict[str, pathlib.Path]:
  """Returns the experiments that ship with vgen_jax, {name: file}."""
  return _files('experiments')


def is_name(text: str) -> bool:
  """Returns whether a string is a name, such as 'demo', rather than a path."""
  return re.fullmatch(r'\w+', text) is not None


def find(kind: str, name: str) -> pathlib.Path:
  """Returns the file of a config or an experiment.

  Args:
    kind: 'configs' or 'experiments'.
    name: Name of the file without '.py'.

  Raises:
    ValueError: If there is no such file. The message names the closest one.
  """
  files = _files(kind)
  if name not in files:
    raise ValueError(
      f'{name!r} is not one of the {kind} that ship with vgen_jax.'
      f'{checks.hint(name, files)} A file of your own needs its path, such as'
      f' ./{name}.py.'
    )
  return files[name]


def describe(name: str) -> Entry:
  """Returns the summary of a config, whose file is run for this.

  Raises:
    ValueError: If there is no such config.
  """
  names = python_files.run(str(find('configs', name)))
  data = names['get_config']().data
  frozen = names['get_config']().get('frozen', {})
  return Entry(
    name,
    names['__doc__'].strip().splitlines()[0].rstrip('.'),
    tuple(names['SIZES']),
    accelerator_sizes(names),
    data.name,
    data.name == _FOLDER_SOURCE,
    tuple(frozen.values()),
  )


def describe_size(path: str) -> tuple[bool, str]:
  """Returns whether a size needs an accelerator, and the sizes that do not.

  Args:
    path: File of a config and a size, 'file.py' or 'file.py:size'.

  Returns:
    (needs, others): `needs` is whether the config says that this size needs a
    GPU or a TPU, `others` names sizes for a CPU.
  """
  file, _, size = path.rpartition('.py')
  names = python_files.run(f'{file}.py')
  sizes, large = tuple(names.get('SIZES', ())), accelerator_sizes(names)
  size = size[1:] or (sizes[0] if sizes else '')
  small = [x for x in sizes if x not in large and x != 'smoke']
  others = f'Sizes for a CPU: {", ".join(small)}.'
  if not small:
    known = map(describe, configs())
    pairs = [f'{x.name}:{x.cpu_sizes[0]}' for x in known if x.cpu_sizes]
    others = (
      'Its only size for a CPU is smoke, for tests. Configs with a size for a'
      f' CPU: {", ".join(pairs)}.'
    )
  return size in large, others


def accelerator_sizes(names: dict[str, Any]) -> tuple[str, ...]:
  """Returns NEEDS_ACCELERATOR of a config; () if it defines no such tuple.

  Args:
    names: Global names of the file of the config, as runpy returns them.

  Raises:
    ValueError: If one of them is not a size of the config.
  """
  sizes = tuple(names.get('NEEDS_ACCELERATOR', ()))
  for size in sizes:
    checks.one_of('An entry of NEEDS_ACCELERATOR', size, names['SIZES'])
  return sizes


def _files(kind: str) -> dict[str, pathlib.Path]:
  package = pathlib.Path(__file__).parents[1]
  folder = package / kind  # This folder exists in an installed package.
  if not folder.is_dir():
    folder = package.parent / kind
  return {
    file.stem: file
    for file in sorted(folder.glob('*.py'))
    if not file.stem.startswith('_')
  }
