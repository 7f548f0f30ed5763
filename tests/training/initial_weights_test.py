"""Tests of runs that start from other runs, and of runs made longer."""

import json
import pathlib
import shutil

import jax
from ml_collections import ConfigDict
import numpy as np
import pytest

from tests import small_configs
from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.inference import hooks
from vgen_jax.runtime import checkpoint_parts
from vgen_jax.runtime import checkpoints
from vgen_jax.runtime import writers
from vgen_jax.training import loop
from vgen_jax.training import setup as setup_lib

pytestmark = pytest.mark.usefixtures('draws_first_states')


@pytest.fixture(scope='module')
def config() -> ConfigDict:
  return small_configs.gan(
    **{
      'num_steps': 3,
      'evaluate_every': 0,
      'checkpoint_every': 2,
      'optim.schedule': {'name': 'linear', 'peak': 1e-3},
    },
  )


@pytest.fixture(scope='module')
def done(config, tmp_path_factory):
  """A finished run: its workdir and its last state."""
  workdir = tmp_path_factory.mktemp('done')
  return workdir, loop.train(config, str(workdir), hooks=hooks.standard())


def start(config, workdir, /, **init):
  """Returns the first state of a run with these fields of config.init."""
  overrides = {f'init.{name}': value for name, value in init.items()}
  config = config_lib.replace(config, {'seed': 7, **overrides})
  return loop.train(config, str(workdir), stop_at=0)


def equal(one, two) -> bool:
  """Returns whether two trees are equal, bit for bit."""
  return jax.tree.all(jax.tree.map(np.array_equal, one, two))


def test_a_run_starts_from_the_average_of_another(config, done, tmp_path):
  state, other = start(config, tmp_path, workdir=str(done[0])), done[1]
  average = other.ema['slow']
  assert equal({p: state.params[p] for p in average}, average)
  assert equal(state.ema['slow'], average)
  assert equal(state.stats, other.stats)
  assert not equal(state.params, other.params)
  assert int(state.step) == 0
  fresh = start(config, tmp_path / 'fresh')
  assert equal(state.opt, fresh.opt)
  assert not equal(state.params, fresh.params)


def test_step_average_and_parts_can_be_chosen(config, done, tmp_path):
  init = {'workdir': str(done[0]), 'average': 'params', 'step': 2}
  state = start(config, tmp_path / 'a', parts=('generator',), **init)
  shapes = {'params': {'generator': state.params['generator']}}
  there = checkpoint_parts.read(str(done[0]), shapes, 2)['params']['generator']
  assert equal(state.params['generator'], there)
  assert not equal(there, done[1].params['generator'])
  fresh = start(config, tmp_path / 'b')
  for part in set(state.params) - {'generator'}:
    assert equal(state.params[part], fresh.params[part])
    assert equal(state.ema['slow'][part], fresh.ema['slow'][part])


def test_training_goes_on_from_the_weights_and_resumes(config, done, tmp_path):
  config = config_lib.replace(config, {'init.workdir': str(done[0])})
  whole = loop.train(config, str(tmp_path / 'whole'))
  loop.train(config, str(tmp_path / 'half'), stop_at=2)
  # The other run is not needed any more.
  gone = config_lib.replace(config, {'init.workdir': str(tmp_path / 'gone')})
  half = loop.train(gone, str(tmp_path / 'half'))
  assert equal(whole.params, half.params)


