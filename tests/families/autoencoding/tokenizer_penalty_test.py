"""Tests of penalties on the critics of tokenizer.py: R1 and LeCam."""

import flax.linen as nn
import numpy as np
import pytest

from tests.families import tiny_autoencoder as tiny


class Doubled(nn.Module):
  """A critic whose slope is twice as large in training, as with dropout."""

  @nn.compact
  def __call__(self, video_bthwc, condition, key_b, *, train):
    slope = self.param('slope', nn.initializers.constant(2.0), ())
    logit_b1 = video_bthwc.mean(axis=(1, 2, 3, 4))[:, None]
    return (1 + train) * slope * logit_b1


def test_the_penalty_is_that_of_the_critic_in_the_loss():
  model = tiny.make(critic={'clip': Doubled()}, r1_weight=3.0)
  found = [
    tiny.run(model, tiny.BATCH, 'critic_clip', train=train)[1]['r1']
    for train in (False, True)
  ]
  # Half the squared gradient by two pixels, each of slope / 2.
  assert found == [pytest.approx(1), pytest.approx(4)]


def test_penalties_on_critics():
  model = tiny.make(critic={'clip': tiny.Slope()}, r1_weight=3.0)
  plain = tiny.run(
    tiny.make(critic={'clip': tiny.Slope()}),
    tiny.BATCH,
    'critic_clip',
  )[0]
  loss, terms, grads, _ = tiny.run(model, tiny.BATCH, 'critic_clip')
  # The logit's gradient by each of two pixels is 1; half its square is 1.
  assert terms['r1'] == pytest.approx(1)
  assert loss - plain == pytest.approx(3, rel=1e-5)
  # Of (slope^2 / 4), the derivative by slope 2 is 1.
  assert grads['critic_clip']['slope'] == pytest.approx(0.1 + 3, rel=1e-4)


def test_lecam_by_hand():
  model = tiny.make(critic={'clip': tiny.Slope()}, lecam_weight=0.5)
  stats = {
    'lecam': {'critic_clip': {'logits': np.array([1.2, 0.6])}},
    'latent_moments': tiny.run(model, tiny.BATCH)[3]['latent_moments'],
  }
  loss, terms, _, changed = tiny.run(
    model, tiny.BATCH, 'critic_clip', stats=stats
  )
  # Real: 1.6 and .8 from .6; reconstructed: .8 and .4 from 1.2.
  expected = (1 + 0.04) / 2 + (0.16 + 0.64) / 2
  assert terms['lecam'] == pytest.approx(expected, rel=1e-5)
  assert loss == pytest.approx(1.7 + 0.5 * expected, rel=1e-5)
  means = changed['lecam']['critic_clip']['logits']
  np.testing.assert_allclose(means, [1.2, 0.6], rtol=1e-6)
  first = tiny.run(model, tiny.BATCH, 'critic_clip')[3]['lecam']['critic_clip'][
    'logits'
  ]
  np.testing.assert_allclose(first, [0.012, 0.006], rtol=1e-4)
  unchanged = tiny.run(model, tiny.BATCH, 'critic_clip', train=False)[3]
  assert not unchanged['lecam']['critic_clip']['logits'].any()
