"""Tests of every config; each file in configs/ is tested without more code."""

import dataclasses
import functools
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import jax
import numpy as np
import pytest

from tests import config_lists
from tests import untrained
from tests import unused_conditions
from vgen_jax.config import build
from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.core import digests as digests_lib
from vgen_jax.core import modalities
from vgen_jax.data import pipeline
from vgen_jax.inference import hooks
from vgen_jax.inference import sampling
from vgen_jax.runtime import checkpoints
from vgen_jax.runtime import workdir as workdir_lib
from vgen_jax.runtime import writers
from vgen_jax.training import frozen
from vgen_jax.training import loop
from vgen_jax.training import setup as setup_lib
from vgen_jax.training.state import TrainState

pytestmark = pytest.mark.usefixtures('draws_first_states')

ROOT = pathlib.Path(__file__).parents[1]
each_config = pytest.mark.parametrize(
  'path', config_lists.CONFIGS, ids=lambda p: p.stem
)
ONE_DEVICE = {'mesh.data': 1, 'tensorboard': False}
each_traced = pytest.mark.parametrize(
  'path',
  config_lists.marked(lambda name: name in config_lists.LARGE),
  ids=lambda p: p.stem,
)
each_resumed = pytest.mark.parametrize(
  'path',
  config_lists.marked(lambda name: name not in config_lists.RESUMED),
  ids=lambda p: p.stem,
)
# The first state of runs of the command, without the fixture above.
FIRST_STATE = setup_lib.Setup.first_state
# Runs of other networks of a family are killed in the same way, and tests of
# resumed runs load the states of all of them. One of the runs reads videos.
each_killed = pytest.mark.parametrize(
  'path',
  config_lists.marked(
    lambda name: name not in config_lists.KILLED,
    config_lists.representatives(
      config_lists.families, (*config_lists.KILLED, 'fsq_video_folder')
    ),
  ),
  ids=lambda p: p.stem,
)


def leaves(state) -> dict[str, np.ndarray]:
  """Returns all arrays of a state, {path: array}."""
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
  """Returns the smoke size of a config, with data and tokenizer for tests."""
  config = config_lib.load(f'{path}:smoke')
  for part, workdir in config.get('frozen', {}).items():
    name = pathlib.Path(workdir).name
    overrides[f'frozen.{part}'] = trained(name, clips).workdir.name
  config = untrained.with_videos(config, clips)
  return config_lib.replace(config, {**ONE_DEVICE, **overrides})


@dataclasses.dataclass(frozen=True)
class Trained:
  """A finished run, and its last state."""

  workdir: tempfile.TemporaryDirectory
  state: TrainState


@functools.cache
def trained(name: str, clips, drawn: bool = True) -> Trained:
  """Trains the smoke size without interruption; saves after steps 2 and 4.

  Args:
    name: Name of a config.
    clips: Folder of videos.
    drawn: Whether the first state is that of the fixture `draws_first_states`.
  """
  workdir = tempfile.TemporaryDirectory()
  config = smoke(ROOT / f'configs/{name}.py', clips, checkpoint_every=2, keep=2)
  with pytest.MonkeyPatch.context() as patch:
    if not drawn:
      patch.setattr(setup_lib.Setup, 'first_state', FIRST_STATE)
    state = loop.train(config, workdir.name, hooks=hooks.standard())
  return Trained(workdir, state)


def one_device(path, size, clips, folder) -> setup_lib.Setup:
  """Returns the setup of a config without a trained tokenizer."""
  config = untrained.load(path.stem, size, clips, folder)
  return setup_lib.make(
    settings_lib.read(config_lib.replace(config, ONE_DEVICE))
  )


@pytest.mark.parametrize(
  'path',
  [p for p in config_lists.CONFIGS if p.stem in config_lists.LARGE],
  ids=lambda p: p.stem,
)
def test_the_state_can_be_traced(path: pathlib.Path, clips, tmp_path):
  """The model of the smoke size is built and initialized."""
  setup = one_device(path, 'smoke', clips, tmp_path)
  setup_lib.check_batch_size(setup)
  assert setup.state_shapes().params


@each_traced
def test_the_step_can_be_traced(path: pathlib.Path, clips, tmp_path):
  """The step and the sampler of the base size are traced, not computed."""
  setup = one_device(path, 'base', clips, tmp_path)
  setup_lib.check_batch_size(setup)
  # The model uses exactly the keys that it declares.
  batch = {k: x for k, x in setup.batch.items() if k in setup.model.batch_keys}
  state, metrics = jax.eval_shape(
    setup.pure_step(), setup.state_shapes(), batch
  )
  for key in batch.keys() & set(modalities.keys('choice', 'data')):
    fewer = {k: x for k, x in batch.items() if k != key}
    with pytest.raises((KeyError, ValueError), match=key):
      jax.eval_shape(setup.pure_step(), setup.state_shapes(), fewer)
  assert jax.tree.map(np.shape, state) == jax.tree.map(
    np.shape, setup.state_shapes()
  )
  assert any(name.endswith('/loss') for name in metrics)
  sample = sampling.make_sampler(setup.model, 'params', setup.mesh)
  condition = sampling.conditions(setup.model, setup.source, 3)
  video = jax.eval_shape(sample, state, sampling.clip_keys(0, 3), condition)
  assert video.shape == (3, *setup.settings.clip_shape)


