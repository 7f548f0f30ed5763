"""Tests of stochastic_prediction.py and futures_criteria.py."""

import functools
import types

import jax
import numpy as np
import pytest

from experiments.zoo.prediction import futures_criteria
from experiments.zoo.prediction import stochastic_prediction as experiment
from tests import compiled
from tests.families.prediction import stochastic_test
from vgen_jax.synthetic.two_futures import source

WORLD = source.TwoFutures((8, 16, 16, 3), 'validation')
INDEX = np.arange(40)
RIGHT = futures_criteria.Latents(
  np.array([0.01, 0.02, 0.9, 0.01, 0.0, 0.01, 0.0]),
  np.full(7, 1.5),
  np.array([1, 1, 2, 1, 1, 1, 1]),
)
SWAPPED = {'worst': 15.0}


@functools.cache
def futures() -> np.ndarray:
  """Returns both futures of each index."""
  return np.array([[WORLD.future(int(i), k) for k in (0, 1)] for i in INDEX])


def samples(branch_bn: np.ndarray) -> np.ndarray:
  """Returns clips that show these futures, with a little noise.

  They are those of the first indices, as many as there are rows.
  """
  index_b = np.arange(len(branch_bn))
  videos = futures()[index_b[:, None], np.int32(branch_bn)]
  noise = np.random.default_rng(0).integers(-3, 4, videos.shape)
  return np.clip(videos + noise, 0, 255).astype(np.uint8)


def numbers(sample_bnthwc) -> dict[str, float]:
  return futures_criteria.numbers(WORLD, INDEX, sample_bnthwc)


def failures(found, latents=RIGHT, swapped=None) -> list[str]:
  return futures_criteria.failures(
    found, swapped or SWAPPED, latents, WORLD.fork
  )


def failed(sample_bnthwc) -> list[str]:
  return failures(numbers(sample_bnthwc))


@pytest.fixture(scope='module')
def ideal() -> np.ndarray:
  return samples(np.random.default_rng(1).integers(0, 2, (len(INDEX), 20)))


@pytest.fixture(scope='module')
def found(ideal) -> dict[str, float]:
  """The numbers of an ideal model."""
  return numbers(ideal)


def test_the_dataset_of_a_run():
  model = types.SimpleNamespace(num_context=2)
  run = types.SimpleNamespace(
    workdir='runs/x',
    model=model,
    source=source.TwoFutures((8, 16, 16, 3), fork=2),
    schema=WORLD.schema,
  )
  found = futures_criteria.dataset(run)
  assert (found.clip_shape, found.fork) == ((8, 16, 16, 3), 2)
  wrong = types.SimpleNamespace(**vars(run) | {'model': object()})
  with pytest.raises(ValueError, match='runs/x is a run of object with clips'):
    futures_criteria.dataset(wrong)
  wrong = types.SimpleNamespace(**vars(run) | {'source': object()})
  with pytest.raises(ValueError, match='of object; this experiment needs'):
    futures_criteria.dataset(wrong)


def test_an_ideal_model_passes(found):
  assert failures(found) == []


def test_predictions_that_cheat_fail(ideal):
  for name, cheat in futures_criteria.cheats(ideal, WORLD.fork).items():
    assert 'worst tenth' in failed(cheat), name


def test_the_mean_of_both_futures_has_the_smallest_mean_error(ideal, found):
  """The mean PSNR is therefore not a criterion."""
  blurred = futures_criteria.cheats(ideal, WORLD.fork)[
    'mean of the predictions'
  ]
  one, other = found, numbers(blurred)
  assert other['mean'] > one['mean'] + 2
  assert other['worst'] < one['worst'] - 10
  assert other['diversity'] == 0 < one['diversity']


def test_one_sided_and_leaking_predictions_fail():
  rng = np.random.default_rng(2)
  left = rng.random((len(INDEX), 20)) < 0.25
  assert failed(samples(left)) == ['left']
  true_b = np.array([WORLD.branch(int(i)) for i in INDEX])
  leaks = np.repeat(true_b[:, None], 20, 1)
  assert 'correlation' in failed(samples(leaks))
  # This holds also if the truth is known in only half of the predictions.
  half = np.where(rng.random(leaks.shape) < 0.5, leaks, 1 - leaks[::-1])
  mixed = np.where(rng.random(leaks.shape) < 0.7, leaks, half)
  assert 'correlation' in failed(samples(mixed))


def test_latents_that_hold_nothing_or_too_much_fail(found):
  flat = RIGHT._replace(kl_t=np.full(7, 0.9))
  late = RIGHT._replace(kl_t=np.roll(RIGHT.kl_t, 1))
  narrow = RIGHT._replace(deviation_t=np.array([1, 2, 1, 1, 1, 1, 1]))
  weak = RIGHT._replace(kl_t=0.5 * RIGHT.kl_t)
  for latents in (flat, late, narrow, weak, None):
    assert failures(found, latents) == ['divergence'], latents


def test_a_fixed_prior_passed_off_as_learned_fails(found):
  assert failures(found, swapped=found) == ['prior']


def test_the_cheat_with_the_posterior_reads_the_future():
  net = stochastic_test.model()
  cheat = experiment.as_class(experiment.PosteriorAtTest, net)
  assert cheat.predictor == net.predictor
  video = stochastic_test.clips()
  keys = stochastic_test.KEY_B
  rngs = {'params': jax.random.key(0), 'noise': jax.random.key(1)}
  variables = compiled.init(net, rngs, {'video': video})
  sampler = lambda x: compiled.jit(
    lambda video: x.apply(
      variables, keys, {'known_video': video}, method='sample_unclipped'
    )
  )
  other = np.array(video)
  other[:, 3] += 0.5
  sample = sampler(net)
  np.testing.assert_array_equal(sample(video), sample(other))
  sample = sampler(cheat)
  assert np.abs(sample(video) - sample(other))[:, 3].max() > 0.1
