"""Progress of a run: a bar on a terminal, lines in a log file."""

from collections.abc import Callable, Generator, Mapping
import contextlib
import logging
import sys
import time
from typing import Any

import jax
import tqdm

from vgen_jax.runtime import flops as flops_lib

_log = logging.getLogger(__name__)


class Progress:
  """Shows the number of completed steps, the speed and the remaining time.

  This class is a context manager. `show` writes a line of the log; on a
  terminal there is also a bar, which stays in the last line. Only process 0
  shows anything.

  Speeds are those of training only: the time of other work, such as evaluation
  and checkpoints, is measured by `pause`.
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
      first: Number of steps completed earlier.
      final: Number of the last step.
      batch_size: Clips in each step.
      flops_per_step: Floating-point operations of a step, over all devices; 0
        if unknown.
      num_devices: Number of devices.
      clock: Function that returns the time in seconds.
      is_terminal: Whether to show a bar; None detects whether standard error is
        a terminal or a notebook.
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
    self._paused: dict[str, float] = {}  # Seconds since the last call of speed.
    self._totals: dict[str, float] = {}
    self._start = clock()
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
    """Records that `step` steps are completed."""
    if self._bar is not None:
      self._bar.update(step - self._step)
    self._step = step

  @contextlib.contextmanager
  def pause(self, name: str, state: Any = None) -> Generator[None]:
    """Measures work that is not training, and leaves it out of the speed.

    Args:
      name: Name of the work, such as 'evaluation'.
      state: Arrays of the device to wait for first, so that the steps that it
        has not finished yet count as training; None waits for nothing.
    """
    jax.block_until_ready(state)
    start = self._clock()
    try:
      yield
    finally:
      seconds = self._clock() - start
      self._paused[name] = self._paused.get(name, 0.0) + seconds
      self._totals[name] = self._totals.get(name, 0.0) + seconds
      if self._bar is not None:
        self._bar.unpause()

  def speed(self) -> dict[str, float]:
    """Returns rates of training since the last call, without pauses.

    Call it after the results of the device have arrived; before that, steps are
    only dispatched and seem to take no time.

    Returns:
      {name: rate} with `steps_per_second` and `clips_per_second`;
      `flops_per_second` if the operations are known, and `mfu`, the fraction of
      the peak bfloat16 rate of the devices, if that is known. For each kind of
      pause since the last call, `seconds/<name>` is its duration.
    """
    step, now = self._since
    self._since = self._step, self._clock()
    seconds = self._since[1] - now - sum(self._paused.values())
    seconds = max(seconds, 1e-9)
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
    pauses = {f'seconds/{name}': x for name, x in self._paused.items()}
    self._paused.clear()
    return speed | pauses

  def summary(self) -> str:
    """Returns how long training and other work have taken, in words."""
    total = self._clock() - self._start
    training = total - sum(self._totals.values())
    parts = {'training': training} | self._totals
    return ', '.join(f'{name} {x:,.1f} s' for name, x in parts.items())

  def show(self, step: int, metrics: Mapping[str, float]) -> None:
    """Shows the metrics of a step as a line of the log.

    Next to the bar, up to three losses and the speed are shown.
    """
    if not self._is_first_host:
      return
    words = [f'{name} {_short(x)}' for name, x in metrics.items()]
    if self._bar is not None:  # The bar itself shows steps/s and time left.
      losses = [w for w in words if w.split()[0].endswith('loss')]
      self._bar.set_postfix_str(', '.join([*losses[:3], *self._rates()]))
    rate = self._speed.get('steps_per_second', 0.0)
    pace = [f'{_short(rate)} steps/s', *self._rates()]
    if rate:
      left = tqdm.tqdm.format_interval((self._final - step) / rate)
      pace.append(f'{left} left')
    head = f'step {step} of {self._final}'
    _log.info(' | '.join([head, ', '.join(pace), ', '.join(words)]))

  def _rates(self) -> list[str]:
    """Returns texts of all rates except steps per second."""
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
