"""Which values the factors of a made-up world take, and which together."""

from collections.abc import Mapping, Sequence
import itertools

from vgen_jax.core import checks


def kept(
  factors: Mapping[str, tuple[str, ...]],
  only: Mapping[str, str | tuple[str, ...]],
  name: str = 'only',
) -> dict[str, tuple[str, ...]]:
  """Returns the values that may occur of each factor, in their order.

  Args:
    factors: All values of each.
    only: Those to keep, of some factors; the others keep theirs.
    name: What `only` is called in a config.

  Raises:
    ValueError: If `only` names what is not there.
  """
  found = dict(factors)
  for factor, values in only.items():
    if factor not in factors:
      raise ValueError(
        f'{name} has {factor!r}.{checks.hint(factor, list(factors))}'
      )
    values = (values,) if isinstance(values, str) else tuple(values)
    for value in values:
      if value not in factors[factor]:
        known = checks.hint(value, list(factors[factor]))
        raise ValueError(f'{name}[{factor!r}] has {value!r}.{known}')
    if not values:
      raise ValueError(f'{name}[{factor!r}] is empty; it must keep a value.')
    found[factor] = tuple(v for v in factors[factor] if v in values)
  return found


def parted(
  factors: Mapping[str, tuple[str, ...]],
  held_out: Sequence[Mapping[str, str | tuple[str, ...]]],
  shows_them: bool,
) -> list[dict[str, str]]:
  """Returns all combinations of values that are held out, or all others.

  Args:
    factors: Values of each.
    held_out: Kinds of combinations, {factor: value or values}.
    shows_them: Whether to return those that are of such a kind.

  Returns:
    {factor: value} for each; [] if nothing is held out, and all are alike.

  Raises:
    ValueError: If a name is unknown, or nothing is left.
  """
  kinds = [kept(factors, some, 'held_out') for some in held_out]
  if not kinds:
    return []
  every = [
    dict(zip(factors, values, strict=True))
    for values in itertools.product(*factors.values())
  ]
  found = [
    one
    for one in every
    if shows_them
    == any(all(one[k] in values for k, values in x.items()) for x in kinds)
  ]
  if not found:
    raise ValueError(
      f'held_out is {list(held_out)}, of which `only` leaves'
      f' {"nothing" if shows_them else "nothing else"}; change one of them.'
    )
  return found
