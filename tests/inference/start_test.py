"""Tests of inference/start_summary.py and inference/journal.py."""

import json
import logging
import pathlib
import subprocess
import types

import jax
import numpy as np
import pytest

from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.config import shipped
from vgen_jax.inference import journal
from vgen_jax.inference import start_summary
from vgen_jax.training import compilation
from vgen_jax.training import hooks as hooks_lib
from vgen_jax.training import setup as setup_lib

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope='module')
def setup():
  config = config_lib.replace(config_lib.load('demo:smoke'), {'mesh.data': 2})
  return setup_lib.make(settings_lib.read(config))


def run(setup, workdir, first=0) -> hooks_lib.Run:
  return types.SimpleNamespace(
    workdir=str(workdir), setup=setup, first_step=first
  )


def test_the_start_names_devices_and_model(setup, caplog):
  hook = start_summary.LogStart()
  with caplog.at_level(logging.INFO):
    hook.on_setup(setup, 'W')
  devices, model = caplog.messages
  assert devices == (
    f'Devices: 2 x cpu (data 2); {jax.device_count() - 2} more are not used,'
    f' see config.mesh; JAX {jax.__version__}.'
  )
  params = setup.state_shapes().params['denoiser']
  number = sum(np.prod(x.shape) for x in jax.tree.leaves(params)) / 1e6
  assert model == (
    f'Model: Diffusion with {number:.2f} M parameters: denoiser (PatchUNet)'
    f' {number:.2f} M.'
  )


def test_the_next_commands_fit_the_model(setup):
  sample, evaluate = start_summary.next_commands('W', ('generate',))
  assert sample == 'vgen sample --workdir=W --num=16'
  assert evaluate == 'vgen evaluate --workdir=W'
  assert start_summary.next_commands('W', ('reconstruct',)) == [evaluate]


def test_a_step_that_does_not_fit_is_refused():
  compilation.check_memory(10, 10)
  compilation.check_memory(10, None)
  message = r'needs 135\.0 GB on each device, which has 23\.0 GB'
  with pytest.raises(compilation.DoesNotFitError, match=message):
    compilation.check_memory(int(135e9), int(23e9))


def test_the_limit_of_cpu_devices_is_their_part_of_the_machine(monkeypatch):
  num = jax.local_device_count()
  monkeypatch.setattr(compilation, '_physical', lambda: 8 * 10**9)
  monkeypatch.setattr(compilation, '_of_cgroup', lambda path: None)
  assert compilation.memory_limit(jax.devices()[0]) == 8 * 10**9 // num
  monkeypatch.setattr(compilation, '_of_cgroup', lambda path: 4 * 10**9)
  assert compilation.memory_limit(jax.devices()[0]) == 4 * 10**9 // num


def test_limits_of_containers_are_read(tmp_path):
  file = tmp_path / 'memory.max'
  for text, limit in (('max\n', None), ('123\n', 123), ('', None)):
    file.write_text(text)
    assert compilation._of_cgroup(str(file)) == limit
  assert compilation._of_cgroup(str(tmp_path / 'none')) is None


@pytest.mark.parametrize('folder', [None, 'programs'])
def test_a_cache_of_programs_is_suggested_unless_there_is_one(folder):
  before = jax.config.values['jax_compilation_cache_dir']
  try:
    jax.config.update('jax_compilation_cache_dir', folder)
    hint = compilation._cache_hint()
  finally:
    jax.config.update('jax_compilation_cache_dir', before)
  assert ('JAX_COMPILATION_CACHE_DIR' in hint) == (folder is None)


def test_sizes_without_an_accelerator_are_offered():
  file = shipped.configs()['convlstm_world']
  assert shipped.describe_size(f'{file}') == (True, 'Sizes for a CPU: cpu.')
  assert not shipped.describe_size(f'{file}:cpu')[0]
  needs, others = shipped.describe_size(
    f'{shipped.configs()["convlstm_digits"]}'
  )
  assert needs
  assert 'convlstm_world:cpu' in others
  assert 'demo:base' in others


def test_each_process_of_a_run_is_recorded(setup, tmp_path):
  logger = logging.getLogger('vgen_jax')
  for first, error in ((0, None), (3, 'ZeroDivisionError')):
    hook = journal.Journal()
    hook.on_setup(setup, str(tmp_path))
    if not first:
      assert not list(tmp_path.iterdir()), 'Nothing is written before.'
    logger.warning('before %d', first)
    hook.on_start(run(setup, tmp_path, first), None)
    logger.warning('after %d', first)
    hook.on_step(first + 2, None, last=False, stopping=False)
    if error:
      with pytest.raises(ZeroDivisionError):  # noqa: PT012
        try:
          _ = 1 / 0
        finally:
          hook.close()
    else:
      hook.close()
    logger.warning('later %d', first)
  entries = [
    json.loads(line)
    for line in (tmp_path / journal.STARTS).read_text().splitlines()
  ]
  assert [(x['event'], x['step'], x.get('error')) for x in entries] == [
    ('start', 0, None), ('end', 2, None),
    ('start', 3, None), ('end', 5, 'ZeroDivisionError'),
  ]  # fmt: skip
  start = entries[0]
  assert start['versions']['jax'] == jax.__version__
  assert start['devices'] == '2 x cpu'
  assert start['command']
  assert start['time'][:2] == '20'
  text = (tmp_path / journal.LOG).read_text()
  words = [line.split()[-2:] for line in text.splitlines()]
  assert words == [
    ['before', '0'], ['after', '0'], ['before', '3'], ['after', '3'],
  ]  # fmt: skip
  assert not [h for h in logger.handlers if isinstance(h, journal._LogFile)]


def test_a_run_that_fails_early_leaves_one_handler_at_most(setup, tmp_path):
  logger = logging.getLogger('vgen_jax')
  for _ in range(3):
    hook = journal.Journal()
    hook.on_setup(setup, str(tmp_path))
  handlers = [h for h in logger.handlers if isinstance(h, journal._LogFile)]
  assert len(handlers) == 1
  hook.close()
  assert not list(tmp_path.iterdir())


def test_the_commit_of_the_code_is_that_of_its_repository(tmp_path):
  def git(*words: str) -> str:
    command = ['git', '-C', str(tmp_path), '-c', 'user.name=a', '-c']
    done = subprocess.run(
      [*command, 'user.email=b', *words],
      check=True,
      capture_output=True,
      text=True,
    )
    return done.stdout.strip()

  assert journal.git_commit(tmp_path) is None
  git('init')
  (tmp_path / 'a.py').write_text('a')
  git('add', '.')
  git('commit', '-m', 'a')
  commit = git('rev-parse', 'HEAD')
  assert journal.git_commit(tmp_path) == commit
  (tmp_path / 'a.py').write_text('b')
  assert journal.git_commit(tmp_path) == f'{commit}-dirty'
  (tmp_path / 'venv').mkdir()  # Not in the repository.
  (tmp_path / 'venv/b.py').write_text('b')
  assert journal.git_commit(tmp_path / 'venv') is None
