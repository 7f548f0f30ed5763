"""Tests of validation losses during training, and of the record of a run."""

import json
import logging

import jax
import numpy as np
import pytest

from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.inference import hooks
from vgen_jax.inference import runs
from vgen_jax.runtime import writers
from vgen_jax.training import loop
from vgen_jax.training import setup as setup_lib


@pytest.fixture
def config():
  fields = {'mesh.data': 1, 'sample_every': 0, 'num_steps': 4, 'batch_size': 4}
  return config_lib.replace(config_lib.load('demo:smoke'), fields)


def leaves(state) -> list[np.ndarray]:
  state = state.replace(rng=jax.random.key_data(state.rng))
  return [np.asarray(x) for x in jax.tree.leaves(state)]


def test_validation_is_logged_and_does_not_change_the_training(
  config, tmp_path, compiles_once, caplog
):
  caplog.set_level(logging.INFO, 'vgen_jax')  # As the command line sets it.
  plain = loop.train(config, str(tmp_path / 'plain'), hooks=hooks.standard())
  fields = {'validate_every': 2, 'validate_clips': 6}
  config = config_lib.replace(config, fields)
  workdir = str(tmp_path / 'run')
  state = loop.train(config, workdir, hooks=hooks.standard())
  for one, two in zip(leaves(plain), leaves(state), strict=True):
    np.testing.assert_array_equal(one, two)

  lines = writers.read_metrics(workdir)
  losses = {x['step']: x['val/loss'] for x in lines if 'val/loss' in x}
  assert sorted(losses) == [2, 4]
  assert losses[2] != losses[4]
  assert all(np.isfinite(loss) for loss in losses.values())
  assert not [x for x in writers.read_metrics(str(tmp_path / 'plain'))
              if 'val/loss' in x]  # fmt: skip
  # It is the loss of the averaged parameters on clips of the other split.
  run = runs.load(workdir)
  found = run.validate(6, batch_size=4, seed=config.seed)
  np.testing.assert_allclose(found['denoiser/loss'], losses[4], rtol=1e-5)

  starts = (tmp_path / 'run/starts.jsonl').read_text().splitlines()
  assert [json.loads(x)['event'] for x in starts] == ['start', 'end']
  assert json.loads(starts[1])['step'] == 4
  log = (tmp_path / 'run/log.txt').read_text()
  for words in ('Devices: 1 x cpu', 'Model: Diffusion with', 'step 4 of 4'):
    assert words in log
  events = b''.join(
    file.read_bytes() for file in (tmp_path / 'run/tensorboard').iterdir()
  )
  assert b'"validate_every": 2' in events


def test_data_without_a_validation_split_is_refused(config, tmp_path):
  fields = {'validate_every': 2, 'data.split': 'train'}
  settings = settings_lib.read(config_lib.replace(config, fields))
  setup = setup_lib.make(settings)
  with pytest.raises(ValueError, match='validation needs data that has splits'):
    hooks.Validate().on_setup(setup, str(tmp_path))
