"""Tests of runtime/profiling.py: a trace that is not written is reported."""

import logging

import jax
import pytest

from vgen_jax.runtime import profiling


@pytest.fixture
def calls(monkeypatch):
  """Calls of the profiler, which is not started."""
  found = []
  monkeypatch.setattr(jax.profiler, 'start_trace', found.append)
  monkeypatch.setattr(jax.profiler, 'stop_trace', lambda: found.append('stop'))
  return found


def trace(steps, num_steps):
  with profiling.Trace('run', steps) as found:
    for number in range(1, num_steps + 1):
      with found.step(number):
        pass
      found.after(number, ())


@pytest.mark.parametrize(
  ('steps', 'num_steps', 'expected', 'is_warned'),
  [
    ((2, 3), 4, ['run/profile', 'stop'], False),
    ((2, 9), 4, ['run/profile', 'stop'], False),  # The run ends first.
    ((5, 9), 4, [], True),
    (None, 4, [], False),
  ],
)
def test_steps_are_traced(calls, caplog, steps, num_steps, expected, is_warned):
  with caplog.at_level(logging.INFO):
    trace(steps, num_steps)
  assert calls == expected
  assert ('none of the steps 5 to 9 was made' in caplog.text) == is_warned
