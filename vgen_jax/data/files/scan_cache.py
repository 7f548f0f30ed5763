"""A cache of scans, so that each video of a folder is scanned only once.

Scanning a file takes a millisecond or more, and a folder may contain hundreds
of thousands of files. The indices of a folder are therefore kept in one file of
the user's cache, `~/.cache/vgen_jax/scans`. An index is used again if the path,
size and modification time of the video are unchanged, and the code that scans
is, too. The environment variable VGEN_CACHE names another folder; '' turns the
cache off.
"""

import base64
from collections.abc import Collection
import dataclasses
import fractions
import functools
import json
import logging
import math
import os
import pathlib
import socket
import threading
import time
from typing import Any
import zlib

import av
import numpy as np

from vgen_jax.core import digests
from vgen_jax.core import faults
from vgen_jax.core import file_paths
from vgen_jax.core import json_files
from vgen_jax.data.files import codecs

VARIABLE = 'VGEN_CACHE'

_SAVE_EVERY_S = 60.0  # A scan that is killed loses about this much.
_MOST_SAVING = 0.05  # Proportion of the time that may be spent on saving.
_FIELDS = tuple(f.name for f in dataclasses.fields(codecs.Index))

_log = logging.getLogger(__name__)

# Size and modification time in nanoseconds of a file, and its index: decoded,
# or as the text of the file of the cache.
_Entry = tuple[int, int, codecs.Index | str]


class ScanCache:
  """Indices of the videos of a folder, in memory and in a file.

  Several processes may use the same file: it is replaced as a whole, and each
  index in it is valid by itself. A missing, damaged or read-only file only
  costs time.

  Attributes:
    file: File of the cache; None if there is none.
    num_scanned: Number of files that were scanned, not found in the cache.
  """

  def __init__(self, folder: pathlib.Path, max_pixels: int):
    """Reads the file of the cache.

    Args:
      folder: Folder of videos.
      max_pixels: Largest allowed number of pixels of a frame.
    """
    self.file = _file(folder, max_pixels)
    self.num_scanned = 0
    self._folder = folder
    self._max_pixels = max_pixels
    self._entries: dict[str, _Entry] = self._read()
    self._num_saved = 0
    self._save_at = time.monotonic() + _SAVE_EVERY_S
    self._lock = threading.Lock()  # Held by `save`, which may take seconds.
    self._entries_lock = threading.Lock()  # Never held while files are read.

  def scan(self, path: pathlib.Path) -> codecs.Index:
    """Returns the index of a video of the folder.

    Threads may call this at the same time.

    Raises:
      ClipError: If the file cannot be read.
    """
    try:
      stat = path.stat()
    except OSError as error:  # Such as a broken link.
      raise faults.ClipError(
        str(path), f'{error.strerror}; copy it again or remove it.'
      ) from error
    name = path.relative_to(self._folder).as_posix()
    key = stat.st_size, stat.st_mtime_ns
    size, mtime_ns, index = self._entries.get(name, (-1, -1, ''))
    if (size, mtime_ns) != key:
      index = codecs.scan(str(path), self._max_pixels)
      self.num_scanned += 1
    elif isinstance(index, str):
      index = _decoded(str(path), json.loads(index))
    with self._entries_lock:
      self._entries[name] = (*key, index)
    if time.monotonic() > self._save_at:
      self._save_at = math.inf  # No other thread saves at the same time.
      self.save()
    return index

  def save(self, names: Collection[str] | None = None) -> None:
    """Writes the file, if files were scanned since it was written.

    Args:
      names: Names of videos that exist; others are removed from the cache if
        they do not exist. None removes none.
    """
    with self._lock:
      start = time.monotonic()
      if self.file is None or self.num_scanned == self._num_saved:
        return
      num_scanned = self.num_scanned
      with self._entries_lock:  # Other threads may scan at the same time.
        entries = list(self._entries.items())
      known = None if names is None else set(names)
      lines = []
      for name, (size, mtime_ns, index) in entries:
        if known is not None and name not in known:
          if not (self._folder / name).exists():
            with self._entries_lock:
              self._entries.pop(name, None)
            continue
        text = index if isinstance(index, str) else _encoded(index)
        if text is not None:
          lines.append(json.dumps([name, size, mtime_ns, text]))
      content = '\n'.join(lines)
      header = json.dumps([_code(), digests.text(content)])
      try:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        # Other processes may write the same file at the same time.
        own = f'{socket.gethostname()}.{os.getpid()}'
        temporary = self.file.with_name(f'{self.file.name}.{own}')
        temporary.write_text(f'{header}\n{content}\n')
        temporary.replace(self.file)
      except OSError as error:
        _log.warning(
          'The scan of %s cannot be kept in %s (%s); the next start scans it'
          ' again.',
          self._folder,
          self.file,
          error.strerror,
        )
        self.file = None
      self._num_saved = num_scanned
      now = time.monotonic()
      self._save_at = now + max(_SAVE_EVERY_S, (now - start) / _MOST_SAVING)

  def _read(self) -> dict[str, _Entry]:
    """Returns the entries in the file; {} if there are none that are valid."""
    if self.file is None or not self.file.exists():
      return {}
    try:
      header, _, content = self.file.read_text().partition('\n')
      code, digest = json_files.parse(header, 'Its header', list)
      content = content.removesuffix('\n')
      if digest != digests.text(content):
        raise ValueError('its digest is wrong')
      if code != _code():  # Another version of vgen_jax or PyAV wrote it.
        return {}
      rows = [json.loads(line) for line in content.split('\n') if line]
      return {name: (size, mtime_ns, x) for name, size, mtime_ns, x in rows}
    except (OSError, ValueError, TypeError) as error:
      _log.warning(
        '%s is damaged (%s); the videos are scanned again.', self.file, error
      )
      return {}


