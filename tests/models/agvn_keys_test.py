"""Tests of the random keys of models/agvn.py."""

import jax
import numpy as np

from tests.models import agvn_test as tiny
from vgen_jax.core import random


def test_noise_and_masks_have_keys_of_their_own(monkeypatch):
  keys = [np.asarray(jax.random.key_data(tiny.KEYS))]
  network = tiny.generator(open_rate=0.5)
  condition = {'known_video': tiny.FIRST}
  variables = tiny.init(network, condition)

  def recorded(function):
    def record(key, *args, **kwargs):
      keys.append(np.asarray(jax.random.key_data(key)))
      return function(key, *args, **kwargs)

    return record

  for name in ('normal', 'uniform'):
    monkeypatch.setattr(random, name, recorded(getattr(random, name)))
  # It is not compiled, so that keys are known.
  network.apply(variables, tiny.KEYS, condition, train=True)
  assert len(keys) == 3  # Of the clips, the noise of motion and the masks.
  for i, key in enumerate(keys):
    for other in keys[:i]:
      assert (key != other).any(axis=-1).all()
