"""Learning rates as functions of the step, described by specs.

`{'name': 'wsd', 'peak': 1e-3, 'warmup_steps': 500}` selects the function `wsd`
of this file. Arguments of all schedules are

  num_steps: Length of the run in steps, where decaying schedules end.
  peak: Highest learning rate, above 0.
  warmup_steps: Number of steps over which the rate rises linearly to `peak`; 0
    for none.
  end: Learning rate that schedules that decay reach after the last step.

The warm-up starts at `peak / (warmup_steps + 1)`, because an update with a rate
of 0 would have no effect.
"""

from collections.abc import Mapping
import inspect
from typing import Any

import optax

from vgen_jax.core import checks


def make(spec: Mapping[str, Any], num_steps: int) -> optax.Schedule:
  """Returns the function from step to learning rate that `spec` describes.

  Args:
    spec: Dict of the `name` of a function of this file and of its keyword
      arguments.
    num_steps: Length of the run, where decaying schedules end.

  Raises:
    ValueError: If a name is unknown, or a number is out of range.
  """
  names = {f.__name__: f for f in (warmup_cosine, wsd, linear, constant)}
  name = spec.get('name')
  checks.one_of('config.optim.schedule.name', name, names)
  function = names[str(name)]
  known = inspect.signature(function).parameters
  kwargs = {k: v for k, v in spec.items() if k != 'name'}
  options = [k for k in known if k != 'num_steps']
  for key in kwargs:
    checks.known_key(f'config.optim.schedule ({name})', key, options)
    checks.number(f'config.optim.schedule.{key}', kwargs[key])
  if 'peak' not in kwargs:
    raise ValueError(
      f"config.optim.schedule: {name} requires 'peak', the highest learning"
      ' rate; add it.'
    )
  return function(num_steps, **kwargs)


def warmup_cosine(
  num_steps: int, *, peak: float, warmup_steps: int = 0, end: float = 0.0
) -> optax.Schedule:
  """Returns a cosine decay from `peak` to `end` after the warm-up."""
  num_decay = _steps_after_warmup(num_steps, peak, warmup_steps)
  return _after_warmup(
    optax.cosine_decay_schedule(peak, num_decay, alpha=end / peak),
    peak,
    warmup_steps,
  )


def linear(
  num_steps: int, *, peak: float, warmup_steps: int = 0, end: float = 0.0
) -> optax.Schedule:
  """Returns a linear decay from `peak` to `end` after the warm-up."""
  num_decay = _steps_after_warmup(num_steps, peak, warmup_steps)
  return _after_warmup(
    optax.linear_schedule(peak, end, num_decay), peak, warmup_steps
  )


def constant(
  num_steps: int, *, peak: float, warmup_steps: int = 0
) -> optax.Schedule:
  """Returns the constant rate `peak` after the warm-up."""
  _steps_after_warmup(num_steps, peak, warmup_steps)
  return _after_warmup(optax.constant_schedule(peak), peak, warmup_steps)


def wsd(
  num_steps: int,
  *,
  peak: float,
  warmup_steps: int = 0,
  decay_fraction: float = 0.1,
  end: float = 0.0,
) -> optax.Schedule:
  """Returns a warm-up, a long constant phase, and a short linear decay.

  From Hu et al., "MiniCPM: Unveiling the Potential of Small Language Models
  with Scalable Training Strategies", 2024, https://arxiv.org/abs/2404.06395.
  Their decay is exponential; the linear decay is from Hägele et al., "Scaling
  Laws and Compute-Optimal Training Beyond Fixed Training Durations", 2024,
  https://arxiv.org/abs/2405.18392.

  Args:
    num_steps: Length of the run.
    peak: Learning rate of the constant phase.
    warmup_steps: Length of the warm-up.
    decay_fraction: Length of the decay as a fraction of `num_steps`, in (0, 1].
    end: Learning rate at the end of the decay.

  Raises:
    ValueError: If warm-up and decay are longer than the run, or a number is out
      of range.
  """
  num_left = _steps_after_warmup(num_steps, peak, warmup_steps)
  if not 0 < decay_fraction <= 1:
    raise ValueError(
      f'config.optim.schedule.decay_fraction is {decay_fraction}; it must be'
      ' above 0 and at most 1.'
    )
  num_decay = max(1, round(decay_fraction * num_steps))
  if num_decay > num_left:
    raise ValueError(
      f'config.optim.schedule: the warm-up ({warmup_steps} steps) and the decay'
      f' ({num_decay} steps) are longer than config.num_steps, {num_steps};'
      ' shorten one of them.'
    )
  constant_then_decay = optax.linear_schedule(
    peak, end, num_decay, transition_begin=num_left - num_decay
  )
  return _after_warmup(constant_then_decay, peak, warmup_steps)


def _steps_after_warmup(num_steps: int, peak: float, warmup_steps: int) -> int:
  """Returns the number of steps after the warm-up.

  Raises:
    ValueError: If a number is out of range.
  """
  if peak <= 0:
    raise ValueError(
      f'config.optim.schedule.peak is {peak}; it must be above 0, such as 1e-3.'
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
  warmup = optax.linear_schedule(peak / (warmup_steps + 1), peak, warmup_steps)
  return optax.join_schedules([warmup, schedule], [warmup_steps])
