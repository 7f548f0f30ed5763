"""Tests of faults that families/prediction/stochastic.py finds."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.families.prediction import stochastic_test as tiny
from vgen_jax.families.prediction import known_frames


class Gray(tiny.Adder):
  """A faulty network, which returns twice as many channels."""

  def __call__(self, carry, frame_bhwc, inputs, **kwargs):
    carry, prediction = super().__call__(carry, frame_bhwc, inputs, **kwargs)
    wrong = jnp.repeat(prediction.frame_bhwc, 2, axis=-1)
    return carry, prediction._replace(frame_bhwc=wrong)


class GrayParallel(tiny.Parallel):
  """The same fault in the method `predict_all`."""

  def predict_all(self, *args, **kwargs):
    found = super().predict_all(*args, **kwargs)
    wrong = jnp.repeat(found.frame_bhwc, 2, axis=-1)
    return found._replace(frame_bhwc=wrong)


@pytest.mark.parametrize(
  'adder', [Gray(tiny.SHAPE, 1), GrayParallel(tiny.SHAPE, 1)]
)
def test_frames_of_a_wrong_shape_are_an_error(adder):
  with pytest.raises(ValueError, match=r'model\.predictor: .*returned shape'):
    tiny.applied(tiny.model(adder=adder), {'video': tiny.clips()})


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    (dict(error='l3'), "'l3'; it must be one of"),
    (dict(latents='posterior'), "'posterior'; it must be one of"),
    (dict(num_context=0), 'num_context is 0'),
    (dict(num_context=6), 'num_context is 6'),
    (dict(beta=-1.0), 'beta is -1.0'),
    (dict(scheduled_sampling=-1.0), 'scheduled_sampling is -1.0'),
  ],
)
def test_wrong_fields(fields, message):
  with pytest.raises(ValueError, match=message):
    tiny.model(**fields)


def test_known_frames_are_required():
  sample = tiny.sampler(tiny.model())
  with pytest.raises(ValueError, match='needs the first frames'):
    sample(tiny.KEY_B, {})
  with pytest.raises(ValueError, match='known_video has 1 frame; a prediction'):
    sample(tiny.KEY_B, {'known_video': tiny.clips()[:, :1]})


def test_the_first_frame_is_always_known():
  video = tiny.clips()
  condition = {
    'known_video': video,
    'known': jnp.zeros((3, 6, 2, 2, 1), bool),
  }
  _, known_bt = known_frames.split(condition, 2)
  np.testing.assert_array_equal(known_bt, [[True] + [False] * 5] * 3)
