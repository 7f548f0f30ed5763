"""Tests of models/vid2vid_critic.py."""

import jax
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.models import vid2vid_critic
from vgen_jax.nn import optical_flow

B, SHAPE, K = 2, (6, 16, 16, 3), 4
KEY = jax.random.key(0)
KEY_B = arrays.keys(B)
VIDEO = arrays.uniform((B, *SHAPE), low=-1)
LAYOUT = arrays.integers((B, *SHAPE[:3]), K)
FLOW = arrays.put(3 * arrays.normal((B, *SHAPE[:3], 2)), np.s_[:, 0], 0)
CONDITION = {'layout': LAYOUT, 'flow': FLOW}


def critic(**fields):
  net = vid2vid_critic.Critic(num_segments=K, width=4, **fields)
  variables = compiled.init(net, KEY, VIDEO, CONDITION, KEY_B, train=False)
  return compiled.jit(
    lambda video, condition: net.apply(
      variables, video, condition, KEY_B, train=False
    )
  )


def changed(logits_of, video=VIDEO, **condition):
  """Returns which sequences have other logits, for each rate and scale."""
  one = logits_of(VIDEO, CONDITION)
  other = logits_of(video, CONDITION | condition)
  return [
    np.flatnonzero((a != b).any(axis=(0, 2, 3))).tolist()
    for a, b in zip(one, other, strict=True)
  ]


def test_logits_of_a_frame_depend_on_it_and_its_layout():
  logits_of = critic(num_scales=2)
  shapes = [x.shape for x in logits_of(VIDEO, CONDITION)]
  assert shapes == [(B, 6, 5, 5), (B, 6, 1, 1)]
  frame = arrays.multiply(VIDEO, np.s_[:, 3], -1)
  assert changed(logits_of, frame) == [[3], [3]]
  layout = arrays.put(LAYOUT, np.s_[:, 2], (LAYOUT[:, 2] + 1) % K)
  assert changed(logits_of, layout=layout) == [[2], [2]]
  assert changed(logits_of, flow=-FLOW) == [[], []]


def test_sequences_have_the_frames_of_their_rate():
  logits_of = critic(inputs='video', rates=(1, 2), num_scales=1)
  shapes = [x.shape[:2] for x in logits_of(VIDEO, CONDITION)]
  assert shapes == [(B, 4), (B, 2)]  # Frames i, i + 1, i + 2; i, i + 2, i + 4.
  for t, expected in (
    (0, [[0], [0]]), (3, [[1, 2, 3], [1]]), (4, [[2, 3], [0]]),
  ):  # fmt: skip
    frame = arrays.multiply(VIDEO, np.s_[:, t], -1)
    assert changed(logits_of, frame) == expected
  # The flow of the first frame of a sequence leads out of it.
  flow = arrays.multiply(FLOW, np.s_[:, 1], -1)
  assert changed(logits_of, flow=flow) == [[0], [0]]
  flow = arrays.multiply(FLOW, np.s_[:, 2], -1)
  assert changed(logits_of, flow=flow) == [[0, 1], [0, 1]]
  assert changed(logits_of, layout=LAYOUT * 0) == [[], []]


def test_sequences_are_frames_and_the_flow_between_them():
  found = vid2vid_critic.sequences(VIDEO, FLOW, 3, 2)
  two = optical_flow.accumulate(FLOW, 2)
  for i in range(2):
    expected = [VIDEO[:, i], VIDEO[:, i + 2], VIDEO[:, i + 4]]
    expected += [two[:, i + 2], two[:, i + 4]]
    np.testing.assert_array_equal(found[:, i], np.concatenate(expected, -1))


@pytest.mark.parametrize(
  ('fields', 'match'),
  [
    ({'inputs': 'frames'}, 'inputs'),
    ({'rates': (2,)}, "inputs 'image'"),
    ({'inputs': 'video', 'rates': ()}, 'rates'),
    ({'inputs': 'video', 'rates': (3,)}, 'have 6 frames.* 7 or more'),
    ({'num_layers': -1}, 'num_layers'),
  ],
)
def test_wrong_fields(fields, match):
  with pytest.raises(ValueError, match=match):
    critic(**fields)
