"""Which examples are for training, which for validation, which for the test."""

from collections.abc import Mapping, Sequence
import hashlib
import math

SPLITS = ('train', 'validation', 'test', 'all')


def check(split: str, shares: Mapping[str, float]) -> None:
  """Raises ValueError unless `split` is one of SPLITS, and not empty."""
  if split not in SPLITS:
    raise ValueError(
      f'config.data.split is {split!r}; it must be one of {list(SPLITS)}.'
    )
  if shares.get(split, 1) <= 0:
    raise ValueError(
      f'config.data.{split} is {shares[split]}, so there is nothing in the'
      f' split {split!r}; give it a share, 0.1 say.'
    )


def by_name(
  names: Sequence[str], split: str, shares: Mapping[str, float]
) -> list[int]:
  """Returns which of the examples `names` a split holds, rising.

  A hash of the names puts them in order; a split is a function of their set.

  Args:
    names: Of the examples; each the same on every machine.
    split: One of SPLITS; 'all' takes everything.
    shares: Parts of the whole for 'validation' and 'test'; a share above 0
      gets one example or more, and training what is left.

  Raises:
    ValueError: If nothing is left for training, or `split` is no split.
  """
  check(split, shares)
  if split == 'all':
    return list(range(len(names)))
  digest = lambda i: hashlib.sha256(names[i].encode()).digest()
  order = sorted(range(len(names)), key=digest)
  chosen = {}
  for name in ('test', 'validation'):
    number = max(1, round(shares[name] * len(names))) if shares[name] else 0
    chosen[name], order = order[:number], order[number:]
  if not order:
    raise ValueError(
      f'config.data leaves nothing of {len(names)} videos to train on, with'
      f' {dict(shares)}; make these shares smaller.'
    )
  return sorted((chosen | {'train': order})[split])


def by_time(
  last: float,
  span: float,
  gap: float,
  shares: Mapping[str, float],
  is_whole: bool,
) -> dict[str, tuple[float, float]]:
  """Returns the first and last place of each split in one video.

  Training comes first, then a gap, validation, a gap, and the test. Validation
  and test hold one clip or more; training may be left with less, even with
  nothing, which shows in a last place below `span`.

  Args:
    last: Last place of the video; the first is 0.
    span: From the first frame of a clip to its last.
    gap: From the last place of a split to the first of the next.
    shares: Parts of the whole for 'validation' and 'test'; 0 leaves one out.
    is_whole: Whether places are whole numbers.
  """
  parts, end = {}, last
  for name in ('test', 'validation'):
    if shares[name]:
      length = max(shares[name] * last, span)
      first = end - (math.ceil(length) if is_whole else length)
      parts[name] = (first, end)
      end = first - gap
  return parts | {'train': (0, end)}