@functools.lru_cache(maxsize=16)
def of(folder: pathlib.Path, max_pixels: int) -> ScanCache:
  """Returns the cache of a folder, the same for all sources of a process."""
  return ScanCache(folder, max_pixels)


def _file(folder: pathlib.Path, max_pixels: int) -> pathlib.Path | None:
  """Returns the file of the cache of a folder; None if it is turned off."""
  default = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
  root = os.environ.get(VARIABLE, f'{default}/vgen_jax')
  if not root:
    return None
  # Names of files are bytes, and need not be UTF-8.
  name = os.fsencode(folder.resolve()).hex()
  digest = digests.text(f'{name} {max_pixels}', 32)
  return file_paths.local(root) / 'scans' / f'{digest}.txt'


@functools.cache
def _code() -> str:
  """Returns a digest of the code that scans files, all code of this folder."""
  files = sorted(pathlib.Path(__file__).parent.glob('*.py'))
  code = [file.read_text() for file in files]
  versions = [av.__version__, str(sorted(av.library_versions.items()))]
  return digests.text('\n'.join(code + versions))


def _encoded(index: codecs.Index) -> str | None:
  """Returns an index as text; None if it has a value of another type."""
  values = {}
  for name in _FIELDS:
    value = getattr(index, name)
    if isinstance(value, np.ndarray):
      if value.dtype != np.int64 or not value.ndim:
        return None
      # Times of frames are evenly spaced, so that differences compress well.
      steps = np.diff(value, axis=0, prepend=np.zeros_like(value[:1]))
      data = base64.b64encode(zlib.compress(steps.tobytes(), 1)).decode()
      values[name] = {'shape': value.shape, 'steps': data}
    elif isinstance(value, fractions.Fraction):
      values[name] = {'fraction': str(value)}
    elif isinstance(value, str | int | float | None):
      values[name] = value
    else:
      return None
  del values['path']
  return json.dumps(values)


def _decoded(path: str, values: dict[str, Any]) -> codecs.Index:
  fields: dict[str, Any] = {}
  for name, value in values.items():
    if isinstance(value, dict) and 'fraction' in value:
      value = fractions.Fraction(value['fraction'])
    elif isinstance(value, dict):
      data = zlib.decompress(base64.b64decode(value['steps']))
      steps = np.frombuffer(data, np.int64).reshape(value['shape'])
      value = np.cumsum(steps, axis=0)
    fields[name] = value
  return codecs.Index(path=path, **fields)
