"""Results and time limits of the parts of accelerator.py."""

import argparse
from collections.abc import Callable, Mapping
import gc
import json
import math
import os
import pathlib
import sys
import time
import traceback
from typing import Any, Self

_MAX_ERROR = 300  # Characters of an error's text in a result.


class Recorder:
  """Writes results of one part, one line per measurement, without delay.

  Attributes:
    part: Name of the part.
    out: Directory for results and other files.
    tiny: Whether sizes should be small enough for a CPU, to check the script.
    last_status: Status of the latest result, see `write`; '' before the first.
  """

  def __init__(
    self, part: str, out: pathlib.Path, seconds: float, tiny: bool = False
  ):
    """Starts the clock.

    Args:
      part: Name of the part.
      out: Directory for results, which are appended to its results.jsonl.
      seconds: Time until the part should be done.
      tiny: See the attribute.
    """
    self.part = part
    self.out = out
    self.tiny = tiny
    self.last_status = ''
    self._end = time.monotonic() + seconds

  @classmethod
  def from_command_line(cls, description: str | None = None) -> Self:
    """Returns the recorder that the flags from accelerator.py describe."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
      '--out', type=pathlib.Path, required=True, help='Directory for results.'
    )
    parser.add_argument(
      '--seconds',
      type=float,
      default=600.0,
      help='Time until the part should be done.',
    )
    parser.add_argument(
      '--tiny', action='store_true', help='Use sizes for a CPU.'
    )
    args = parser.parse_args()
    name = pathlib.Path(sys.argv[0]).stem
    return cls(name, args.out, args.seconds, args.tiny)

  def left(self) -> float:
    """Returns the seconds until the deadline."""
    return self._end - time.monotonic()

  def write(self, name: str, *, status: str = 'ok', **values: Any) -> None:
    """Adds a result, which is in the file when this function returns.

    Args:
      name: What was measured.
      status: 'ok', 'error', 'out_of_memory' or 'skipped'.
      **values: Measured values; their names state the unit.
    """
    self.last_status = status
    line = {'part': self.part, 'name': name, 'status': status}
    line |= {key: _plain(value) for key, value in values.items()}
    text = json.dumps(line, allow_nan=False) + '\n'
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    file = os.open(self.out / 'results.jsonl', flags, 0o644)
    try:
      os.write(file, text.encode())  # A kill leaves whole lines.
    finally:
      os.close(file)

  def measure(
    self,
    name: str,
    function: Callable[[], Mapping[str, Any]],
    *,
    needs: float = 0.0,
  ) -> dict[str, Any] | None:
    """Writes the values that a function returns, or the error that it raises.

    Args:
      name: Name of the measurement.
      function: Function that returns the values by name.
      needs: Seconds that it needs; with less time left, it is skipped.

    Returns:
      The values; None if there are none.
    """
    if self.left() < needs:
      note = f'It needs about {needs:.0f} s; {max(self.left(), 0):.0f} s left.'
      self.write(name, status='skipped', note=note)
      return None
    try:
      values = dict(function())
    except Exception as error:
      traceback.print_exc()
      status = 'out_of_memory' if is_out_of_memory(error) else 'error'
      text = ' '.join(f'{type(error).__name__}: {error}'.split())
      self.write(name, status=status, note=text[:_MAX_ERROR])
      # The frames of the traceback hold arrays, and with them memory.
      traceback.clear_frames(error.__traceback__)
      del error
      gc.collect()
      return None
    self.write(name, **values)
    gc.collect()
    return values


def is_out_of_memory(error: BaseException) -> bool:
  """Returns whether an accelerator, or the host, had too little memory."""
  text = f'{type(error).__name__}: {error}'
  words = ('RESOURCE_EXHAUSTED', 'OutOfMemory', 'out of memory')
  return isinstance(error, MemoryError) or any(word in text for word in words)


def _plain(value: Any) -> Any:
  """Returns a value that strict JSON allows; other numbers become text."""
  if value is None or isinstance(value, str | bool | int):
    return value
  if isinstance(value, list | tuple):
    return [_plain(x) for x in value]
  try:
    number = float(value)
  except (TypeError, ValueError):
    return str(value)
  return number if math.isfinite(number) else str(number)
