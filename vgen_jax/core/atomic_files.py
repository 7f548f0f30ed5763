"""Files that are written completely or not at all.

A file is first written under a temporary name in the same folder, and then
renamed. If the process is killed, readers find the old file or the new one,
never a part of one. Paths may be local or remote (gs://...).
"""

from collections.abc import Generator
import contextlib
import os
import tempfile

from etils import epath

from vgen_jax.core import file_paths

SUFFIX = '.new'  # A temporary file has the name of the target and this suffix.


@contextlib.contextmanager
def replacing(
  path: epath.PathLike, *, is_shared: bool = False
) -> Generator[epath.Path]:
  """Yields a temporary path; on exit, the file there replaces `path`.

  If the block raises, the temporary file is removed and `path` is unchanged.

  Args:
    path: File to write. Its folder must exist.
    is_shared: Whether several processes may write the path at the same time;
      the last one to finish wins. A process that is killed then leaves a
      temporary file that the next one does not replace.

  Raises:
    FileNotFoundError: If the block has not written the temporary file.
  """
  path = file_paths.read(path)
  own = f'.{os.getpid()}' if is_shared else ''
  temporary = path.parent / (path.name + own + SUFFIX)
  try:
    yield temporary
    _flush(temporary)
    temporary.replace(path)
  except BaseException as error:
    temporary.unlink(missing_ok=True)
    if isinstance(error, OSError) and error.errno and not error.filename:
      error.filename = str(path)  # A full disk is reported without the file.
    raise


def check_folder(folder: epath.PathLike) -> None:
  """Creates a folder, and raises OSError unless files can be written there.

  A command with a long computation calls this before it starts.
  """
  folder = file_paths.read(folder)
  folder.mkdir(parents=True, exist_ok=True)
  if '://' not in str(folder):
    with tempfile.NamedTemporaryFile(dir=folder):
      pass


def write_bytes(path: epath.PathLike, content: bytes) -> None:
  """Writes bytes to a file, completely or not at all."""
  with replacing(path) as temporary:
    temporary.write_bytes(content)


def write_text(path: epath.PathLike, content: str) -> None:
  """Writes text as UTF-8 to a file, completely or not at all."""
  write_bytes(path, content.encode())


def _flush(path: epath.Path) -> None:
  """Waits until a local file is on the disk, so that a rename comes later."""
  if '://' in str(path):
    return  # A remote file is complete when its writer is closed.
  descriptor = os.open(path, os.O_RDWR)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)
