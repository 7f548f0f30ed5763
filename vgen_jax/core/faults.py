"""What can go wrong with a clip, and what is done then.

A source raises `ClipError` for a clip that it cannot read. A run either stops
there, or takes the next clip of the source that can be read, counts, and stops
only when there are many: a few broken files of a million are nobody's fault, a
disk that went away is.
"""

from collections.abc import Callable
import dataclasses
import logging

import numpy as np

from vgen_jax.core.types import Clip

_log = logging.getLogger(__name__)

POLICIES = ('raise', 'substitute')
# Broken files come in a row when a disk is gone; then looking on is in vain.
_MAX_TRIES = 100
# Of fewer clips, one that is broken would be too large a share.
_MIN_CLIPS = 1000


class ClipError(ValueError):
  """A clip cannot be read.

  Attributes:
    path: The file at fault.
    reason: What is wrong with it.
  """

  def __init__(self, path: str, reason: str):
    super().__init__(path, reason)  # Both, so that it survives pickling.
    self.path = path
    self.reason = reason

  def __str__(self) -> str:
    return f'{self.path}: {self.reason}'


@dataclasses.dataclass(frozen=True)
class Faults:
  """What to do about clips that cannot be read.

  Attributes:
    policy: 'raise' stops at the first, and names the file and what is wrong;
      'substitute' takes the next clip of the source that can be read.
    limit: Share of the clips that may be substituted; more of them stop the
      run. It is taken of 1,000 clips at least, so that it says something.
  """

  policy: str = 'raise'
  limit: float = 0.01

  def __post_init__(self):
    if self.policy not in POLICIES:
      raise ValueError(
        f'config.faults.policy is {self.policy!r}; it must be one of'
        f' {list(POLICIES)}.'
      )
    if not 0 <= self.limit <= 1:
      raise ValueError(
        f'config.faults.limit is {self.limit}; it must be a share, 0 to 1.'
      )

  def read(
    self, get: Callable[[int], Clip], index: int, num_clips: int
  ) -> tuple[Clip, bool]:
    """Returns a clip, and whether it is another one than was asked for.

    Args:
      get: Reads a clip by its number.
      index: Of the clip to read.
      num_clips: That there are; the first comes after the last.

    Raises:
      ClipError: If the clip cannot be read under 'raise', or the hundred after
        it cannot either.
    """
    if self.policy == 'raise':
      return get(index), False
    first = None
    num_tries = max(1, min(num_clips, _MAX_TRIES))
    for k in range(num_tries):
      try:
        return get((index + k) % max(num_clips, 1)), k > 0
      except ClipError as error:
        _log.warning('A clip is left out: %s', error)
        first = first or error
    raise ClipError(
      first.path,
      f'{first.reason} The next {num_tries - 1} clips cannot be read either:'
      ' look whether the folder is there, and whole.',
    )


class Tally:
  """Counts what was substituted since it was made.

  Attributes:
    num_clips: Clips read.
    num_substituted: Those of them that are not the ones asked for.
  """

  def __init__(self, limit: float):
    self._limit = limit
    self.num_clips = 0
    self.num_substituted = 0

  def add(self, substituted_b: np.ndarray) -> None:
    """Counts a batch.

    Raises:
      RuntimeError: If it makes more than the limit.
    """
    self.num_clips += len(substituted_b)
    self.num_substituted += int(np.sum(substituted_b))
    if self.num_substituted > self._limit * max(self.num_clips, _MIN_CLIPS):
      raise RuntimeError(
        f'{self.num_substituted} of {self.num_clips} clips could not be read;'
        f' config.faults.limit is {self._limit:g}. The log names the files:'
        ' mend or remove them, or raise the limit.'
      )
