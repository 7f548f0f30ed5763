"""Tests of the random keys of families/prediction/holistic.py."""

import jax
import numpy as np

from tests import compiled
from tests.families.prediction import holistic_test as tiny
from vgen_jax.core import random
from vgen_jax.families.prediction import holistic


def test_inferred_attributes_and_latents_have_independent_noise(monkeypatch):
  found = {}

  def recorded(name, function, index):
    def record(*args):
      found[name] = args[index]
      return function(*args)

    return record

  for owner, name, index in (
    (holistic.attributes, 'sample', 2),
    (holistic.latent_roll_out, 'noise', 1),
  ):
    function = recorded(name, getattr(owner, name), index)
    monkeypatch.setattr(owner, name, function)
  net = tiny.model(infer_attributes=True)
  batch = {'video': tiny.clips(), 'label': tiny.LABEL}
  rngs = {'noise': jax.random.key(0)}
  variables = compiled.init(net, rngs | {'params': jax.random.key(0)}, batch)
  # It is not compiled, so that keys are known.
  net.apply(
    variables, batch, player='predictor', train=False, rngs=rngs, method='loss'
  )
  data = lambda key: np.asarray(jax.random.key_data(key))
  latent = data(found['noise'])
  for i in range(len(tiny.model().predictor.sizes)):
    attribute = data(random.fold_in(found['sample'], i))
    assert (attribute != latent).any(axis=-1).all()
  assert (data(found['sample']) != latent).any(axis=-1).all()
