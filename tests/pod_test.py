"""Two processes with one device each train like one process with two."""

import os
import pathlib
import shutil
import subprocess
import sys

import jax
import numpy as np
import portpicker
import pytest

from vgen_jax.config import loading as config_lib
from vgen_jax.inference import hooks
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
  environment = {
    **os.environ,
    'JAX_PLATFORMS': 'cpu',
    'JAX_NUM_CPU_DEVICES': '1',
    'JAX_DISABLE_MOST_OPTIMIZATIONS': '1',
    'JAX_COMPILATION_CACHE_DIR': str(ROOT / '.cache/jax'),
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
  }
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


def test_a_pod_and_one_process_resume_runs_of_each_other(
  tmp_path, config, compiles_once
):
  """One process, two processes, and both in turn give the same state."""
  alone = loop.train(config, str(tmp_path / 'alone'), hooks=hooks.standard())

  pod = tmp_path / 'pod'
  run_pod(pod, '--stop_at=2')  # Written by two processes ...
  half = tmp_path / 'half'
  shutil.copytree(pod, half)
  one = loop.train(
    config, str(half), hooks=hooks.standard()
  )  # ... restored by one.
  assert_close(one, alone)

  back = tmp_path / 'back'
  loop.train(
    config, str(back), stop_at=2, hooks=hooks.standard()
  )  # Written by one ...
  run_pod(back)  # ... restored by two.
  assert_close(
    loop.train(config, str(back), hooks=hooks.standard()), alone
  )  # Only restores.

  run_pod(pod)  # Two from the start to the end.
  assert_close(loop.train(config, str(pod), hooks=hooks.standard()), alone)
  lines = (pod / 'metrics.jsonl').read_text().splitlines()
  evaluated = ['evaluation/validity_loose' in line for line in lines]
  # One process writes; both evaluate, wherever a run was stopped.
  assert evaluated == [False, False, True, False, False, True]
