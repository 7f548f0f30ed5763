"""Recognition of a full disk in errors of any library."""

from collections.abc import Iterator
import errno

FULL = 'The disk is full (no space is left on the device, or in the quota).'
_NUMBERS = (errno.ENOSPC, errno.EDQUOT)
_WORDS = ('ENOSPC', 'EDQUOT', 'No space left on device', 'Disk quota exceeded')


def is_full(error: BaseException) -> bool:
  """Returns whether an error, or one that caused it, is due to a full disk.

  Libraries in C++ state the reason only in their message, which may be long.
  """
  return any(
    getattr(cause, 'errno', None) in _NUMBERS
    or any(word in str(cause) for word in _WORDS)
    for cause in _chain(error)
  )


def _chain(error: BaseException) -> Iterator[BaseException]:
  """Yields an error and all errors that it came from."""
  waiting, known = [error], set()
  while waiting:
    cause = waiting.pop()
    if id(cause) in known:
      continue
    known.add(id(cause))
    yield cause
    waiting += [x for x in (cause.__cause__, cause.__context__) if x]
    waiting += getattr(cause, 'exceptions', ())
