"""The file `metrics.jsonl` of a run: a line of JSON for each log.

A run may be killed while it writes, disks fill up, and people edit files. A
line that cannot be read never stops a run or a report: it is left out. Each
line has a checksum, so a line with a damaged number is left out, too. Lines
without a checksum, which earlier versions wrote, are accepted.
"""

from collections.abc import Mapping
import json
import logging
import math
from typing import Any
import zlib

from etils import epath

from vgen_jax.core import atomic_files
from vgen_jax.core import file_paths
from vgen_jax.core import json_files

FILE = 'metrics.jsonl'
CHECKSUM = 'checksum'  # Key of the last entry of a line.

_log = logging.getLogger(__name__)


def to_line(step: int, metrics: Mapping[str, float]) -> str:
  """Returns the line of a log, with a checksum.

  The values 'nan', 'inf' and '-inf' are strings, because JSON has no such
  numbers.
  """
  strict = {
    name: value if math.isfinite(value) else str(value)
    for name, value in metrics.items()
  }
  entry = {'step': step, **strict}
  entry[CHECKSUM] = _checksum(entry)
  return json.dumps(entry, allow_nan=False) + '\n'


def read(workdir: str) -> list[dict[str, float]]:
  """Returns the entries of a run's log; [] if there is none yet.

  Lines that are not those of a log are left out, with a warning.

  Returns:
    [{'step': step, name: value}] in the order of the file.
  """
  file = file_paths.read(workdir) / FILE
  if not file.exists():
    return []
  lines = [line for line in _lines(file) if line.strip()]
  entries = [_parse(line) for line in lines]
  # The last line may be incomplete, because it is being written.
  is_ended = bool(lines) and lines[-1].endswith(b'\n')
  if damaged := (entries if is_ended else entries[:-1]).count(None):
    _log.warning(
      '%s: left out %d lines that are damaged or not those of a log.',
      file,
      damaged,
    )
  return [entry for entry in entries if entry]


def remove_after(file: epath.Path, last_step: int) -> list[str]:
  """Removes entries of later steps, and lines that cannot be read.

  If a complete line cannot be read, the old file is kept under the name
  `metrics.jsonl.broken`.

  Args:
    file: File of the log; nothing happens if it does not exist.
    last_step: Step whose entries are the last to be kept.

  Returns:
    The lines that are kept, each with its end.
  """
  if not file.exists():
    return []
  lines = _lines(file)
  entries = [_parse(line) if line.endswith(b'\n') else None for line in lines]
  kept = [
    line.decode()
    for line, entry in zip(lines, entries, strict=True)
    if entry and entry['step'] <= last_step
  ]
  is_ended = bool(lines) and lines[-1].endswith(b'\n')
  if damaged := (entries if is_ended else entries[:-1]).count(None):
    broken = file.parent / f'{FILE}.broken'
    atomic_files.write_bytes(broken, b''.join(lines))
    _log.warning(
      '%s: removed %d lines that are damaged or not those of a log; the old'
      ' file is %s.',
      file,
      damaged,
      broken,
    )
  if len(kept) < len(lines):
    atomic_files.write_text(file, ''.join(kept))
  return kept


def _lines(file: epath.Path) -> list[bytes]:
  """Returns the lines of a file, each with its end."""
  lines = [line + b'\n' for line in file.read_bytes().split(b'\n')]
  lines[-1] = lines[-1].removesuffix(b'\n')
  return lines if lines[-1] else lines[:-1]


def _parse(line: bytes) -> dict[str, Any] | None:
  """Returns the entry in a line; None if the line is not a valid entry."""
  try:
    entry = json_files.parse(line, FILE)
    checksum = entry.pop(CHECKSUM, None)
    if checksum is not None and checksum != _checksum(entry):
      return None
    step = json_files.entry(entry, 'step', int, FILE)
    return {**{k: float(x) for k, x in entry.items()}, 'step': step}
  except (ValueError, TypeError, OverflowError):
    return None


def _checksum(entry: Mapping[str, Any]) -> str:
  """Returns the CRC-32 of an entry; it cannot be mistaken for a number."""
  return f'crc32:{zlib.crc32(json.dumps(entry).encode()):08x}'