@pytest.mark.parametrize(
  ('init', 'overrides', 'message'),
  [
    ({'workdir': 'nowhere'}, {}, r"'nowhere', but there is no run in it"),
    ({'workdir': '{}', 'step': 1}, {}, r'no checkpoint of step 1; it has'),
    ({'workdir': '{}', 'average': 'fast'}, {}, "of 'slow', 'params'"),
    (
      {'workdir': '{}', 'parts': ('generatr',)},
      {},
      r"'generatr', which this model does not have\. Parts .*'generator'",
    ),
    ({'workdir': '{}', 'parts': 'generator'}, {}, 'must be of type tuple'),
    ({'step': 3}, {}, 'config.init has no workdir'),
    (
      {'workdir': '{}'},
      {'model.generator.width': 8},
      r'whose generator does not fit .* has shape \[.*\] there and \[.*\] here',
    ),
  ],
)
def test_what_does_not_fit_is_named(
  config, done, tmp_path, init, overrides, message
):
  init = {
    k: x.format(done[0]) if isinstance(x, str) else x for k, x in init.items()
  }
  config = config_lib.replace(config, overrides)
  with pytest.raises(ValueError, match=message):
    start(config, tmp_path / 'new', **init)
  assert not checkpoints.steps(str(tmp_path / 'new'))


def test_parts_that_fit_can_be_taken_if_others_do_not(config, done, tmp_path):
  config = config_lib.replace(config, {'model.generator.width': 8})
  critics = ('critic_frames',)
  state = start(config, tmp_path, workdir=str(done[0]), parts=critics)
  for part in critics:
    assert equal(state.params[part], done[1].ema['slow'][part])


@pytest.fixture
def copy(done, tmp_path):
  """A copy of the finished run."""
  return pathlib.Path(shutil.copytree(done[0], tmp_path / 'copy'))


def test_a_finished_run_goes_on_for_longer(config, done, copy, caplog):
  longer = config_lib.replace(config, {'num_steps': 5})
  with caplog.at_level('INFO'):
    state = loop.train(longer, str(copy), hooks=hooks.standard())
  assert int(state.step) == 5
  assert json.loads((copy / 'config.json').read_text())['num_steps'] == 5
  entries = {int(x['step']): x for x in writers.read_metrics(str(copy))}
  rates = {k: x['generator/learning_rate'] for k, x in entries.items()}
  # Linear from 1e-3 to 0, over 3 steps and then over 5.
  np.testing.assert_allclose(
    [rates[k] for k in range(1, 6)],
    [1e-3, 1e-3 * 2 / 3, 1e-3 / 3, 1e-3 * 2 / 5, 1e-3 / 5],
    rtol=1e-5,
  )
  assert 'config.num_steps is 5 instead of 3; schedules' in caplog.text
  assert (
    'learning rate of generator was 0.0003333 in step 3 and is 0.0004'
    in caplog.text
  )


def test_the_learning_rate_can_be_lowered_on_resume(config, copy, caplog):
  """The error message of the guard against harmful updates recommends this."""
  changes = {
    'num_steps': 4,
    'optim.schedule.peak': 1e-4,
    'optim.players': {'critic_frames': {'schedule': {'peak': 1e-5}}},
    'optim.clip_norm': 0.5,
    'guard.spike': 10.0,
  }
  config = config_lib.replace(config, changes)
  loop.train(config, str(copy), hooks=hooks.standard())
  last = writers.read_metrics(str(copy))[-1]
  assert last['generator/learning_rate'] == pytest.approx(1e-4 / 4)
  assert last['critic_frames/learning_rate'] == pytest.approx(1e-5 / 4)


@pytest.mark.parametrize(
  ('overrides', 'message'),
  [
    ({'num_steps': 2}, 'has made 3 steps; it must be at least 3'),
    ({'optim.name': 'sgd'}, 'with optim.name='),
    ({'optim.b1': 0.3}, 'with optim.b1='),
    (
      {'optim.players': {'generator': {'name': 'sgd'}}},
      'with optim.players.generator.name=None',
    ),
  ],
)
def test_other_changes_are_refused(config, copy, overrides, message):
  before = (copy / 'config.json').read_text()
  with pytest.raises(ValueError, match=message):
    loop.train(config_lib.replace(config, overrides), str(copy))
  assert (copy / 'config.json').read_text() == before


def test_nothing_is_said_if_rates_do_not_change(config):
  setup = setup_lib.make(settings_lib.read(config))
  assert setup_lib.rate_changes(setup, None, 0) == []
  assert setup_lib.rate_changes(setup, setup.settings, 2) == []
