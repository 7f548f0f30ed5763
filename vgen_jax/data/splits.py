"""Assignment of examples to the train, validation and test splits."""

from collections.abc import Mapping, Sequence
import math

from vgen_jax.core import checks
from vgen_jax.core import digests

SPLITS = ('train', 'validation', 'test', 'all')


def check(split: str, proportions: Mapping[str, float]) -> None:
  """Raises ValueError if `split` is unknown or its proportion is 0."""
  checks.one_of('config.data.split', split, SPLITS)
  if proportions.get(split, 1) <= 0:
    raise ValueError(
      f'config.data.{split} is {proportions[split]}, so the split {split!r} is'
      ' empty; set it to a positive proportion, such as 0.1.'
    )


def by_name(
  names: Sequence[str], split: str, proportions: Mapping[str, float]
) -> list[int]:
  """Returns the indices of the examples of a split, in increasing order.

  Each name is hashed to a number from 0 to 1. It belongs to the test split if
  the number is below the test proportion, to validation if it is below the sum
  of both proportions, or else to training. So names can be added and removed
  without an effect on others, and the sizes of splits are near their
  proportions, but not equal to them. If a split would be empty, as in very
  small folders, it gets the example whose number is nearest.

  Args:
    names: Names of the examples, the same on every machine. Examples with the
      same name are in the same split.
    split: One of SPLITS; 'all' contains all examples.
    proportions: Proportions for 'validation' and 'test'; a split with a
      positive proportion gets one example or more, and training the rest.

  Raises:
    ValueError: If nothing is left for training, or `split` is unknown.
  """
  check(split, proportions)
  if split == 'all':
    return list(range(len(names)))
  hash_of = {name: digests.fraction(name) for name in names}
  order = sorted(hash_of, key=hash_of.__getitem__)
  has_test = proportions['test'] > 0
  has_validation = proportions['validation'] > 0
  held_out = proportions['test'] + proportions['validation']
  if held_out >= 1 or len(order) <= has_test + has_validation:
    raise ValueError(
      f'config.data leaves none of {len(order)} videos for training, with the'
      f' proportions {dict(proportions)}. Their sum must be less than 1, and'
      ' each split needs at least one video: change them, or add videos.'
    )
  # Splits are adjacent in `order`; moving a boundary fills an empty split.
  end = sum(x < proportions['test'] for x in hash_of.values())
  last = sum(x < held_out for x in hash_of.values())
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
  proportions: Mapping[str, float],
  is_whole: bool,
) -> dict[str, tuple[float, float]]:
  """Returns the {split: (first position, last position)} in one video.

  Training comes first, then a gap, validation, a gap, and the test split.
  Validation and test contain one clip or more. Training may be left with less;
  then its last position is below `span`.

  Args:
    last: Last position in the video; the first is 0.
    span: Distance from the first frame of a clip to its last.
    gap: Distance from the last position of a split to the first of the next.
    proportions: Proportions for 'validation' and 'test'; a split with
      proportion 0 is left out.
    is_whole: Whether positions are integers.
  """
  parts, end = {}, last
  for name in ('test', 'validation'):
    if proportions[name]:
      length = max(proportions[name] * last, span)
      first = end - (math.ceil(length) if is_whole else length)
      parts[name] = (first, end)
      end = first - gap
  return parts | {'train': (0, end)}
