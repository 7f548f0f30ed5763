"""Learning rates as functions of the step, by spec.

`{'name': 'wsd', 'peak': 1e-3, 'warmup_steps': 500}` stands for the function
`wsd` below. All of them rise in a straight line to `peak` over `warmup_steps`,
from the first step's share of it and not from 0, which would waste an update.
"""

from collections.abc import Mapping
import inspect
from typing import Any

import optax

from vgen_jax.core import checks


def make(spec: Mapping[str, Any], num_steps: int) -> optax.Schedule:
  """Returns the function `step -> learning rate` that `spec` names.

  Args:
    spec: `name` of a function of this file, and its keyword arguments.
    num_steps: Length of the run; a schedule that falls has fallen by then.

  Raises:
    ValueError: If a name is unknown, or a number does not fit the run.
  """
  names = {f.__name__: f for f in (warmup_cosine, wsd, linear, constant)}
  name = spec.get('name')
  if name not in names:
    raise ValueError(
      f'config.optim.schedule.name is {name!r}, which is no schedule.'
      f'{checks.hint(str(name), list(names))}'
    )
  known = inspect.signature(names[name]).parameters
  kwargs = {k: v for k, v in spec.items() if k != 'name'}
  for key in kwargs:
    if key not in known or key == 'num_steps':
      options = [k for k in known if k != 'num_steps']
      raise ValueError(
        f'config.optim.schedule: {name} takes no {key!r}.'
        f'{checks.hint(key, options)}'
      )
  if 'peak' not in kwargs:
    raise ValueError(
      f"config.optim.schedule: {name} needs 'peak', the highest learning rate."
    )
  return names[name](num_steps, **kwargs)


def warmup_cosine(
  num_steps: int, *, peak: float, warmup_steps: int = 0, end: float = 0.0
) -> optax.Schedule:
  """Returns half a cosine wave from `peak` to `end`, after the warm-up."""
  fall = _rest(num_steps, peak, warmup_steps)
  return _after_warmup(
    optax.cosine_decay_schedule(peak, fall, alpha=end / peak),
    peak,
    warmup_steps,
  )


def linear(
  num_steps: int, *, peak: float, warmup_steps: int = 0, end: float = 0.0
) -> optax.Schedule:
  """Returns a straight line from `peak` to `end`, after the warm-up."""
  fall = _rest(num_steps, peak, warmup_steps)
  return _after_warmup(
    optax.linear_schedule(peak, end, fall), peak, warmup_steps
  )


def constant(
  num_steps: int, *, peak: float, warmup_steps: int = 0
) -> optax.Schedule:
  """Returns `peak` for all steps after the warm-up."""
  _rest(num_steps, peak, warmup_steps)
  return _after_warmup(optax.constant_schedule(peak), peak, warmup_steps)


def wsd(
  num_steps: int,
  *,
  peak: float,
  warmup_steps: int = 0,
  decay_fraction: float = 0.1,
  end: float = 0.0,
) -> optax.Schedule:
  """Returns warm-up, a long stable stretch, and a short straight fall.

  From Hu et al., "MiniCPM: Unveiling the Potential of
  Small Language Models with Scalable Training Strategies", 2024,
  https://arxiv.org/abs/2404.06395. They fall exponentially; the straight line
  is that of Hägele et al., "Scaling Laws and Compute-Optimal Training Beyond
  Fixed Training Durations", 2024, https://arxiv.org/abs/2405.18392.

  Args:
    num_steps: Length of the run.
    peak: Learning rate of the stable stretch.
    warmup_steps: Length of the rise.
    decay_fraction: Length of the fall, as a share of `num_steps`, in (0, 1].
    end: Learning rate that the fall ends at.
  """
  rest = _rest(num_steps, peak, warmup_steps)
  if not 0 < decay_fraction <= 1:
    raise ValueError(
      f'config.optim.schedule.decay_fraction is {decay_fraction}; it must be'
      ' above 0 and at most 1.'
    )
  fall = max(1, round(decay_fraction * num_steps))
  if fall > rest:
    raise ValueError(
      f'config.optim.schedule: warm-up ({warmup_steps}) and fall ({fall}) are'
      f' longer than config.num_steps, {num_steps}; shorten one.'
    )
  stable_then_fall = optax.linear_schedule(
    peak, end, fall, transition_begin=rest - fall
  )
  return _after_warmup(stable_then_fall, peak, warmup_steps)


def _rest(num_steps: int, peak: float, warmup_steps: int) -> int:
  """Returns how many steps follow the warm-up, once all numbers make sense."""
  if peak <= 0:
    raise ValueError(
      f'config.optim.schedule.peak is {peak}; it must be above 0.'
    )
  if not 0 <= warmup_steps < num_steps:
    raise ValueError(
      f'config.optim.schedule.warmup_steps is {warmup_steps}; it must be from 0'
      f' to config.num_steps - 1, {num_steps - 1}.'
    )
  return num_steps - warmup_steps


def _after_warmup(
  schedule: optax.Schedule, peak: float, warmup_steps: int
) -> optax.Schedule:
  if not warmup_steps:
    return schedule
  rise = optax.linear_schedule(peak / (warmup_steps + 1), peak, warmup_steps)
  return optax.join_schedules([rise, schedule], [warmup_steps])
