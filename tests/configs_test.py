"""The contract of every config: a file in configs/ is tested by being there."""

import functools
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

import jax
import numpy as np
import pytest

from vgen_jax.config import build
from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.data import pipeline
from vgen_jax.inference import hooks
from vgen_jax.inference import sampling
from vgen_jax.runtime import checkpoints
from vgen_jax.runtime import writers
from vgen_jax.training import loop
from vgen_jax.training import setup as setup_lib

ROOT = pathlib.Path(__file__).parents[1]
CONFIGS = sorted((ROOT / 'configs').glob('*.py'))
each_config = pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
ONE_DEVICE = {'mesh.data': 1, 'tensorboard': False}


def leaves(state) -> dict[str, np.ndarray]:
  """Every number of a state, by name."""
  state = state.replace(rng=jax.random.key_data(state.rng))
  return {
    jax.tree_util.keystr(path): np.asarray(x)
    for path, x in jax.tree_util.tree_leaves_with_path(state)
  }


def assert_same(one, two):
  one, two = leaves(one), leaves(two)
  assert one.keys() == two.keys()
  for name, x in one.items():
    np.testing.assert_array_equal(x, two[name], err_msg=name)


def smoke(path, clips, **overrides):
  config = config_lib.load(f'{path}:smoke')
  for part, workdir in config.get('frozen', {}).items():
    overrides[f'frozen.{part}'] = trained(
      pathlib.Path(workdir).name, clips
    ).name
  if config.data.name == 'data.files.video_folder.VideoFolder':
    overrides['data.folder'] = str(clips)
  return config_lib.replace(config, {**ONE_DEVICE, **overrides})


@functools.cache
def trained(name: str, clips) -> tempfile.TemporaryDirectory:
  """The workdir of a smoke run that others freeze parts of."""
  workdir = tempfile.TemporaryDirectory()
  loop.train(
    smoke(ROOT / f'configs/{name}.py', clips),
    workdir.name,
    hooks=hooks.standard(),
  )
  return workdir


@each_config
def test_base_size_fits_together(path: pathlib.Path, clips):
  """The step and the sampler of the full size are traced, not computed."""
  config = config_lib.load(str(path))
  overrides = dict(ONE_DEVICE)
  if config.data.name == 'data.files.video_folder.VideoFolder':
    overrides['data.folder'] = str(clips)
  setup = setup_lib.make(
    settings_lib.read(config_lib.replace(config, overrides))
  )
  setup_lib.check_batch_size(setup)
  state, metrics = jax.eval_shape(
    setup.pure_step(), setup.state_shapes(), setup.batch
  )
  assert jax.tree.map(np.shape, state) == jax.tree.map(
    np.shape, setup.state_shapes()
  )
  assert any(name.endswith('/loss') for name in metrics)
  sample = sampling.make_sampler(setup.model, 'params', setup.mesh)
  condition = sampling.conditions(setup.model, setup.source, 3)
  video = jax.eval_shape(sample, state, sampling.clip_keys(0, 3), condition)
  assert video.shape == (3, *config.clip_shape)


@each_config
def test_killed_and_resumed_is_as_never_killed(
  path, tmp_path, clips, compiles_once
):
  """Bit for bit, on every leaf; killed with SIGKILL at a random moment.

  The killed run saves in every step, so that the kill may fall into a save. It
  compiles its own step, while its successor takes the first one's, and draws no
  clips: that must not change anything either.
  """
  straight = loop.train(
    smoke(path, clips), str(tmp_path / 'straight'), hooks=hooks.standard()
  )
  workdir = tmp_path / 'killed'
  overrides = [f'--config.{k}={v}' for k, v in ONE_DEVICE.items()]
  if 'folder' in straight_data(path):
    overrides.append(f'--config.data.folder={clips}')
  for part, run in smoke(path, clips).get('frozen', {}).items():
    overrides.append(f'--config.frozen.{part}={run}')
  command = [
    sys.executable, '-m', 'vgen_jax.cli.main', 'train',
    f'--config={path}:smoke', f'--workdir={workdir}',
    '--config.checkpoint_every=1', '--config.keep=10', *overrides,
  ]  # fmt: skip
  killed = subprocess.Popen(
    command,
    cwd=ROOT,
    env={**os.environ, **cpu_environment()},
    stderr=subprocess.PIPE,
    text=True,
  )
  until = time.monotonic() + 240
  while len(checkpoints.steps(str(workdir))) < 1 and killed.poll() is None:
    assert time.monotonic() < until, 'No checkpoint came.'
    time.sleep(0.01)
  time.sleep(random.random() * 0.3)
  killed.send_signal(signal.SIGKILL)
  _, told = killed.communicate()
  done = checkpoints.steps(str(workdir))
  assert done, told[-2000:]
  assert done[-1] < straight.step, 'It was killed too late to tell anything.'

  quick = {'checkpoint_every': 1, 'keep': 10, 'sample_every': 0}
  resumed = loop.train(
    smoke(path, clips, **quick), str(workdir), hooks=hooks.standard()
  )
  assert_same(straight, resumed)
  lines = writers.read_metrics(str(workdir))  # Evaluations have their own.
  steps = [entry['step'] for entry in lines if 'steps_per_second' in entry]
  assert steps == list(range(1, int(straight.step) + 1))
  folders = (workdir, tmp_path / 'straight')
  one, two = (evaluated(str(folder)) for folder in folders)
  assert one == two
  assert list((tmp_path / 'straight/samples').glob('*.mp4'))


def evaluated(workdir: str) -> list[dict[str, float]]:
  """Lines of a run's log that are of evaluations."""
  lines = writers.read_metrics(workdir)
  return [line for line in lines if 'steps_per_second' not in line]


def straight_data(path) -> dict:
  return config_lib.load(f'{path}:smoke').data.to_dict()


def cpu_environment() -> dict[str, str]:
  """What conftest.py sets here, for another process."""
  return {
    'JAX_PLATFORMS': 'cpu',
    'JAX_NUM_CPU_DEVICES': '8',
    'JAX_NUMPY_RANK_PROMOTION': 'raise',
    'JAX_COMPILATION_CACHE_DIR': str(ROOT / '.cache/jax'),
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
    'JAX_DISABLE_MOST_OPTIMIZATIONS': '1',
  }


@each_config
def test_workers_do_not_change_batches(path, clips):
  """Also of a run that goes on at batch 2: hashes are the same."""
  config = smoke(path, clips).to_dict()
  source = build.source(config['data'], config['clip_shape'])
  digests = []
  for num_threads, first in ((0, 0), (3, 0), (1, 2)):
    with pipeline.batches(
      source,
      batch_size=4,
      seed=0,
      first=first,
      num_threads=num_threads,
    ) as batches:
      digests.append([pipeline.digest(next(batches)) for _ in range(4 - first)])
  assert digests[0] == digests[1]
  assert digests[0][2:] == digests[2]
  assert len(set(digests[0])) == 4


@each_config
def test_config_json_alone_rebuilds_the_model(path, tmp_path, clips):
  config = smoke(path, clips)
  file = tmp_path / 'config.json'
  file.write_text(config_lib.to_json(config))
  again = config_lib.load(str(file))
  one, two = (
    build.model(
      c.model.to_dict(), build.source(c.data.to_dict(), c.clip_shape).schema
    )
    for c in (config, again)
  )
  assert one == two
