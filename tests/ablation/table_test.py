"""Tests of ablation/table.py against means and errors by hand."""

import numpy as np

from vgen_jax.ablation import table
from vgen_jax.runtime import writers


def _run(name: str, arm: str, seed: int, **metrics: float) -> table.Run:
  return table.Run(name, {'model.x': arm, 'seed': seed}, metrics)


_RUNS = [
  _run('000', 'a', 0, step=10, loss=1.0),
  _run('001', 'a', 1, step=10, loss=2.0),
  _run('002', 'a', 2, step=10, loss=6.0),
  _run('003', 'b|c', 0, step=10, loss=312.56),
]


def test_means_and_standard_errors():
  # The deviation of 1, 2, 6 is sqrt(7); the error of the mean sqrt(7 / 3).
  assert table.markdown(_RUNS, rows='model.x', value='loss') == (
    '| model.x | loss | runs |\n'
    '|---|---|---|\n'
    '| a | 3 ± 1.5 | 3 |\n'
    '| b\\|c | 312.6 | 1 |\n'
  )
  error = table.standard_error([1.0, 2.0, 6.0])
  np.testing.assert_allclose(error, np.sqrt(7 / 3))


def test_several_paths_make_several_columns():
  text = table.markdown(_RUNS[:2], rows=('model.x', 'seed'), value='loss')
  assert text.splitlines()[0] == '| model.x | seed | loss | runs |'
  assert text.splitlines()[2:] == ['| a | 0 | 1 | 1 |', '| a | 1 | 2 | 1 |']


def test_runs_that_are_not_in_the_table_are_listed():
  runs = [
    _RUNS[0],
    _run('001', 'a', 1, step=4, loss=900.0),
    _run('002', 'b', 0),
    _run('003', 'b', 1, step=10, other=1.0),
  ]
  text = table.markdown(runs, rows='model.x', value='loss', num_steps=10)
  assert '| a | 1 | 1 |' in text
  assert '| b | none | 0 |' in text
  assert text.endswith(
    'Not in the table: 001 (step 4 of 10), 002 (not started), 003 (no loss).\n'
  )
  # Without `num_steps`, unfinished runs are included.
  assert '450.5' in table.markdown(runs, rows='model.x', value='loss')


def test_read_run_returns_the_latest_values(tmp_path):
  with writers.Writer(str(tmp_path / '007'), 0, tensorboard=False) as writer:
    writer.write_metrics(5, {'loss': 3.0, 'fvd': 50.0})
    writer.write_metrics(10, {'loss': 2.0})
  run = table.read_run(str(tmp_path / '007'), {'seed': 7})
  assert run.name == '007'
  assert run.metrics == {'step': 10, 'loss': 2.0, 'fvd': 50.0}
  assert table.read_run(str(tmp_path / 'none'), {}).metrics == {}
