"""Which examples are for training, which for validation, which for the test."""

from collections.abc import Mapping, Sequence
import hashlib
import math
import os

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

  Each name decides by itself: hashed to a number from 0 to 1, it belongs to
  the test below the share of that, to validation below the sum of both, else to
  training. So a name that comes or goes moves no other, and numbers of examples
  are near the shares, not equal to them. Only where this would leave a split
  empty, as in tiny folders, it gets the one example that is nearest to it.

  Args:
    names: Of the examples; each the same on every machine. Those of one name
      are in one split.
    split: One of SPLITS; 'all' takes everything.
    shares: Parts of the whole for 'validation' and 'test'; a share above 0
      gets one example or more, and training what is left.

  Raises:
    ValueError: If nothing is left for training, or `split` is no split.
  """
  check(split, shares)
  if split == 'all':
    return list(range(len(names)))
  place_of = {name: _place(name) for name in names}
  order = sorted(place_of, key=place_of.__getitem__)
  has_test, has_validation = shares['test'] > 0, shares['validation'] > 0
  share = shares['test'] + shares['validation']
  if share >= 1 or len(order) <= has_test + has_validation:
    raise ValueError(
      f'config.data leaves nothing of {len(order)} videos to train on, with'
      f' {dict(shares)}; make these shares smaller.'
    )
  # Splits lie side by side in `order`; a shift of an end fills an empty one.
  end = sum(place < shares['test'] for place in place_of.values())
  last = sum(place < share for place in place_of.values())
  end = min(max(end, has_test), len(order) - 1 - has_validation)
  last = min(max(last, end + has_validation), len(order) - 1)
  parts = {
    'test': order[:end],
    'validation': order[end:last],
    'train': order[last:],
  }
  chosen = set(parts[split])
  return [i for i, name in enumerate(names) if name in chosen]


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


def _place(name: str) -> float:
  """Returns where a name lies, from 0 to 1, the same in all years."""
  # Names of files are bytes, and need not be UTF-8.
  digest = hashlib.sha256(os.fsencode(name)).digest()
  return int.from_bytes(digest[:8]) / 2**64
