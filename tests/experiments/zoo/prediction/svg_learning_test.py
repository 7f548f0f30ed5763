"""Two trainings of SVG, with and without latents, on clips with two futures."""

import pathlib
import sys

import pytest

from experiments.zoo.prediction import stochastic_prediction
from vgen_jax.config import loading as config_lib
from vgen_jax.inference import hooks
from vgen_jax.training import loop

CONFIG = pathlib.Path(__file__).parents[4] / 'configs/svg_two_futures.py'
WRONG = {  # What must fail, besides other criteria.
  'latents from N(0, 1)': 'prior',
  'mean of the prior': 'worst tenth',
  'posterior of the truth': 'correlation',
  'last known frame': 'worst tenth',
  'dynamic texture': 'worst tenth',
  'mean of the predictions': 'worst tenth',
  'first prediction, 20 times': 'worst tenth',
  'the control': 'divergence',
}


def train(workdir: pathlib.Path, overrides: dict[str, object]) -> None:
  config = config_lib.load(f'{CONFIG}:small')
  overrides = {'sample_every': 0, 'tensorboard': False, **overrides}
  loop.train(
    config_lib.replace(config, {'mesh.data': 1, **overrides}),
    str(workdir),
    hooks=hooks.standard(),
  )


@pytest.mark.slow
def test_svg_meets_all_criteria_and_wrong_predictions_do_not(
  tmp_path, optimizes, monkeypatch, capsys
):
  train(tmp_path / 'svg', {})
  control = {'model.predictor.latent_width': 0, 'num_steps': 500}
  train(tmp_path / 'control', control)
  capsys.readouterr()
  flags = [f'--workdir={tmp_path / "svg"}', f'--control={tmp_path / "control"}']
  monkeypatch.setattr(sys, 'argv', ['stochastic_prediction', *flags])
  stochastic_prediction.main()
  rows = [line.split('|') for line in capsys.readouterr().out.splitlines()]
  failed = {row[1].strip(): row[-2].strip() for row in rows if len(row) > 2}
  assert failed.pop('the model') == 'nothing', rows
  assert WRONG.keys() <= failed.keys()
  for name, criterion in WRONG.items():
    assert criterion in failed[name], (name, rows)
