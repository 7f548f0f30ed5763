"""Tests of runtime/progress.py with a clock that the test sets."""

import logging
import types

import pytest

from vgen_jax.runtime import progress


class _Clock:
  now = 100.0

  def __call__(self) -> float:
    return self.now


@pytest.fixture
def clock(monkeypatch):
  """Returns a clock; the device has a peak of 1 TFLOP/s."""
  monkeypatch.setattr(progress.flops_lib, 'peak_flops', lambda device: 1e12)
  return _Clock()


def test_rates_are_those_since_the_last_log(clock):
  with progress.Progress(
    10, 50, 8, 2e11, 4, clock=clock, is_terminal=False
  ) as bar:
    clock.now += 5
    bar.advance(20)
    assert bar.speed() == {
      'steps_per_second': 2.0,
      'clips_per_second': 16.0,
      'flops_per_second': 4e11,
      'mfu': 0.1,  # Of four devices.
    }
    clock.now += 10
    bar.advance(30)
    assert bar.speed()['steps_per_second'] == 1.0


def test_the_speed_is_that_of_training_alone(clock, monkeypatch):
  """Steps that the device has not finished count as training."""

  def wait(state):
    clock.now += 0 if state is None else 2

  monkeypatch.setattr(progress.jax, 'block_until_ready', wait)
  bar = progress.Progress(0, 50, 8, 1e12, 1, clock=clock, is_terminal=False)
  clock.now += 3
  bar.advance(10)
  with bar.pause('evaluation', state={}):
    clock.now += 100
  for _ in range(2):
    with bar.pause('checkpoint'):
      clock.now += 4
  assert bar.speed() == {
    'steps_per_second': 2.0,
    'clips_per_second': 16.0,
    'flops_per_second': 2e12,
    'mfu': 2.0,
    'seconds/evaluation': 100.0,
    'seconds/checkpoint': 8.0,
  }
  clock.now += 5
  bar.advance(20)
  assert bar.speed()['steps_per_second'] == 2.0
  assert not [name for name in bar.speed() if name.startswith('seconds/')]
  with bar.pause('sampling'):
    clock.now += 7
  text = 'training 10.0 s, evaluation 100.0 s, checkpoint 8.0 s, sampling 7.0 s'
  assert bar.summary() == text


def test_unknown_rates_are_left_out(clock, monkeypatch):
  bar = progress.Progress(0, 9, 8, clock=clock, is_terminal=False)
  assert set(bar.speed()) == {'steps_per_second', 'clips_per_second'}
  monkeypatch.setattr(progress.flops_lib, 'peak_flops', lambda device: None)
  bar = progress.Progress(0, 9, 8, 1e9, clock=clock, is_terminal=False)
  assert 'mfu' not in bar.speed()


def test_a_log_file_has_plain_lines(clock, caplog, capsys):
  caplog.set_level(logging.INFO, logger='vgen_jax')
  caplog.handler.setLevel(logging.INFO)
  logger = logging.getLogger('vgen_jax')
  logger.addHandler(caplog.handler)
  try:
    bar = progress.Progress(0, 100, 8, 2e11, clock=clock, is_terminal=False)
    clock.now += 4
    bar.advance(20)
    assert caplog.messages == []  # Nothing between logs.
    bar.speed()
    bar.show(20, {'denoiser/loss': 0.25})
  finally:
    logger.removeHandler(caplog.handler)
  assert caplog.messages[-1] == (
    'step 20 of 100 | 5 steps/s, 40 clips/s, MFU 100.0%, 00:16 left'
    ' | denoiser/loss 0.25'
  )
  assert capsys.readouterr().err.count('\r') == 0


def test_a_terminal_has_a_bar(clock, capsys, monkeypatch):
  silent = types.SimpleNamespace(info=lambda *args: None)
  monkeypatch.setattr(progress, '_log', silent)
  with progress.Progress(2, 10, 8, clock=clock, is_terminal=True) as bar:
    clock.now += 1
    bar.advance(6)
    bar.speed()
    bar.show(6, {'a/loss': 0.25, 'a/grad_norm': 3.0})
  shown = capsys.readouterr().err
  assert '6/10' in shown
  assert 'a/loss 0.25, 32 clips/s' in shown
  assert 'grad_norm' not in shown


def test_other_processes_show_nothing(clock, capsys, monkeypatch):
  shown = types.SimpleNamespace(
    info=lambda *args: pytest.fail('It writes a log.')
  )
  monkeypatch.setattr(progress, '_log', shown)
  monkeypatch.setattr(progress.jax, 'process_index', lambda: 1)
  with progress.Progress(0, 10, 8, clock=clock, is_terminal=True) as bar:
    bar.advance(6)
    bar.show(6, {'a/loss': 0.25})
  assert capsys.readouterr().err == ''
