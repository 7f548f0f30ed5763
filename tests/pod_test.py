"""Two processes with one device each train like one process with two."""

import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import portpicker
import pytest

from vgen_jax.config import loading as config_lib
from vgen_jax.inference import hooks
from vgen_jax.runtime import writers
from vgen_jax.training import hooks as training_hooks
from vgen_jax.training import loop

ROOT = pathlib.Path(__file__).parents[1]
CONFIG = ROOT / 'configs/dit_world.py'
OVERRIDES = {'mesh.fsdp': 2, 'mesh.data': 1, 'tensorboard': False}


def run_pod(workdir, *flags):
  """Runs `vgen train` as two processes with one CPU device each."""
  port = portpicker.pick_unused_port()
  command = [
    sys.executable, '-m', 'vgen_jax.cli.main', 'train',
    f'--config={CONFIG}:smoke', f'--workdir={workdir}', '--debug',
    f'--coordinator=localhost:{port}', '--num_processes=2',
    *(f'--config.{k}={v}' for k, v in OVERRIDES.items()), *flags,
  ]  # fmt: skip
  environment = {**os.environ, 'JAX_NUM_CPU_DEVICES': '1'}
  processes = [
    subprocess.Popen(
      [*command, f'--process_id={i}'],
      env=environment,
      cwd=ROOT,
      stderr=subprocess.PIPE,
      text=True,
    )
    for i in range(2)
  ]
  errors = [process.communicate(timeout=300)[1] for process in processes]
  assert [p.returncode for p in processes] == [0, 0], errors[0][-3000:]


def assert_close(one, two):
  plain = lambda s: s.replace(rng=jax.random.key_data(s.rng))
  for a, b in zip(
    jax.tree.leaves(plain(one)), jax.tree.leaves(plain(two)), strict=True
  ):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-6)


@pytest.fixture(scope='module')
def config():
  return config_lib.replace(config_lib.load(f'{CONFIG}:smoke'), OVERRIDES)


@pytest.fixture(scope='module')
def alone(config, compiles_once, tmp_path_factory):
  """The state of a run of one process with two devices."""
  workdir = tmp_path_factory.mktemp('alone')
  return loop.train(config, str(workdir), hooks=hooks.standard())


def evaluated(workdir: str) -> list[bool]:
  """Returns for each line of the metrics whether an evaluation wrote it."""
  lines = writers.read_metrics(workdir)
  return ['evaluation/validity_loose' in line for line in lines]


def test_a_pod_and_one_process_resume_runs_of_each_other(
  tmp_path, config, alone
):
  """Two processes, one process and two in turn give the state of one."""
  workdir = str(tmp_path / 'run')
  quick = ('--config.evaluate_every=0', '--config.sample_every=0')
  run_pod(workdir, '--stop_at=2', *quick)  # Written by two processes ...
  one = loop.train(
    config, workdir, stop_at=3, hooks=[training_hooks.WriteMetrics()]
  )  # ... restored and written by one ...
  assert one.step == 3
  run_pod(workdir)  # ... and restored and written by two.
  assert_close(loop.train(config, workdir), alone)  # Only restores.
  # One process writes; both evaluate.
  assert evaluated(workdir) == [False, False, False, False, True]


@pytest.mark.slow
def test_a_pod_resumes_its_own_run(tmp_path, config, alone):
  """It evaluates at the end of each part, wherever a run was stopped."""
  workdir = str(tmp_path / 'run')
  run_pod(workdir, '--stop_at=2')
  run_pod(workdir)
  assert_close(loop.train(config, workdir), alone)
  assert evaluated(workdir) == [False, False, True, False, False, True]
