"""Tests of `vgen ablate`: divided sweeps, resuming, metrics and tables."""

import json
import os
import pathlib
import signal

import pytest

from vgen_jax.ablation import table
from vgen_jax.cli import ablate
from vgen_jax.cli import main as cli
from vgen_jax.runtime import writers
from vgen_jax.training import loop

ROOT = pathlib.Path(__file__).parents[2]
EXPERIMENT = f"""
from vgen_jax.ablation.sweep import param, product

BASE = '{ROOT}/configs/convlstm_world.py:smoke'
SWEEP = product(
  param('num_steps', 2), param('model.likelihood', 'gaussian'),
  param('seed', 0, 1),
)
ROWS = 'model.likelihood'
VALUE = 'seed_again'


def MEASURE(run):
  return {{'seed_again': float(run.config.seed)}}
"""
QUICK = (
  '--config.model.predictor.features=(4,)',
  '--config.mesh.data=1',
  '--config.tensorboard=False',
  '--config.sample_every=0',
)


@pytest.fixture(autouse=True)
def _keep_logging(monkeypatch):
  monkeypatch.setattr(cli, '_set_up_logging', lambda debug: None)


def run(folder, *flags) -> int:
  file = folder / 'experiment.py'
  file.write_text(EXPERIMENT)
  return cli.main(
    ['ablate', f'--experiment={file}', f'--workdir={folder}', *QUICK, *flags]
  )


def test_two_machines_share_a_sweep(tmp_path, capsys, draws_first_states):
  assert run(tmp_path, '--only=0/2') == 0
  assert 'Not finished' in capsys.readouterr().out
  assert not (tmp_path / 'table.md').exists()
  assert {p.name for p in tmp_path.iterdir() if p.is_dir()} == {'000'}
  assert run(tmp_path, '--only=1/2') == 0
  text = (tmp_path / 'table.md').read_text()
  assert f'| gaussian | {table.mean_and_error([0, 1])} | 2 |' in text
  assert (tmp_path / 'plot.png').stat().st_size > 1000
  ablation = json.loads(capsys.readouterr().out.splitlines()[-1])
  assert ablation['ablation']['table'] == f'{tmp_path}/table.md'

  before = [writers.read_metrics(str(tmp_path / f'00{i}')) for i in range(2)]
  assert run(tmp_path) == 0  # Nothing is trained or measured again.
  after = [writers.read_metrics(str(tmp_path / f'00{i}')) for i in range(2)]
  assert before == after

  marker = tmp_path / '001' / 'measured.json'
  stored = json.loads(marker.read_text())
  stored['identity']['experiment'] = 'older'
  marker.write_text(json.dumps(stored))
  assert run(tmp_path) == 0  # Measured again, and only this run.
  after = [writers.read_metrics(str(tmp_path / f'00{i}')) for i in range(2)]
  assert after == [before[0], [*before[1], before[1][-1]]]


def test_a_run_that_is_interrupted_is_not_measured(
  tmp_path, capsys, monkeypatch
):
  train = loop.train
  monkeypatch.setattr(
    loop,
    'train',
    lambda config, where, **kwargs: train(config, where, stop_at=0, **kwargs),
  )
  assert run(tmp_path) == 0
  assert 'Run 0 stopped at step 0' in capsys.readouterr().out
  assert not list(tmp_path.rglob('measured.json'))
  assert not (tmp_path / '001').exists(), 'The sweep stops there.'


def test_measuring_that_is_stopped_is_repeated_and_logged_once(
  tmp_path, monkeypatch, draws_first_states
):
  """The process may be killed between the log and the marker."""
  with monkeypatch.context() as patch:
    stop = lambda *args: os.kill(os.getpid(), signal.SIGTERM)
    patch.setattr(ablate, '_measure', stop)
    assert run(tmp_path, '--only=0/2') == 143
  assert not list(tmp_path.rglob('measured.json'))
  for _ in range(2):
    assert run(tmp_path, '--only=0/2') == 0
    (tmp_path / '000/measured.json').unlink()
  lines = writers.read_metrics(str(tmp_path / '000'))
  assert ['seed_again' in line for line in lines].count(True) == 1


def test_wrong_input_is_reported(tmp_path, capsys):
  assert run(tmp_path, '--only=2/2') == 1
  assert "--only is '2/2'; write I/N" in capsys.readouterr().err
  assert cli.main(['ablate', '--experiment=x.py', '--workdir=W']) == 1
  assert 'No such file: x.py' in capsys.readouterr().err
  (tmp_path / 'lacks.py').write_text('BASE = 1\n')
  flags = [f'--experiment={tmp_path}/lacks.py', '--workdir=W']
  assert cli.main(['ablate', *flags]) == 1
  assert 'has no SWEEP; it needs' in capsys.readouterr().err
