"""Identity of the data behind a source: what its clips depend on.

A result that is computed from clips and stored, such as the features of real
clips, is valid only for the same clips. The config names the data but does not
state its content, so the identity of the data is stored with the result.

A source that reads files has a method `files()` that returns them as
{name: path}. The clips of other sources depend on the code only.
"""

from collections.abc import Mapping
import dataclasses
import os
import pathlib

from vgen_jax.config import classes
from vgen_jax.core import digests
from vgen_jax.data import pipeline

# Their contents count, since they are small and the clips depend on them.
_TABLES = ('.csv', '.json', '.jsonl', '.model', '.txt')
_CODE = ('core', 'data', 'synthetic')


@dataclasses.dataclass(frozen=True)
class Identity:
  """Properties that determine the clips of a source, in addition to its spec.

  Attributes:
    num_clips: Number of clips.
    num_files: Number of files that they are read from.
    content: Digest of the names and sizes of the files, and of the contents of
      tables. It is the same for a copy of the data on another machine.
    times: Digest of the modification times of the files.
    code: Digest of the code that reads or generates clips, which may be that of
      a class outside the package.
  """

  num_clips: int
  num_files: int
  content: str
  times: str
  code: str

  def plain(self) -> dict[str, int | str]:
    """Returns the fields, as plain JSON values."""
    return dataclasses.asdict(self)


def of(source: pipeline.Source) -> Identity:
  """Returns the identity of the data of a source, as it is now on disk.

  A file that does not exist counts as such; it is not an error here.
  """
  files: Mapping[str, os.PathLike] = getattr(source, 'files', dict)()
  stats = [
    (name, _stat(pathlib.Path(path))) for name, path in sorted(files.items())
  ]
  sizes = [f'{name!r} {size} {table}' for name, (size, _, table) in stats]
  times = [f'{name!r} {time}' for name, (_, time, _) in stats]
  cls = type(source)
  others = classes.code_of_others(
    {'name': f'{cls.__module__}.{cls.__qualname__}'}
  )
  code = digests.code(*_CODE)
  return Identity(
    num_clips=len(source),
    num_files=len(stats),
    content=digests.text('\n'.join(sizes)),
    times=digests.text('\n'.join(times)),
    code=digests.text(f'{code} {others}') if others else code,
  )


def _stat(path: pathlib.Path) -> tuple[int, int, str]:
  """Returns size, modification time, and a digest of the content of tables."""
  try:
    found = path.stat()
    is_table = path.suffix.lower() in _TABLES
    table = digests.file(path) if is_table else ''
  except FileNotFoundError:  # Such as a broken link.
    return -1, -1, ''
  return found.st_size, found.st_mtime_ns, table
