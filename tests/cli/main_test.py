"""Tests of the command line: errors are reported in one line."""

import io
import json
import logging
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
import tqdm

import vgen_jax
from vgen_jax.cli import main as cli
from vgen_jax.core.processes import locks
from vgen_jax.inference import runs
from vgen_jax.inference import sampling
from vgen_jax.runtime import writers

pytestmark = pytest.mark.usefixtures('draws_first_states')

ROOT = pathlib.Path(__file__).parents[2]
SMOKE = f'--config={ROOT}/configs/dcgan_world.py:smoke'
QUICK = (
  '--config.mesh.data=1',
  '--config.data.label=direction',
  '--config.model.penalty_kind=none',
  '--config.tensorboard=False',
  '--config.num_steps=2',
  '--config.sample_every=0',
)


@pytest.fixture(scope='module')
def workdir(tmp_path_factory) -> pathlib.Path:
  folder = tmp_path_factory.mktemp('cli') / 'run'
  assert cli.main(['train', SMOKE, f'--workdir={folder}', *QUICK]) == 0
  return folder


def test_train_then_sample(workdir, capsys, tmp_path):
  out = f'--out={tmp_path}'
  flags = [f'--workdir={workdir}', '--num=3', '--label=up', out, '--real']
  assert cli.main(['sample', *flags, '--set', 'model.loss_kind=hinge']) == 0
  printed = json.loads(capsys.readouterr().out.splitlines()[-1])['sample']
  assert printed['step'] == 2
  for kind in ('mp4', 'gif', 'png', 'real_mp4', 'real_gif', 'real_png'):
    assert pathlib.Path(printed[kind]).stat().st_size > 100


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (['--out=FILE/x'], 'FILE'),
    (['--out=FILE'], 'FILE'),
    (['--out=FOLDER', '--real'], 'no data today'),
  ],
)
def test_what_fails_after_sampling_is_tried_before(
  workdir, capsys, tmp_path, monkeypatch, flags, message
):
  def no_data(run):
    raise ValueError('no data today')

  monkeypatch.setattr(runs.Run, 'source', property(no_data))
  monkeypatch.setattr(runs.Run, 'sample', lambda *args, **kwargs: 1 / 0)
  (tmp_path / 'FILE').write_text('')
  monkeypatch.chdir(tmp_path)
  assert cli.main(['sample', f'--workdir={workdir}', *flags]) == 1
  [line] = capsys.readouterr().err.splitlines()
  assert message in line
  assert 'ZeroDivision' not in line


def test_other_samples_are_written_beside_each_other(workdir, capsys):
  found = []
  for flags in (['--num=3'], ['--num=2'], ['--seed=1'], ['--label=up']):
    flags = ['--num=3', *flags]
    assert cli.main(['sample', f'--workdir={workdir}', *flags]) == 0
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])['sample']
    found.append(pathlib.Path(printed['mp4']))
  assert len(set(found)) == 4
  made = json.loads(found[-1].with_suffix('.json').read_text())
  assert made == {'step': 2, 'seed': 0, 'num': 3, 'label': 'up', 'set': {}}


def test_sampling_that_is_stopped_writes_nothing(
  workdir, capsys, tmp_path, monkeypatch
):
  def stopped(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGTERM)

  monkeypatch.setattr(sampling, 'generate', stopped)
  out = tmp_path / 'out'
  assert cli.main(['sample', f'--workdir={workdir}', f'--out={out}']) == 143
  assert not list(out.iterdir())
  assert 'stopped by SIGTERM' in capsys.readouterr().err


def test_sampling_that_is_stopped_late_can_be_repeated(
  workdir, capsys, tmp_path, monkeypatch
):
  real = writers.save_clips

  def stopped(*args):
    real(*args)
    os.kill(os.getpid(), signal.SIGTERM)

  clips = np.zeros((2, 4, 16, 16, 3), np.uint8)
  monkeypatch.setattr(runs.Run, 'sample', lambda *args, **kwargs: clips)
  argv = ['sample', f'--workdir={workdir}', f'--out={tmp_path}', '--num=2']
  with monkeypatch.context() as patch:
    patch.setattr(writers, 'save_clips', stopped)
    assert cli.main(argv) == 143
  assert cli.main(argv) == 0
  names = {path.suffix for path in tmp_path.iterdir()}
  assert names == {'.mp4', '.gif', '.png', '.json'}


