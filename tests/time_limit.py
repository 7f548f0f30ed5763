"""A time limit for tests that must not hang."""

from collections.abc import Iterator
import contextlib
import signal


@contextlib.contextmanager
def seconds(limit: int) -> Iterator[None]:
  """Raises TimeoutError if the block takes longer, unless it is in C code."""

  def stop(*unused):
    raise TimeoutError(f'It took more than {limit} s.')

  before = signal.signal(signal.SIGALRM, stop)
  signal.alarm(limit)
  try:
    yield
  finally:
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
