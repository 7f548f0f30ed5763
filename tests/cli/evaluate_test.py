"""Tests of `vgen evaluate`: its line of JSON and its exit status."""

import json
import os
import pathlib
import signal

import pytest

from vgen_jax.cli import main as cli
from vgen_jax.evaluation import output
from vgen_jax.evaluation.metrics import pixels
from vgen_jax.runtime import preemption

pytestmark = pytest.mark.usefixtures('draws_first_states')

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope='module')
def workdir(tmp_path_factory) -> pathlib.Path:
  folder = tmp_path_factory.mktemp('evaluate') / 'run'
  flags = [
    f'--config={ROOT}/configs/convlstm_world.py:smoke',
    f'--workdir={folder}',
    '--config.model.predictor.features=(4,)',
    *('--config.mesh.data=1', '--config.tensorboard=False'),
    *('--config.num_steps=2', '--config.sample_every=0'),
  ]
  assert cli.main(['train', *flags]) == 0
  return folder


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch, tmp_path):
  monkeypatch.setenv('VGEN_WEIGHTS', str(tmp_path))


def evaluate(workdir, *flags) -> int:
  flags = (f'--workdir={workdir}', '--num=6', '--batch_size=4', *flags)
  return cli.main(['evaluate', *flags])


def test_the_last_line_is_json(workdir, capsys):
  options = ('--set', 'evaluation.num_samples=2', 'evaluation.infinity=True')
  assert evaluate(workdir, '--metrics=verifier,prediction', *options) == 0
  lines = capsys.readouterr().out.splitlines()
  assert lines[0].startswith('| metric | value | 95 %')
  summary = json.loads(lines[-1])['evaluate']
  assert summary['step'] == 2
  assert summary['metrics']['psnr_best_of_2'] > 0
  assert summary['metrics']['verifier_frechet_infinity'] is None  # Of 6 clips.
  full = json.loads(pathlib.Path(summary['json']).read_text())
  assert (
    full['metrics']['validity_loose']['value']
    == summary['metrics']['validity_loose']
  )
  assert pathlib.Path(summary['html']).stat().st_size > 1000


def test_missing_weights_fail_only_if_they_were_asked_for(
  workdir, capsys, monkeypatch
):
  monkeypatch.setattr(pixels, '_MAX_TRAIN', 64)  # Clips take long to draw.
  assert evaluate(workdir, '--metrics=fid,flicker', '--json') == 1
  out, err = capsys.readouterr()
  (line,) = out.splitlines()  # Nothing else.
  summary = json.loads(line)['evaluate']
  assert summary['weights_missing'] == ['fid-torch-fidelity']
  assert summary['metrics']['fid-torch-fidelity'] is None
  assert summary['metrics']['steadiness'] > 0  # The others are there.
  for word in ('pt_inception', '95,628,359', 'sha256 6726825d', 'Searched'):
    assert word in err
  full = json.loads(pathlib.Path(summary['json']).read_text())
  value = full['metrics']['fid-torch-fidelity']
  assert (value['value'], value['status']) == (None, 'weights-missing')
  flags = ('--metrics=all', '--json', '--set', 'evaluation.num_samples=2')
  assert evaluate(workdir, *flags) == 0
  summary = json.loads(capsys.readouterr().out)['evaluate']
  assert 'fid-torch-fidelity' in summary['weights_missing']
  assert {'memorized_fraction', 'validity_loose', 'psnr_best_of_2'} <= set(
    summary['metrics']
  )


def test_a_signal_stops_it_and_a_second_call_goes_on(
  workdir, capsys, monkeypatch
):
  calls = []
  asked = lambda self: calls.append(0) or len(calls) > 1
  monkeypatch.setattr(preemption.Preemption, 'should_stop', asked)
  flags = ('--metrics=flicker', '--seed=4')
  assert evaluate(workdir, *flags) == 143
  out, err = capsys.readouterr()
  assert json.loads(out.splitlines()[-1])['evaluate']['stopped']
  assert 'repeat the command to resume' in err
  assert list(workdir.glob('evaluation/2_6clips_*.partial/*/0_4.npz'))
  monkeypatch.undo()
  assert evaluate(workdir, *flags) == 0
  assert not list(workdir.glob('evaluation/*.partial'))


def test_a_late_signal_is_too_late_to_stop_it(workdir, capsys, monkeypatch):
  write = output.write

  def stopped(*args):
    os.kill(os.getpid(), signal.SIGTERM)
    return write(*args)

  flags = ('--metrics=flicker', '--seed=5')
  with monkeypatch.context() as patch:
    patch.setattr(output, 'write', stopped)
    assert evaluate(workdir, *flags) == 0
  first = json.loads(capsys.readouterr().out.splitlines()[-1])['evaluate']
  assert evaluate(workdir, *flags) == 0
  again = json.loads(capsys.readouterr().out.splitlines()[-1])['evaluate']
  assert again == first
  assert not list(workdir.glob('evaluation/*.partial'))


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (
      ['--metrics=verifer'],
      "Unknown metric 'verifer'. Did you mean 'verifier'?",
    ),
    (['--metrics=digits'], 'digits.source.MovingDigits'),
    (['--metrics=reconstruction'], 'this model has no autoencoder'),
    (
      ['--metrics=verifier', '--num=0'],
      'num_clips is 0; it must be at least 1',
    ),
    (['--step=9'], 'step 9'),
    (['--set', 'evaluation.contxt=3'], "Did you mean 'context'?"),
  ],
)
def test_wrong_input_is_reported_in_one_line(workdir, capsys, flags, message):
  assert evaluate(workdir, *flags) == 1
  (line,) = capsys.readouterr().err.strip().splitlines()
  assert message in line


def test_nothing_is_read_before_names_are_known(capsys):
  assert evaluate('nowhere', '--metrics=fdv') == 1
  assert "Did you mean 'fvd'" in capsys.readouterr().err
