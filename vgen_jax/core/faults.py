"""Policies for clips that cannot be read.

A source raises `ClipError` for a clip that it cannot read. A run then either
stops, or substitutes the next clip of the source that can be read. It counts
substitutions and stops when there are too many: a few broken files in a million
are normal, a disk that has failed is not.
"""

from collections.abc import Callable
import dataclasses
import logging

import numpy as np

from vgen_jax.core import fields
from vgen_jax.core import file_paths
from vgen_jax.core.types import Clip

_log = logging.getLogger(__name__)

# After so many broken files in a row, assume that the disk has failed.
_MAX_TRIES = 100
# With fewer clips, a single broken one would exceed the limit.
_MIN_CLIPS = 1000


class ClipError(ValueError):
  """A clip cannot be read.

  Attributes:
    path: File that cannot be read.
    reason: Why it cannot be read.
  """

  def __init__(self, path: str, reason: str):
    super().__init__(path, reason)  # Both arguments, for pickling.
    self.path = path
    self.reason = reason

  def __str__(self) -> str:
    return f'{file_paths.printable(self.path)}: {self.reason}'


@dataclasses.dataclass(frozen=True)
class Faults:
  """Policy for clips that cannot be read.

  Attributes:
    policy: 'raise' stops at the first such clip with an error that names the
      file and the reason; 'substitute' takes the next clip that can be read.
    limit: Largest fraction of clips that may be substituted, in [0, 1]; more
      stop the run. The fraction is relative to the number of clips read so far,
      or to 1,000 if fewer were read.
  """

  policy: str = fields.field('raise', one_of=('raise', 'substitute'))
  limit: float = fields.field(0.01, unit='fraction of clips', least=0, most=1)

  def __post_init__(self):
    fields.check(self, 'config.faults')

  def read(
    self, get: Callable[[int], Clip], index: int, num_clips: int
  ) -> tuple[Clip, bool]:
    """Returns a clip, and whether it is a substitute.

    Args:
      get: Function that reads a clip by its index.
      index: Index of the clip to read.
      num_clips: Number of clips; the first follows the last.

    Raises:
      ClipError: If the clip cannot be read and the policy is 'raise', or the
        next 99 clips, or all if there are fewer, cannot be read either.
    """
    if self.policy == 'raise':
      return get(index), False
    first = ClipError('', '')
    num_tries = max(1, min(num_clips, _MAX_TRIES))
    for k in range(num_tries):
      try:
        return get((index + k) % max(num_clips, 1)), k > 0
      except ClipError as error:
        _log.warning('Substituting a clip that cannot be read: %s', error)
        first = error if k == 0 else first
    raise ClipError(
      first.path,
      f'{first.reason.rstrip(".")}. The next {num_tries - 1} clips cannot be'
      ' read either. Check that the folder exists and is complete.',
    )


class Tally:
  """Counts clips and substitutes, and checks the limit.

  Attributes:
    num_clips: Number of clips that were read.
    num_substituted: Number of substitutes among them.
  """

  def __init__(self, limit: float):
    self._limit = limit
    self.num_clips = 0
    self.num_substituted = 0

  def add(self, substituted_b: np.ndarray) -> None:
    """Adds a batch.

    Args:
      substituted_b: Whether each clip is a substitute, bool `[b]`.

    Raises:
      RuntimeError: If there are more substitutes than the limit allows.
    """
    self.num_clips += len(substituted_b)
    self.num_substituted += int(np.sum(substituted_b))
    if self.num_substituted > self._limit * max(self.num_clips, _MIN_CLIPS):
      raise RuntimeError(
        f'{self.num_substituted} of {self.num_clips} clips could not be read;'
        f' config.faults.limit is {self._limit:g}. The log names the files:'
        ' repair or remove them, or increase the limit.'
      )