def test_a_second_run_is_refused_before_it_writes(workdir, capsys):
  before = sorted((p, p.stat().st_mtime_ns) for p in workdir.rglob('*.*'))
  with locks.held(workdir):
    assert cli.main(['train', f'--workdir={workdir}']) == 1
    (workdir / locks.NAME).stat()
  assert f'in use by process {os.getpid()}' in capsys.readouterr().err
  assert before == sorted(
    (p, p.stat().st_mtime_ns) for p in workdir.rglob('*.*')
  )


def test_a_workdir_alone_goes_on(workdir, capsys):
  before = (workdir / 'metrics.jsonl').read_text()
  assert cli.main(['train', f'--workdir={workdir}']) == 0
  assert (workdir / 'metrics.jsonl').read_text() == before


def test_messages_do_not_collide_with_a_progress_bar():
  stream = io.StringIO()
  handler = cli._Handler(stream)
  record = logging.makeLogRecord({'msg': 'a message', 'levelno': 20})
  with tqdm.tqdm(total=3, file=stream, mininterval=0) as bar:
    bar.update()
    handler.emit(record)
  text = stream.getvalue()
  before, after = text.split('a message')
  assert before.endswith('\r'), 'The bar was not removed before the message.'
  assert after.startswith('\n')


def test_version_and_help(capsys):
  assert cli.main(['--version']) == 0
  assert capsys.readouterr().out == f'vgen_jax {vgen_jax.__version__}\n'
  assert cli.main(['help']) == 0
  assert '  train ' in capsys.readouterr().out
  assert cli.main([]) == 2


def test_help_shows_defaults(capsys):
  assert cli.main(['sample', '--help']) == 0
  text = ' '.join(capsys.readouterr().out.split())
  assert 'Number of clips to generate. (default: 16)' in text
  assert text.count('(default: None)') == text.count('(default: False)') == 0


def test_the_package_runs_as_a_module():
  done = subprocess.run(
    [sys.executable, '-m', 'vgen_jax', '--version'],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout.startswith('vgen_jax ')


@pytest.mark.parametrize(
  ('argv', 'message'),
  [
    (['train', '--wrokdir=x'], "Did you mean '--workdir'?"),
    (['trian'], "vgen trian: Unknown command 'trian'. Did you mean 'train'?"),
    (['train', SMOKE], 'the following arguments are required: --workdir'),
    (['train', '--wrokdir=x', '--workdir=y'], "Did you mean '--workdir'?"),
    (['train', '--workdir=nowhere'], 'nowhere contains no run to resume'),
    (
      ['train', SMOKE, '--workdir=W', '--config.optim.nmae=sgd'],
      "'nmae'. Did you mean 'name'?",
    ),
    (
      ['train', SMOKE, '--workdir=W', '--config.bacth_size=4'],
      "config has no field 'bacth_size'. Did you mean 'batch_size'?",
    ),
    (
      ['train', SMOKE + 'r', '--workdir=W'],
      "is 'smoker'; it must be one of 'base', ",
    ),
    (
      ['train', '--config=configs/mocogan_wrld.py', '--workdir=W'],
      "Did you mean 'mocogan_world.py'?",
    ),
    (
      ['train', SMOKE, '--workdir=W', '--config.batch_size=7', *QUICK[1:]],
      'config.batch_size is 7; it must be a multiple of the 8 devices',
    ),
    (['train', SMOKE, '--workdir=W', '--profile=3'], 'write FIRST,LAST'),
    (['sample', '--workdir=W'], 'W has no run (no config.json)'),
    (
      ['train', SMOKE, '--workdir=W', '--coordinator=h:1'],
      'it requires --num_processes and --process_id',
    ),
  ],
)
def test_errors_are_one_line(argv, message, capsys, tmp_path, monkeypatch):
  if not any('configs/mocogan_wrld' in word for word in argv):
    monkeypatch.chdir(tmp_path)
  assert cli.main(argv) == 1
  printed = capsys.readouterr().err.strip()
  assert message in printed
  assert len(printed.splitlines()) == 1
  assert 'Traceback' not in printed


def test_debug_shows_the_traceback():
  with pytest.raises(ValueError, match='has no run'):
    cli.main(['sample', '--workdir=W', '--debug'])
