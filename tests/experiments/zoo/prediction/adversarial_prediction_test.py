"""Tests of adversarial_prediction.py."""

import numpy as np
import pytest

from experiments.zoo.prediction import adversarial_prediction as experiment
from experiments.zoo.prediction import futures_criteria
from experiments.zoo.prediction import stochastic_prediction
from tests.experiments.zoo.prediction import (
  stochastic_prediction_test as ideals,
)
from tests.families.prediction import adversarial_test

WORLD, INDEX = ideals.WORLD, ideals.INDEX[:12]
TRUE = np.array([WORLD.branch(int(i)) for i in INDEX])


@pytest.fixture(scope='module')
def ideal() -> np.ndarray:
  return ideals.samples(np.random.default_rng(1).integers(0, 2, (12, 16)))


@pytest.fixture(scope='module')
def posterior() -> np.ndarray:
  return ideals.samples(np.repeat(TRUE[:, None], 2, 1))


def failed(samples: np.ndarray, posterior: np.ndarray) -> list[str]:
  return experiment.failures(
    experiment.numbers(WORLD, INDEX, samples, posterior)
  )


def test_an_ideal_model_passes(ideal, posterior):
  assert failed(ideal, posterior) == []


def test_predictions_that_cheat_fail(ideal, posterior):
  for name, cheat in futures_criteria.cheats(ideal, WORLD.fork).items():
    assert 'worst tenth' in failed(cheat, posterior), name
  left = experiment.one_sided(WORLD, INDEX, ideal)
  assert {'worst tenth', 'left'} <= set(failed(left, posterior))
  assert 'correlation' in failed(posterior, posterior)
  assert failed(ideal, ideal) == ['posterior']


def test_the_mean_of_both_futures_lacks_contrast(ideal, posterior):
  mean = futures_criteria.cheats(ideal, WORLD.fork)['mean of the predictions']
  assert 'contrast' in failed(mean, posterior)
  assert experiment.contrast(WORLD, INDEX, mean) < 0.8
  assert experiment.contrast(WORLD, INDEX, ideal) == pytest.approx(1, abs=0.05)


def test_a_family_with_critics_becomes_one_with_the_cheat():
  net = adversarial_test.model()
  cheat = stochastic_prediction.as_class(
    stochastic_prediction.PosteriorAtTest, net
  )
  assert cheat.predictor == net.predictor
  assert (cheat.num_context, cheat.error) == (net.num_context, net.error)
