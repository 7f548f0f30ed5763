"""Selection of the values of factors, and of their combinations."""

from collections.abc import Mapping, Sequence
import itertools

from vgen_jax.core import checks


def select_values(
  factors: Mapping[str, tuple[str, ...]],
  selection: Mapping[str, str | tuple[str, ...]],
  name: str = 'only',
) -> dict[str, tuple[str, ...]]:
  """Returns the selected values of each factor, in their original order.

  Args:
    factors: All values of each factor.
    selection: Value or values to keep of some factors; other factors keep all.
    name: Name of `selection` in `config.data`, for errors.

  Raises:
    ValueError: If a factor or a value is unknown, or no value is left.
  """
  selected = dict(factors)
  for factor, values in selection.items():
    checks.known_key(f'config.data.{name}', factor, factors)
    values = (values,) if isinstance(values, str) else tuple(values)
    for value in values:
      checks.one_of(f'config.data.{name}[{factor!r}]', value, factors[factor])
    if not values:
      raise ValueError(
        f'config.data.{name}[{factor!r}] is empty; it must name at least'
        f' one of {list(factors[factor])}.'
      )
    selected[factor] = tuple(v for v in factors[factor] if v in values)
  return selected


def list_combinations(
  factors: Mapping[str, tuple[str, ...]],
  held_out: Sequence[Mapping[str, str | tuple[str, ...]]],
  *,
  return_held_out: bool,
) -> list[dict[str, str]]:
  """Returns all combinations of values that are held out, or all others.

  Args:
    factors: Values of each factor.
    held_out: Held-out combinations, {factor: value or values} each; factors
      that are not named may have any value.
    return_held_out: Whether to return the held-out combinations, rather than
      all others.

  Returns:
    {factor: value} for each combination; [] if `held_out` is empty.

  Raises:
    ValueError: If a name is unknown, or no combination is left.
  """
  patterns = [select_values(factors, one, 'held_out') for one in held_out]
  if not patterns:
    return []
  combinations = [
    dict(zip(factors, values, strict=True))
    for values in itertools.product(*factors.values())
  ]

  def is_held_out(combination):
    return any(
      all(combination[key] in values for key, values in pattern.items())
      for pattern in patterns
    )

  selected = [
    one for one in combinations if is_held_out(one) == return_held_out
  ]
  if not selected:
    raise ValueError(
      f'config.data.held_out is {list(held_out)}; with config.data.only,'
      f' {"none" if return_held_out else "all"} of the combinations are held'
      ' out. Change config.data.held_out or config.data.only.'
    )
  return selected
