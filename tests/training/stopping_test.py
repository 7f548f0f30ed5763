"""Tests that no work is lost when a signal stops a run at any time."""

import os
import signal

import jax
from ml_collections import ConfigDict
import numpy as np
import pytest

from tests import small_configs
from vgen_jax.config import loading as config_lib
from vgen_jax.inference import clip_providers
from vgen_jax.inference import evaluations
from vgen_jax.inference import hooks
from vgen_jax.runtime import checkpoints
from vgen_jax.runtime import preemption
from vgen_jax.runtime import writers
from vgen_jax.training import hooks as training_hooks
from vgen_jax.training import loop

pytestmark = pytest.mark.usefixtures('draws_first_states')


@pytest.fixture(scope='module')
def config() -> ConfigDict:
  """A small run that samples and evaluates in steps 2 and 4."""
  return small_configs.predictor(
    **{
      'num_steps': 4,
      'sample_every': 2,
      'evaluate_every': 2,
      'checkpoint_every': 100,
      'evaluation': {'metrics': ('flicker',), 'num_clips': 6, 'batch_size': 2},
    },
  )


def train(config, workdir, *more):
  """Trains; returns the state and the exit status."""
  preempted = preemption.Preemption()
  found = [*hooks.standard(), *more]
  state = loop.train(config, str(workdir), hooks=found, preempted=preempted)
  return state, preempted.status


@pytest.fixture(scope='module')
def alone(config, tmp_path_factory):
  """Returns the workdir and the state of a run that was not interrupted."""
  workdir = tmp_path_factory.mktemp('alone')
  with pytest.MonkeyPatch.context():
    state, status = train(config, workdir)
  assert status == 0
  return workdir, state


def assert_same(alone, workdir, state):
  """Checks that state, evaluations and samples equal those of another run."""
  plain = lambda s: s.replace(rng=jax.random.key_data(s.rng))
  one, two = plain(alone[1]), plain(state)
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
    np.testing.assert_array_equal(a, b)
  assert evaluated(workdir) == evaluated(alone[0])
  assert sorted(evaluated(workdir)) == [2, 4]
  names = sorted(p.name for p in (alone[0] / 'samples').iterdir())
  assert sorted(p.name for p in (workdir / 'samples').iterdir()) == names
  assert len(names) == 6
  for name in names:
    there, here = (x / 'samples' / name for x in (alone[0], workdir))
    assert there.read_bytes() == here.read_bytes()


def evaluated(workdir) -> dict[int, dict[str, float]]:
  """Returns the logged values of evaluations, by step."""
  lines = [
    (int(line['step']), numbers)
    for line in writers.read_metrics(str(workdir))
    if (numbers := {k: x for k, x in line.items() if k.startswith('evalua')})
  ]
  assert len(dict(lines)) == len(lines), 'A step was logged twice.'
  return dict(lines)


def signal_in_call(patch, owner, name, number, at) -> list[int]:
  """Sends a signal in a call of a method; returns a list of all calls."""
  method, calls = getattr(owner, name), []

  def called(self, *args, **kwargs):
    calls.append(len(calls) + 1)
    if calls[-1] == at:
      os.kill(os.getpid(), number)
    return method(self, *args, **kwargs)

  patch.setattr(owner, name, called)
  return calls


@pytest.mark.parametrize(
  ('at', 'step', 'number'),
  [(2, 2, signal.SIGTERM), (5, 4, signal.SIGTERM), (2, 2, signal.SIGINT)],
)
def test_a_signal_in_an_evaluation_stops_it_after_the_chunk(
  config, alone, tmp_path, monkeypatch, at, step, number
):
  """The evaluation of the last step is stopped, too."""
  with monkeypatch.context() as patch:
    owner = clip_providers.ClipProviders
    calls = signal_in_call(patch, owner, '_generated', number, at)
    state, status = train(config, tmp_path)
  assert (int(state.step), status) == (step, 128 + number)
  assert len(calls) == at  # Of three chunks in each evaluation.
  assert checkpoints.steps(str(tmp_path))[-1] == step
  assert step not in evaluated(tmp_path)
  state, status = train(config, tmp_path)
  assert status == 0
  assert_same(alone, tmp_path, state)
  assert not list((tmp_path / 'evaluation').glob('*.partial'))


