"""Tells one file from all others by its bytes: a name can be anything."""

from collections.abc import Iterable
import dataclasses
import hashlib
import os
from typing import BinaryIO


@dataclasses.dataclass(frozen=True)
class Identity:
  """What tells the bytes of one file from all others.

  Attributes:
    size: In bytes; None if not known.
    sha256: Hexadecimal; the first 8 digits or more if no more is known.
    git_sha1: Name of the file's blob in git, hexadecimal; '' if not known. It
      is a hash of all bytes as well.
  """

  size: int | None = None
  sha256: str = ''
  git_sha1: str = ''

  def fits(self, found: 'Identity') -> bool:
    """Returns whether a file, of which all is known, is this one.

    Raises:
      ValueError: If too little is known of this one.
    """
    if len(self.sha256) < 8 and not self.git_sha1:
      raise ValueError(
        f'{self} names no file; give 8 digits of its sha256 or more, or its'
        ' git_sha1.'
      )
    return (
      self.size in (None, found.size)
      and found.sha256.startswith(self.sha256)
      and self.git_sha1 in ('', found.git_sha1)
    )

  def __str__(self) -> str:
    digits = 'sha256' if len(self.sha256) == 64 else 'sha256 that begins'
    known = (
      f'{self.size:,} bytes' if self.size is not None else '',
      f'{digits} {self.sha256}' if self.sha256 else '',
      f'git blob {self.git_sha1}' if self.git_sha1 else '',
    )
    return ', '.join(filter(None, known))


class WrongFileError(ValueError):
  """A file that is not the one it should be.

  Attributes:
    found: What it is instead.
  """

  def __init__(self, message: str, found: Identity):
    super().__init__(message)
    self.found = found


def of(file: BinaryIO) -> Identity:
  """Returns the identity of an open file, with all that can be known."""
  size = os.fstat(file.fileno()).st_size
  sha256 = hashlib.sha256()
  git_sha1 = hashlib.sha1(b'blob %d\0' % size, usedforsecurity=False)
  file.seek(0)
  while chunk := file.read(1 << 20):
    sha256.update(chunk)
    git_sha1.update(chunk)
  return Identity(size, sha256.hexdigest(), git_sha1.hexdigest())


def check(
  found: Identity, wanted: Iterable[Identity], path: str | os.PathLike
) -> None:
  """Raises WrongFileError unless a file is one of those wanted.

  Args:
    found: As from `of`.
    wanted: The files that it may be.
    path: Of the file, for the message.
  """
  wanted = tuple(wanted)
  if not any(one.fits(found) for one in wanted):
    raise WrongFileError(
      f'{path} has {found}; it must have {"; or ".join(map(str, wanted))}.'
      ' Nothing of it was read: get it anew.',
      found,
    )
