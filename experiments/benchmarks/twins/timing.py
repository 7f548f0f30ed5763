"""Times of steps that are measured in turn, and their tables."""

from collections.abc import Callable, Mapping, Sequence
import statistics
import time
from typing import Any

Step = Callable[[], Any]  # Makes one step, and waits for its end.


def interleaved(
  steps: Mapping[str, Step],
  repeats: int,
  number: Mapping[str, int],
  clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
  """Measures several kinds of steps in turn, so that all have the same load.

  Each kind makes one step before, which is not measured.

  Args:
    steps: {name: step}.
    repeats: How often each kind is measured.
    number: Number of steps of each measurement, {name: number}.
    clock: Returns the time in seconds.

  Returns:
    {name: mean milliseconds per step in each repeat}.
  """
  for step in steps.values():
    step()
  found: dict[str, list[float]] = {name: [] for name in steps}
  for _ in range(repeats):
    for name, step in steps.items():
      start = clock()
      for _ in range(number[name]):
        step()
      found[name].append(1e3 * (clock() - start) / number[name])
  return found


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
  """Returns the median ratio of the repeats, with its range."""
  ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
  return (
    f'{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})'
  )


def table(rows: Sequence[Mapping[str, str]]) -> str:
  """Returns rows with the same keys as a table of Markdown."""
  lines = [list(rows[0]), ['---'] * len(rows[0])]
  lines += [list(row.values()) for row in rows]
  return '\n'.join(f'| {" | ".join(line)} |' for line in lines)
