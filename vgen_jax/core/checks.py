"""Checks of arguments that raise errors of one form.

Each check raises ValueError with a message of the form '<name> is <value>; it
must be ...', so `name` is the full name of what the user set, such as
'config.batch_size'.
"""

from collections.abc import Iterable, Mapping, Sequence
import difflib
import math
import numbers

MAX_SEED = 2**32 - 1  # JAX uses 32 bits of a seed.


class NotApplicableError(ValueError):
  """A requested metric does not apply to this model or these clips."""


def one_of(name: str, value: object, allowed: Iterable[object]) -> None:
  """Raises ValueError unless `value` is one of `allowed`.

  Args:
    name: Full name of the argument.
    value: Given value.
    allowed: Allowed values. The message lists them, and names the closest one
      if `value` looks like a misspelling of it.
  """
  allowed = list(allowed)
  if value not in allowed:
    close = _closest(value, allowed)
    raise ValueError(
      f'{name} is {value!r}; it must be one of'
      f' {", ".join(map(repr, allowed))}.'
      + (f' Did you mean {close!r}?' if close is not None else '')
    )


def known_key(owner: str, key: str, allowed: Iterable[str]) -> None:
  """Raises ValueError unless `owner` may have an entry `key`.

  Args:
    owner: Name of the mapping, table or function that has the entry.
    key: Given key, field, column or argument.
    allowed: Allowed keys. The message lists them, and names the closest one if
      `key` looks like a misspelling of it.
  """
  allowed = list(allowed)
  if key not in allowed:
    close = _closest(key, allowed)
    raise ValueError(
      f'{owner}: unknown key {key!r}.'
      + (f' Did you mean {close!r}?' if close is not None else '')
      + f' Allowed keys: {", ".join(map(str, allowed)) or "none"}.'
    )


def number(name: str, value: object) -> None:
  """Raises ValueError if a value is not a real number; bools are refused.

  Args:
    name: Name of the value, for the message.
    value: Value to check.
  """
  if isinstance(value, bool) or not isinstance(value, numbers.Real):
    raise ValueError(f'{name} is {value!r:.80}; it must be a number.')


def mapping(name: str, value: object, keys: str) -> None:
  """Raises ValueError if a value is not a mapping.

  Args:
    name: Name of the value, for the message.
    value: Value to check.
    keys: What its keys are, such as 'players'.
  """
  if not isinstance(value, Mapping):
    raise ValueError(
      f'{name} is {value!r:.80}; it must be a mapping whose keys are {keys}.'
    )


def at_least(name: str, value: float, least: float) -> None:
  """Raises ValueError unless `value >= least`; NaN is refused, too."""
  if not value >= least:
    raise ValueError(f'{name} is {value}; it must be at least {least}.')


def in_range(name: str, value: float, low: float, high: float) -> None:
  """Raises ValueError unless `low <= value <= high`; NaN is refused, too."""
  if not low <= value <= high:
    raise ValueError(f'{name} is {value}; it must be from {low} to {high}.')


def rate(name: str, value: float) -> None:
  """Raises ValueError unless `0 <= value < 1`; NaN is refused, too."""
  if not 0 <= value < 1:
    raise ValueError(
      f'{name} is {value}; it must be at least 0 and less than 1.'
    )


def positive(name: str, value: float) -> None:
  """Raises ValueError unless `0 < value < inf`; NaN is refused, too."""
  if not 0 < value < math.inf:
    raise ValueError(f'{name} is {value}; it must be positive and finite.')


def not_empty(name: str, value: Sequence[object]) -> None:
  """Raises ValueError if a list has no entry."""
  if not value:
    raise ValueError(f'{name} is {value!r}; it must have one entry or more.')


def distinct(name: str, values: Sequence[object]) -> None:
  """Raises ValueError if a value occurs several times."""
  for i, value in enumerate(values):
    if value in values[:i]:
      raise ValueError(
        f'{name} is {values!r}, which has {value!r} several times; name it'
        ' once.'
      )


def clip_index(index: int, num_clips: int) -> None:
  """Raises IndexError unless `0 <= index < num_clips`."""
  if not 0 <= index < num_clips:
    raise IndexError(
      f'Clip {index} does not exist; indices are from 0 to {num_clips - 1}.'
    )


def multiple_of(
  name: str, value: int, factor: int, factor_name: str = ''
) -> None:
  """Raises ValueError unless `value` is a multiple of `factor`.

  Args:
    name: Full name of the argument.
    value: Given value.
    factor: Positive number that must divide it.
    factor_name: What `factor` is, such as 'num_heads'; the message states it.
  """
  if value % factor:
    owner = f'{factor_name}, ' if factor_name else ''
    raise ValueError(
      f'{name} is {value}; it must be a multiple of {owner}{factor}.'
    )


def multiples_of(
  name: str,
  values: Sequence[int],
  factors: Sequence[int],
  factor_name: str = '',
) -> None:
  """Raises ValueError unless each value is a multiple of its factor.

  Args:
    name: Full name of the argument.
    values: Given values, such as the frames, rows and columns of a clip.
    factors: Positive numbers that must divide them, one for each value.
    factor_name: What `factors` are, such as 'patch_size'; the message states
      it.
  """
  if any(n % factor for n, factor in zip(values, factors, strict=True)):
    owner = f'{factor_name}, ' if factor_name else ''
    raise ValueError(
      f'{name} is {_by(values)}; each number must be a multiple of the number'
      f' in the same position of {owner}{_by(factors)}.'
    )


def hint(word: str, known: Iterable[str]) -> str:
  """Returns the end of an error message about an unknown name.

  Args:
    word: Name that is unknown.
    known: Names that exist.

  Returns:
    " Did you mean 'name'?" with the closest name, or ' Choose from a, b.' with
    all names if none is close. It begins with a space, to follow a sentence.
  """
  known = list(known)
  close = _closest(word, known)
  if close is None:
    return f' Choose from {", ".join(known)}.' if known else ' There is none.'
  return f' Did you mean {close!r}?'


def _closest(word: object, known: Sequence[object]) -> str | None:
  """Returns the string of `known` that is most like `word`, if any is close."""
  if not isinstance(word, str):
    return None
  by_lower = {name.lower(): name for name in known if isinstance(name, str)}
  close = difflib.get_close_matches(word.lower(), by_lower, n=1)
  return by_lower[close[0]] if close else None


def _by(sizes: Sequence[int]) -> str:
  return ' x '.join(map(str, sizes))
