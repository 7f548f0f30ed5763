"""Tests of `vgen report`: from workdirs to one page."""

import json

import numpy as np
import pytest

from vgen_jax.cli import main as cli
from vgen_jax.core.checked import checked_json
from vgen_jax.evaluation.metrics import results


def evaluated(folder, steps=(20,)):
  """Writes files of evaluations; those of run 'a' as earlier versions did."""
  numbers = {'seed': np.array([7])}
  if folder.name != 'a':
    numbers = {'clip': np.array([7]), 'seed': np.array([0])}
  (folder / 'evaluation').mkdir(parents=True)
  for step in steps:
    result = results.Result(
      folder.name,
      str(folder),
      step,
      '2026-11-21',
      metrics={'valid': results.Value(step / 100)},
      clips=f'{step}_clips.npz',
    )
    file = folder / 'evaluation' / f'{step}.json'
    file.write_text(checked_json.to_text(result.to_json()))
    np.savez(
      folder / 'evaluation' / result.clips,
      generated=np.zeros((1, 2, 8, 8, 3), np.uint8),
      real=np.ones((1, 2, 8, 8, 3), np.uint8),
      title=np.array(['up']),
      **numbers,
    )
  line = {'step': 1, 'model/loss': 0.5}
  (folder / 'metrics.jsonl').write_text(json.dumps(line) + '\n')
  return str(folder)


def test_runs_become_one_page(tmp_path, capsys):
  runs = [evaluated(tmp_path / 'a'), evaluated(tmp_path / 'b', (5, 30))]
  out = tmp_path / 'pages' / 'both.html'
  assert cli.main(['report', *runs, f'--out={out}']) == 0
  printed = json.loads(capsys.readouterr().out.splitlines()[-1])['report']
  assert printed == {
    'path': str(out),
    'runs': [{'run': 'a', 'step': 20}, {'run': 'b', 'step': 30}],
  }
  html = out.read_text()
  assert '<title>a, b</title>' in html
  assert html.count('<canvas') == 3  # Real clips are equal: shown once.
  for text in ('0.200', '0.300', 'model/loss', 'clip 7 of seed 0'):
    assert text in html


def test_a_step_can_be_chosen(tmp_path, capsys, monkeypatch):
  monkeypatch.chdir(tmp_path)
  run = evaluated(tmp_path / 'b', (5, 30))
  assert cli.main(['report', run, '--step=5']) == 0
  assert 'Step 5 ' in (tmp_path / 'report.html').read_text()
  assert cli.main(['report', run, '--step=6']) == 1
  assert 'Step 6 of' in capsys.readouterr().err


def test_runs_without_evaluation_tell_what_to_do(tmp_path, capsys):
  (tmp_path / 'bare').mkdir()
  run = evaluated(tmp_path / 'a')
  out = tmp_path / 'page.html'
  for bare in (tmp_path / 'bare', tmp_path / 'nowhere'):
    assert cli.main(['report', run, str(bare), f'--out={out}']) == 1
    printed = capsys.readouterr().err.strip()
    assert f'vgen evaluate --workdir={bare}' in printed
    assert len(printed.splitlines()) == 1
  assert not out.exists()


def test_it_takes_a_run(capsys):
  assert cli.main(['report']) == 1
  assert 'required: RUN' in capsys.readouterr().err


@pytest.mark.parametrize('flag', ['--output=x'])
def test_wrong_flags_are_reported(flag, capsys):
  assert cli.main(['report', 'runs/a', flag]) == 1
  assert "'--out'" in capsys.readouterr().err
