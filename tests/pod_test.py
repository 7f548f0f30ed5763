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
from vgen_jax.runtime import checkpoints
from vgen_jax.runtime import writers
from vgen_jax.training import hooks as training_hooks
from vgen_jax.training import loop

ROOT = pathlib.Path(__file__).parents[1]
CONFIG = ROOT / 'configs/convlstm_world.py'
OVERRIDES = {'mesh.fsdp': 2, 'mesh.data': 1, 'tensorboard': False}
OVERRIDES |= {'model.predictor.features': (4,), 'evaluate_every': 4}
OVERRIDES |= {'evaluation.num_clips': 4}
# A command that first tries to train with another seed in each process.
DISAGREE_FIRST = """
import sys
import jax
from vgen_jax.cli import main
from vgen_jax.training import loop
train = loop.train
def train_twice(config, workdir, **kwargs):
  other = config.copy_and_resolve_references()
  other.seed = 7 + jax.process_index()
  try:
    train(other, workdir)
  except ValueError as error:
    print('refused:', error, file=sys.stderr)
  return train(config, workdir, **kwargs)
loop.train = train_twice
sys.exit(main.main(sys.argv[1:]))
"""


def start_pod(workdir, *flags, start=('-m', 'vgen_jax.cli.main'), second=()):
  """Runs `vgen train` as two processes with one CPU device each.

  Args:
    workdir: Directory of the run.
    *flags: Flags of both processes.
    start: Arguments of Python that start the command line.
    second: Further flags of the second process.

  Returns:
    The exit statuses, and what the processes wrote to standard error.
  """
  port = portpicker.pick_unused_port()
  command = [
    sys.executable, *start, 'train',
    f'--config={CONFIG}:smoke', f'--workdir={workdir}', '--debug',
    f'--coordinator=localhost:{port}', '--num_processes=2',
    *(f'--config.{k}={v}' for k, v in OVERRIDES.items()), *flags,
  ]  # fmt: skip
  environment = {**os.environ, 'JAX_NUM_CPU_DEVICES': '1'}
  processes = [
    subprocess.Popen(
      [*command, f'--process_id={i}', *(second if i else ())],
      env=environment,
      cwd=ROOT,
      stderr=subprocess.PIPE,
      text=True,
    )
    for i in range(2)
  ]
  errors = [process.communicate(timeout=300)[1] for process in processes]
  return [process.returncode for process in processes], errors


def run_pod(workdir, *flags, **kwargs):
  """Trains with two processes; returns what they wrote to standard error."""
  status, errors = start_pod(workdir, *flags, **kwargs)
  assert status == [0, 0], errors[0][-3000:]
  return errors


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
  return loop.train(config, str(workdir))


def evaluated(workdir: str) -> list[bool]:
  """Returns for each line of the metrics whether an evaluation wrote it."""
  lines = writers.read_metrics(workdir)
  return ['evaluation/validity_loose' in line for line in lines]


QUICK = ('--config.evaluate_every=0', '--config.sample_every=0')


def test_one_process_resumes_the_run_of_a_pod(tmp_path, config, alone):
  """The state is that of a run of one process.

  The two processes of the pod also try to train with different seeds.
  """
  workdir = str(tmp_path / 'run')
  start = ('-c', DISAGREE_FIRST)
  errors = run_pod(workdir, '--stop_at=2', *QUICK, start=start)
  refused = 'refused: config.seed is 7 in process 0, but 8 in process 1'
  assert all(refused in text for text in errors)
  assert checkpoints.steps(workdir)[-1] == 2
  # One process writes the metrics.
  assert evaluated(workdir) == [False, False]
  assert_close(loop.train(config, workdir), alone)


@pytest.mark.slow
def test_a_pod_and_one_process_resume_runs_of_each_other(
  tmp_path, config, alone
):
  """Two processes, one process and two in turn give the state of one."""
  workdir = str(tmp_path / 'run')
  run_pod(workdir, '--stop_at=2', *QUICK)
  one = loop.train(
    config, workdir, stop_at=3, hooks=[training_hooks.WriteMetrics()]
  )  # The checkpoint of two processes is restored and written by one ...
  assert one.step == 3
  run_pod(workdir)  # ... and restored and written by two.
  assert_close(loop.train(config, workdir), alone)  # Only restores.
  # One process writes; both evaluate.
  assert evaluated(workdir) == [False, False, False, False, True]


@pytest.mark.slow
def test_a_pod_resumes_its_own_run(tmp_path, config, alone):
  """The run evaluates at the end of each part, wherever it was stopped."""
  workdir = str(tmp_path / 'run')
  run_pod(workdir, '--stop_at=2')
  run_pod(workdir)
  assert_close(loop.train(config, workdir), alone)
  assert evaluated(workdir) == [False, False, True, False, False, True]


@pytest.mark.slow
def test_processes_with_different_flags_stop_at_once(tmp_path):
  status, errors = start_pod(tmp_path / 'run', second=['--stop_at=1'])
  assert status == [1, 1]
  message = '--stop_at is None in process 0, but 1 in process 1'
  assert all(message in text for text in errors), errors
  assert not (tmp_path / 'run').exists()
