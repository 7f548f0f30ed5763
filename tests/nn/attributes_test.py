"""Tests of nn/attributes.py; models/videovae_test.py tests its inference."""

import jax
import jax.numpy as jnp
import numpy as np

from tests import compiled
from vgen_jax.core import random
from vgen_jax.nn import attributes
from vgen_jax.synthetic.world import source as world_lib


def labels(label_b, sizes):
  value_bn = attributes.values(label_b, sizes)
  return value_bn, attributes.one_hot(value_bn[:, None], sizes)


def test_labels_enumerate_attributes_as_the_dataset_does():
  world = world_lib.World(
    (4, 16, 16, 3), label=('color', 'direction'), num_clips=40
  )
  kept = world.factors_kept
  sizes = len(kept['color']), len(kept['direction'])
  label_b = np.array([world[i]['label'] for i in range(40)])
  value_bn, one_hot = compiled.call(labels, label_b, sizes)
  expected = [
    [kept[name].index(world.factors(i)[name]) for name in world.label]
    for i in range(40)
  ]
  np.testing.assert_array_equal(value_bn, expected)
  assert one_hot.shape == (40, 1, 14)
  np.testing.assert_array_equal(one_hot.sum(-1), np.full((40, 1), 2))


def test_samples_have_the_distribution_of_the_given_frame():
  num = 2000
  probability_tk = np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]])
  logit_btk = np.log(np.broadcast_to(probability_tk, (num, 2, 3)))

  def sample(logit_btk):
    key_b = random.keys(jax.random.key(0), jnp.arange(num))
    logits = [logit_btk, logit_btk[..., :2]]
    return attributes.sample(logits, jnp.arange(num) % 2, key_b)

  value_bn = compiled.call(sample, logit_btk)
  assert value_bn.shape == (num, 2)
  for frame in (0, 1):
    count_k = np.bincount(value_bn[frame::2, 0], minlength=3)
    np.testing.assert_allclose(
      count_k / (num / 2), probability_tk[frame], atol=0.05
    )
  # Attributes of a clip are independent of each other.
  both = (value_bn[::2] == 0).astype(float)
  np.testing.assert_allclose(
    both.prod(1).mean(), both[:, 0].mean() * both[:, 1].mean(), atol=0.05
  )