def test_an_evaluation_continues_where_it_was(config, tmp_path, monkeypatch):
  with monkeypatch.context() as patch:
    owner = clip_providers.ClipProviders
    signal_in_call(patch, owner, '_generated', signal.SIGTERM, 2)
    train(config, tmp_path)
  calls = signal_in_call(monkeypatch, owner, '_generated', 0, 99)
  assert train(config, tmp_path)[1] == 0
  assert len(calls) == 1 + 3  # The third chunk of step 2, all of step 4.


@pytest.mark.parametrize(('at', 'step'), [(1, 2), (2, 4)])
def test_a_signal_while_sampling_leaves_the_evaluation_to_the_next_start(
  config, alone, tmp_path, monkeypatch, at, step
):
  with monkeypatch.context() as patch:
    owner = hooks.SampleClips
    signal_in_call(patch, owner, '_clips', signal.SIGTERM, at)
    state, status = train(config, tmp_path)
  assert (int(state.step), status) == (step, 143)
  assert writers.has_clips(str(tmp_path), step)
  assert step not in evaluated(tmp_path)
  assert_same(alone, tmp_path, train(config, tmp_path)[0])


class SendSignal(training_hooks.Hook):
  """Sends SIGTERM at the log of a step; the run stops after the next step."""

  def __init__(self, step: int):
    self.step = step

  def on_log(self, step, metrics):
    if step == self.step:
      os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize('step', [1, 2, 3])
def test_a_signal_in_training_leaves_samples_to_the_next_start(
  config, alone, tmp_path, step
):
  state, status = train(config, tmp_path, SendSignal(step))
  assert status == 143
  assert int(state.step) in (step, step + 1)
  state, status = train(config, tmp_path)
  assert status == 0
  assert_same(alone, tmp_path, state)


def test_a_signal_while_catching_up_loses_nothing(
  config, alone, tmp_path, monkeypatch
):
  train(config, tmp_path, SendSignal(1))
  with monkeypatch.context() as patch:
    owner = clip_providers.ClipProviders
    signal_in_call(patch, owner, '_generated', signal.SIGTERM, 1)
    state, status = train(config, tmp_path)
  assert (int(state.step), status) == (2, 143)
  state, status = train(config, tmp_path)
  assert status == 0
  assert_same(alone, tmp_path, state)


@pytest.mark.parametrize(
  'broken', [(hooks.SampleClips, '_clips'), (evaluations.Evaluations, 'log')]
)
def test_the_checkpoint_is_saved_before_samples_and_evaluations(
  config, alone, tmp_path, monkeypatch, broken
):
  """No step is lost if the process is killed during samples or evaluations."""

  def killed(*args, **kwargs):
    raise MemoryError

  with monkeypatch.context() as patch:
    patch.setattr(*broken, killed)
    with pytest.raises(MemoryError):
      train(config, tmp_path)
  assert checkpoints.steps(str(tmp_path)) == [2]
  assert_same(alone, tmp_path, train(config, tmp_path)[0])


def test_a_complete_run_makes_up_for_files_that_are_missing(config, tmp_path):
  train(config_lib.replace(config, {'evaluate_every': 0}), tmp_path)
  (tmp_path / 'samples/4.gif').unlink()
  calls = []

  class Steps(training_hooks.Hook):
    def on_step(self, step, state, **kwargs):
      calls.append(step)

  train(config, tmp_path, Steps())
  assert writers.has_clips(str(tmp_path), 4)
  assert sorted(evaluated(tmp_path)) == [4]
  before = sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob('*.*'))
  train(config, tmp_path, Steps())
  assert before == sorted(
    (p, p.stat().st_mtime_ns) for p in tmp_path.rglob('*.*')
  )
  assert calls == []
