"""Identifies files by their bytes instead of their names."""

from collections.abc import Iterable
import dataclasses
import hashlib
import os
from typing import BinaryIO


@dataclasses.dataclass(frozen=True)
class Identity:
  """Size and hashes that identify the bytes of one file.

  Attributes:
    size: Size in bytes; None if unknown.
    sha256: Hash, hexadecimal, or its first digits, 8 or more, if the rest is
      unknown; '' if no digit is known.
    git_sha1: Name of the file's blob in git, hexadecimal; '' if unknown. It is
      a hash of all bytes too.
  """

  size: int | None = None
  sha256: str = ''
  git_sha1: str = ''

  def matches(self, found: 'Identity') -> bool:
    """Returns whether a file has this identity.

    Args:
      found: Complete identity of the file.

    Raises:
      ValueError: If this identity has neither hash.
    """
    if len(self.sha256) < 8 and not self.git_sha1:
      raise ValueError(
        f'{self} does not identify a file; give 8 or more digits of its sha256,'
        ' or its git_sha1.'
      )
    return (
      self.size in (None, found.size)
      and found.sha256.startswith(self.sha256)
      and self.git_sha1 in ('', found.git_sha1)
    )

  def __str__(self) -> str:
    digits = 'sha256' if len(self.sha256) == 64 else 'sha256 that begins with'
    known = (
      f'{self.size:,} bytes' if self.size is not None else '',
      f'{digits} {self.sha256}' if self.sha256 else '',
      f'git blob {self.git_sha1}' if self.git_sha1 else '',
    )
    return ', '.join(filter(None, known))


class WrongFileError(ValueError):
  """A file with other bytes than expected.

  Attributes:
    found: Identity of the file.
  """

  def __init__(self, message: str, found: Identity):
    super().__init__(message)
    self.found = found


def of(file: BinaryIO) -> Identity:
  """Returns the complete identity of an open file."""
  size = os.fstat(file.fileno()).st_size
  sha256 = hashlib.sha256()
  git_sha1 = hashlib.sha1(b'blob %d\0' % size, usedforsecurity=False)
  file.seek(0)
  while chunk := file.read(1 << 20):
    sha256.update(chunk)
    git_sha1.update(chunk)
  return Identity(size, sha256.hexdigest(), git_sha1.hexdigest())


def check(
  found: Identity, allowed: Iterable[Identity], path: str | os.PathLike
) -> None:
  """Raises WrongFileError unless a file has an allowed identity.

  Args:
    found: Identity of the file, as returned by `of`.
    allowed: Identities of the files that it may be.
    path: Path of the file, for the message.
  """
  allowed = tuple(allowed)
  if not any(one.matches(found) for one in allowed):
    raise WrongFileError(
      f'{path} has {found}; it must have {"; or ".join(map(str, allowed))}.'
      ' Nothing was loaded from it. Download it again.',
      found,
    )
