"""Tests of validation losses during training, and of the record of a run."""

import json
import logging
import os
import signal

import jax
import numpy as np
import pytest

from tests import small_configs
from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.inference import hooks
from vgen_jax.inference import runs
from vgen_jax.inference import validation
from vgen_jax.runtime import checkpoints
from vgen_jax.runtime import preemption
from vgen_jax.runtime import writers
from vgen_jax.training import loop
from vgen_jax.training import setup as setup_lib


@pytest.fixture
def config():
  return small_configs.predictor()


def leaves(state) -> list[np.ndarray]:
  state = state.replace(rng=jax.random.key_data(state.rng))
  return [np.asarray(x) for x in jax.tree.leaves(state)]


def test_validation_is_logged_and_does_not_change_the_training(
  tmp_path, draws_first_states, caplog
):
  config = small_configs.gan(tensorboard=True)
  caplog.set_level(logging.INFO, 'vgen_jax')  # As the command line sets it.
  plain = loop.train(config, str(tmp_path / 'plain'), hooks=hooks.standard())
  fields = {'validate_every': 2, 'validate_clips': 16}
  config = config_lib.replace(config, fields)
  workdir = str(tmp_path / 'run')
  state = loop.train(config, workdir, hooks=hooks.standard())
  for one, two in zip(leaves(plain), leaves(state), strict=True):
    np.testing.assert_array_equal(one, two)

  lines = writers.read_metrics(workdir)
  name = 'val/generator/loss'
  losses = {x['step']: x[name] for x in lines if name in x}
  assert sorted(losses) == [2, 4]
  assert losses[2] != losses[4]
  assert all(np.isfinite(loss) for loss in losses.values())
  assert not [x for x in writers.read_metrics(str(tmp_path / 'plain'))
              if name in x]  # fmt: skip
  # It is the loss of the averaged parameters on clips of the other split.
  run = runs.load(workdir)
  found = run.validate(16, batch_size=8, seed=config.seed)
  np.testing.assert_allclose(found['generator/loss'], losses[4], rtol=1e-5)

  starts = (tmp_path / 'run/starts.jsonl').read_text().splitlines()
  assert [json.loads(x)['event'] for x in starts] == ['start', 'end']
  assert json.loads(starts[1])['step'] == 4
  log = (tmp_path / 'run/log.txt').read_text()
  for words in ('Devices: 1 x cpu', 'Model: GAN with', 'step 4 of 4'):
    assert words in log
  events = b''.join(
    file.read_bytes() for file in (tmp_path / 'run/tensorboard').iterdir()
  )
  assert b'"validate_every": 2' in events


@pytest.fixture
def losses(monkeypatch):
  """Calls of the function that computes losses, which is not compiled.

  A test may add functions that are called first, by the number of the call.
  """
  first, calls = {}, []

  def computed(state, batch, position_b, key):
    calls.append(int(state.step))
    first.get(len(calls), lambda: None)()
    return {'predictor/loss': float(state.step) + position_b.mean()}

  monkeypatch.setattr(validation, 'make_losses', lambda *args: computed)
  return first, calls


@pytest.mark.parametrize(('at', 'step'), [(1, 2), (3, 4)])
def test_a_signal_in_a_validation_stops_it_until_the_next_start(
  config, tmp_path, draws_first_states, losses, at, step
):
  first, calls = losses
  fields = {'validate_every': 2, 'validate_clips': 12, 'checkpoint_every': 100}
  config, workdir = config_lib.replace(config, fields), str(tmp_path)
  first[at] = lambda: os.kill(os.getpid(), signal.SIGTERM)
  preempted = preemption.Preemption()
  loop.train(config, workdir, hooks=hooks.standard(), preempted=preempted)
  assert preempted.status == 143
  assert calls == [2, 2, 4, 4][:at]
  assert checkpoints.steps(workdir)[-1] == step
  loop.train(config, workdir, hooks=hooks.standard())
  assert calls == [*[2, 2, 4, 4][:at], *[2, 2, 4, 4][at - 1 :]]
  lines = writers.read_metrics(workdir)
  found = [(x['step'], x['val/loss']) for x in lines if 'val/loss' in x]
  assert found == [(2, 7.5), (4, 9.5)]  # The mean position of 12 clips is 5.5.


def test_the_checkpoint_is_saved_before_a_validation(
  config, tmp_path, draws_first_states, losses
):
  first, _ = losses

  def killed():
    raise MemoryError

  first[1] = killed
  fields = {'validate_every': 2, 'checkpoint_every': 100}
  config = config_lib.replace(config, fields)
  with pytest.raises(MemoryError):
    loop.train(config, str(tmp_path), hooks=hooks.standard())
  assert checkpoints.steps(str(tmp_path)) == [2]


def test_the_time_of_a_validation_is_not_that_of_training(
  config, tmp_path, draws_first_states, losses
):
  fields = {'validate_every': 2, 'log_every': 1}
  config = config_lib.replace(config, fields)
  loop.train(config, str(tmp_path), hooks=hooks.standard())
  lines = writers.read_metrics(str(tmp_path))
  timed = [x['step'] for x in lines if 'seconds/validation' in x]
  assert timed == [3]


def test_data_without_a_validation_split_is_refused(config, tmp_path):
  fields = {'validate_every': 2, 'data.split': 'train'}
  settings = settings_lib.read(config_lib.replace(config, fields))
  setup = setup_lib.make(settings)
  with pytest.raises(ValueError, match='validation needs data that has splits'):
    hooks.Validate().on_setup(setup, str(tmp_path))
