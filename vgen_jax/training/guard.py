"""The guard against updates with non-finite values or too large gradients."""

from collections.abc import Mapping

import jax

from vgen_jax.config import sections
from vgen_jax.training import state as state_lib


def num_skipped(state: state_lib.TrainState) -> dict[str, int]:
  """Returns the number of skipped updates of the run, {player: number}."""
  found = jax.device_get(state.guard)
  return {player: int(entry['skipped']) for player, entry in found.items()}


def check(
  guard: sections.Guard,
  state: state_lib.TrainState,
  step: int,
  before: Mapping[str, int],
) -> None:
  """Raises FloatingPointError if the guard does not allow the skipped updates.

  Args:
    guard: Settings of the guard.
    state: State after the step.
    step: Number of the step, for the message.
    before: Updates skipped before this call of `train`, {player: number}.
  """
  for player, total in num_skipped(state).items():
    skipped = total - before[player]
    streak = int(state.guard[player]['streak'])
    raises = skipped and guard.policy == 'raise'
    if raises or streak > guard.max_skips:
      other = (
        "set config.guard.policy='skip' to continue after a few of them"
        if guard.policy == 'raise'
        else f'increase config.guard.max_skips, which is {guard.max_skips}:'
        f' {streak} updates in a row were skipped'
      )
      raise FloatingPointError(
        f'{skipped} updates of {player} up to step {step} had a loss or'
        ' gradient that was not finite, or a gradient norm above'
        ' config.guard.spike; none of them was applied. The latest checkpoint'
        ' is valid. Resume from it with a lower learning rate'
        f' (--config.optim.schedule.peak=...), or {other}.'
      )