@each_resumed
def test_a_resumed_run_equals_an_uninterrupted_one(path, tmp_path, clips):
  """All arrays are equal bit for bit.

  The run has written metrics and clips of its last step, but no checkpoint, as
  if it had been killed in between.
  """
  straight = trained(path.stem, clips)
  workdir = tmp_path / 'resumed'
  shutil.copytree(straight.workdir.name, workdir)
  assert checkpoints.steps(str(workdir)) == [2, 4]
  shutil.rmtree(workdir / 'checkpoints/4')
  resume_and_compare(path, workdir, clips, straight)
  assert list((workdir / 'samples').glob('*.mp4'))


@pytest.mark.parametrize(
  'path',
  config_lists.marked(lambda name: name not in config_lists.CONDITIONED),
  ids=lambda p: p.stem,
)
def test_declared_conditions_have_an_effect(path, clips):
  """After training, a change of each of them changes losses or clips."""
  setup = setup_lib.make(settings_lib.read(smoke(path, clips)))
  state = trained(path.stem, clips).state
  num = setup.settings.num_samples
  assert unused_conditions.of_setup(setup, state, num) == []


def resume_and_compare(path, workdir, clips, straight: Trained):
  """Resumes a run, which must end like the uninterrupted run `straight`.

  It generates no clips, which may not change the result.
  """
  quick = {'checkpoint_every': 1, 'keep': 10, 'sample_every': 0}
  resumed = loop.train(
    smoke(path, clips, **quick), str(workdir), hooks=hooks.standard()
  )
  assert_same(straight.state, resumed)
  lines = writers.read_metrics(str(workdir))  # With lines of evaluations.
  steps = [entry['step'] for entry in lines if 'steps_per_second' in entry]
  assert steps == list(range(1, int(straight.state.step) + 1))
  assert evaluated(str(workdir)) == evaluated(straight.workdir.name)


@each_killed
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(
  path, tmp_path, clips
):
  """All arrays are equal bit for bit after SIGKILL at a random moment.

  The killed run saves after every step, so that it may be killed during a save.
  The resumed run uses the step that the uninterrupted run has compiled.
  """
  straight = trained(path.stem, clips, drawn=False)
  workdir = tmp_path / 'killed'
  overrides = [f'--config.{k}={v}' for k, v in ONE_DEVICE.items()]
  if 'folder' in config_lib.load(f'{path}:smoke').data:
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
    stderr=subprocess.PIPE,
    text=True,
  )
  until = time.monotonic() + 240
  while len(checkpoints.steps(str(workdir))) < 1 and killed.poll() is None:
    assert time.monotonic() < until, 'There is no checkpoint.'
    time.sleep(0.01)
  time.sleep(random.random() * 0.3)
  killed.send_signal(signal.SIGKILL)
  _, errors = killed.communicate()
  done = checkpoints.steps(str(workdir))
  assert done, errors[-2000:]
  last = straight.state.step
  assert done[-1] < last, 'The run ended before it was killed.'
  resume_and_compare(path, workdir, clips, straight)


def evaluated(workdir: str) -> list[dict[str, float]]:
  """Returns the lines of the metrics of a run that evaluations wrote."""
  lines = writers.read_metrics(workdir)
  return [line for line in lines if 'steps_per_second' not in line]


@each_config
def test_workers_do_not_change_batches(path, clips, tmp_path):
  """Digests are equal, also of a run that resumes at batch 2."""
  config = untrained.load(path.stem, 'smoke', clips, tmp_path).to_dict()
  source = build.source(config['data'], config['clip_shape'])
  digests = []
  for num_threads, first in ((0, 0), (3, 0), (1, 2)):
    with pipeline.batches(
      source,
      batch_size=4,
      seed=0,
      first=first,
      reader=pipeline.Reader(num_threads=num_threads),
    ) as batches:
      digests.append(
        [digests_lib.tree(next(batches)) for _ in range(4 - first)]
      )
  assert digests[0] == digests[1]
  assert digests[0][2:] == digests[2]
  assert len(set(digests[0])) == 4


@each_config
def test_a_config_json_is_enough_to_build_the_model(path, tmp_path, clips):
  """The run of the tokenizer is not needed, because its spec is in the file."""
  config = untrained.load(path.stem, 'smoke', clips, tmp_path)
  settings = frozen.with_tokenizer(settings_lib.read(config))
  workdir = tmp_path / 'run'
  workdir_lib.claim(str(workdir), settings)
  again = settings_lib.read(config_lib.load(str(workdir / 'config.json')))
  assert again == settings
  one, two = (
    build.model(x.model, build.source(x.data, x.clip_shape).schema)
    for x in (settings, again)
  )
  assert one == two
