"""Tests of faults that families/prediction/holistic.py finds."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.families.prediction import holistic_test as tiny


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    (dict(num_context=6), 'num_context is 6'),
    (dict(num_context=-1), 'num_context is -1'),
    (dict(attribute_weight=-1.0), 'attribute_weight is -1.0'),
    (dict(beta=-1.0), 'beta is -1.0'),
    (dict(error='l3'), "error is 'l3'"),
  ],
)
def test_wrong_fields(fields, message):
  with pytest.raises(ValueError, match=message):
    tiny.model(**fields)


def test_wrong_conditions():
  net = tiny.model()
  with pytest.raises(ValueError, match=r'value_btn has shape \(4, 5, 2\)'):
    tiny.sample(net, {'known_video': tiny.clips()}, np.zeros((4, 5, 2), int))
  with pytest.raises(ValueError, match=r'value_btn has shape \(4, 6, 3\)'):
    tiny.sample(net, {}, np.zeros((4, 6, 3), int))
  with pytest.raises(ValueError, match="no 'known_video'"):
    tiny.sample(net, {'known': jnp.ones((4, *tiny.SHAPE), bool)})
  with pytest.raises(ValueError, match='text'):
    tiny.sample(net, {'text': tiny.LABEL})
