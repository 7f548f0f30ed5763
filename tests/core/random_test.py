"""Tests of core/random.py: different seeds give different numbers."""

import itertools

import jax
import numpy as np
import pytest

from vgen_jax.config import sections
from vgen_jax.core import random
from vgen_jax.inference import sampling

# JAX alone gives the key of 0, or of 2**32 - 1, for all of these.
OUT_OF_RANGE = (2**32, 2**33, -1, 2**63 - 1, 2**64)


def test_different_seeds_have_different_keys():
  seeds = (0, 1, 2**31 - 1, 2**31, 2**32 - 1)
  keys = [np.asarray(jax.random.key_data(random.of_seed(s))) for s in seeds]
  for one, two in itertools.combinations(keys, 2):
    assert (one != two).any()


@pytest.mark.parametrize('seed', OUT_OF_RANGE)
def test_seeds_that_would_repeat_others_are_refused(seed):
  message = f'seed is {seed}; it must be from 0 to 4294967295'
  with pytest.raises(ValueError, match=message):
    random.of_seed(seed)
  with pytest.raises(ValueError, match=message):
    sampling.clip_keys(seed, 2)
  with pytest.raises(ValueError, match=f'config.evaluation.{message}'):
    sections.Evaluation(seed=seed)
