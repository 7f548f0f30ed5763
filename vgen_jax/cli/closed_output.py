"""What a command does if the program that reads its output has ended.

In `vgen configs | head -1`, `head` ends after one line. The command then ends
without an error message, with the exit status of a program that SIGPIPE has
stopped.
"""

import io
import os
import select
import sys
from typing import TextIO

STATUS = 141  # 128 + SIGPIPE.


def is_closed() -> bool:
  """Returns whether standard output or error is a pipe without a reader."""
  return any(_has_no_reader(x) for x in (sys.stdout, sys.stderr))


def discard() -> None:
  """Discards output that cannot be written.

  Python would report an error when it writes the rest of the output at its end.
  """
  nowhere = os.open(os.devnull, os.O_WRONLY)
  for stream in (sys.stdout, sys.stderr):
    try:
      print(end='', file=stream, flush=True)
    except OSError:
      os.dup2(nowhere, stream.fileno())
  os.close(nowhere)


def _has_no_reader(stream: TextIO | None) -> bool:
  if stream is None:  # The command was started without it.
    return False
  try:
    number = stream.fileno()
  except io.UnsupportedOperation:  # Not a file, as in a notebook.
    return False
  poll = select.poll()
  poll.register(number, 0)  # Errors are always reported.
  return any(event & select.POLLERR for _, event in poll.poll(0))
