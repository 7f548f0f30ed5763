"""How far a run is, and how fast: a bar on a terminal, lines in a log file."""

from collections.abc import Callable, Mapping
import logging
import sys
import time
from typing import Any

import jax
import tqdm

from vgen_jax.runtime import flops as flops_lib

_log = logging.getLogger(__name__)


class Progress:
  """Steps done, speed, and time to go. A context manager.

  On a terminal it is a bar at the last line; elsewhere it is silent between
  logs, and `show` writes a plain line. Host 0 alone shows anything.
  """

  def __init__(
    self,
    first: int,
    final: int,
    batch_size: int,
    flops_per_step: float = 0.0,
    num_devices: int = 1,
    *,
    clock: Callable[[], float] = time.perf_counter,
    is_terminal: bool | None = None,
  ):
    """Starts the clock.

    Args:
      first: Steps done before.
      final: Step at which the run is over.
      batch_size: Clips a step.
      flops_per_step: Floating-point operations a step, over all devices; 0 if
        unknown.
      num_devices: How many share the work.
      clock: Tells seconds.
      is_terminal: Whether to draw a bar; None finds out.
    """
    if is_terminal is None:
      is_terminal = sys.stderr.isatty() or 'ipykernel' in sys.modules
    self._final = final
    self._batch_size = batch_size
    self._flops_per_step = flops_per_step
    peak = flops_lib.peak_flops(jax.devices()[0])
    self._peak = peak * num_devices if peak else None
    self._clock = clock
    self._is_first_host = jax.process_index() == 0
    self._since = first, clock()
    self._step = first
    self._speed: dict[str, float] = {}
    self._bar = None
    if is_terminal and self._is_first_host:
      self._bar = tqdm.tqdm(
        total=final, initial=first, unit='step', dynamic_ncols=True
      )

  def __enter__(self) -> 'Progress':
    return self

  def __exit__(self, *error: object) -> None:
    if self._bar is not None:
      self._bar.close()

  def advance(self, step: int) -> None:
    """Tells that `step` steps are done."""
    if self._bar is not None:
      self._bar.update(step - self._step)
    self._step = step

  def speed(self) -> dict[str, float]:
    """Returns rates since the last call, of all that took time in between.

    Call it when the device's results are at hand: until then steps are only
    sent off, and seem to take no time.

    Returns:
      `steps_per_second`, `clips_per_second`; `flops_per_second` if operations
      were counted, and `mfu`, their share of what the devices can do in
      bfloat16, if that is known.
    """
    step, now = self._since
    self._since = self._step, self._clock()
    seconds = max(self._since[1] - now, 1e-9)
    rate = (self._step - step) / seconds
    speed = {
      'steps_per_second': rate,
      'clips_per_second': rate * self._batch_size,
    }
    if self._flops_per_step:
      speed['flops_per_second'] = rate * self._flops_per_step
      if self._peak:
        speed['mfu'] = speed['flops_per_second'] / self._peak
    self._speed = speed
    return speed

  def show(self, step: int, metrics: Mapping[str, float]) -> None:
    """Shows metrics, beside the bar or as a line of the log."""
    if not self._is_first_host:
      return
    words = [f'{name} {_short(x)}' for name, x in metrics.items()]
    if self._bar is not None:  # It tells steps/s and the time left itself.
      losses = [w for w in words if w.split()[0].endswith('loss')]
      self._bar.set_postfix_str(', '.join([*losses[:3], *self._rates()]))
      return
    rate = self._speed.get('steps_per_second', 0.0)
    pace = [f'{_short(rate)} steps/s', *self._rates()]
    if rate:
      left = tqdm.tqdm.format_interval((self._final - step) / rate)
      pace.append(f'{left} left')
    head = f'step {step} of {self._final}'
    _log.info(' | '.join([head, ', '.join(pace), ', '.join(words)]))

  def _rates(self) -> list[str]:
    """Says how fast it goes, in all but steps."""
    words = []
    if 'clips_per_second' in self._speed:
      words.append(f'{_short(self._speed["clips_per_second"])} clips/s')
    if 'mfu' in self._speed:
      words.append(f'MFU {self._speed["mfu"]:.1%}')
    elif 'flops_per_second' in self._speed:
      words.append(f'{_short(self._speed["flops_per_second"] / 1e9)} GFLOP/s')
    return words


def _short(x: Any) -> str:
  return f'{float(x):.4g}'
