"""Tests of R1 of the critics of tokenizer.py."""

import flax.linen as nn
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
