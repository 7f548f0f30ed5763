"""Tests of nn/translation.py."""

import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.nn import translation
from vgen_jax.nn import warp

B, H, W, C = 2, 5, 6, 3
PREVIOUS = 2 * arrays.uniform((B, 2, H, W, C)) - 1
NEW = 2 * arrays.uniform((B, H, W, C), seed=1) - 1
FLOW = 2 * arrays.normal((B, H, W, 2))
MASK = arrays.uniform((B, H, W), seed=2)
EXISTS = np.array([[False, True], [False, False]])
WINDOW = translation.Window(np.zeros((B, 3, H, W), int), PREVIOUS, EXISTS)


def test_frames_are_composed_of_new_and_moved_pixels():
  moved = compiled.call(translation.warp_previous, WINDOW, FLOW, MASK)
  compose = compiled.jit(translation.compose)
  # The latest of the previous frames is moved, as in nn/warp.py.
  expected = compiled.call(warp.backward, PREVIOUS[:, 1], FLOW)
  np.testing.assert_array_equal(moved.warped_bhwc, expected)
  # The second clip has no previous frame, so all its pixels are new.
  np.testing.assert_array_equal(moved.mask_bhw[0], MASK[0])
  assert (moved.mask_bhw[1] == 1).all()
  frame = compose(NEW, moved)
  mask = MASK[0][..., None]
  np.testing.assert_allclose(
    frame[0], mask * NEW[0] + (1 - mask) * expected[0], atol=1e-6
  )
  np.testing.assert_allclose(frame[1], NEW[1], atol=1e-6)
  # A mask of 0 is the moved frame.
  still = compose(NEW, moved._replace(mask_bhw=0 * MASK))
  np.testing.assert_allclose(still, expected, atol=1e-6)


def test_layouts_become_channels():
  layout = np.array([[[[0, 2]], [[-1, 1]]]])  # Two layouts of 1 x 2 pixels.
  found = compiled.call(translation.one_hot, layout, 3)
  assert found[0, 0].tolist() == [[1, 0, 0, 0, 0, 0], [0, 0, 1, 0, 1, 0]]


@pytest.mark.parametrize('field', ['num_segments', 'num_previous'])
def test_sizes_must_be_positive(field):
  sizes = {'num_segments': 3} | {field: 0}
  with pytest.raises(ValueError, match=f'{field} of Translator is 0'):
    translation.Translator((4, H, W, C), **sizes)
