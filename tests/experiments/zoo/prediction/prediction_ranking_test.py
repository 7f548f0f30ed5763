"""Tests of prediction_ranking.py."""

import numpy as np
import pytest

from experiments.zoo.prediction import futures_criteria
from experiments.zoo.prediction import prediction_ranking as experiment
from tests.experiments.zoo.prediction import (
  stochastic_prediction_test as ideals,
)

WORLD, INDEX = ideals.WORLD, ideals.INDEX


@pytest.fixture(scope='module')
def clips() -> dict[str, np.ndarray]:
  return experiment.references(WORLD, INDEX)


@pytest.fixture(scope='module')
def found(clips) -> dict[str, dict[str, float]]:
  return {name: experiment.scores(WORLD, INDEX, x) for name, x in clips.items()}


def test_only_the_mean_error_prefers_the_mean_of_both_futures(found):
  assert experiment.fooled(found) == ['of the mean error']
  right, mean = found['both futures'], found['mean of both futures']
  assert right['total variation'] < 0.05 < 0.9 < mean['total variation']
  assert right['worst tenth'] == 40 > mean['worst tenth'] + 10
  assert mean['neither'] == 1


def test_a_score_is_fooled_only_if_it_prefers_the_mean(found):
  both, mean = found['both futures'], found['mean of both futures']
  exchanged = {'both futures': mean, 'mean of both futures': both}
  assert set(experiment.fooled(exchanged)) == set(experiment.SCORES) - {
    'of the mean error'
  }


def test_equal_scores_prefer_neither(found):
  both = found['both futures']
  equal = {'both futures': both, 'mean of both futures': both}
  assert experiment.fooled(equal) == []


def test_runs_have_names_and_workdirs():
  assert experiment.named(['a=x', 'b=y=z']) == {'a': 'x', 'b': 'y=z'}
  for wrong in ('a', 'a=', '=x'):
    with pytest.raises(ValueError, match=f"'{wrong}'; it must have the form"):
      experiment.named([wrong])
  with pytest.raises(ValueError, match="the name 'a' twice"):
    experiment.named(['a=x', 'a=y'])


def test_scores_agree_with_those_of_the_criteria(clips):
  """With noise, so that no PSNR reaches the limit."""
  noisy = ideals.samples(np.zeros((len(INDEX), 4), int))
  one = experiment.scores(WORLD, INDEX, noisy)
  other = futures_criteria.numbers(WORLD, INDEX, noisy)
  for name, key in (('left', 'left'), ('neither', 'ambiguous')):
    assert one[name] == other[key]
  assert one['of the mean error'] == pytest.approx(other['mean'], abs=1e-3)
  assert one['mean PSNR'] < one['best of 20']
  assert one['left'] == 1
