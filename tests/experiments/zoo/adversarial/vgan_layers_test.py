"""Tests of vgan_layers.py, on masks that are known."""

import numpy as np
import pytest

from experiments.zoo.adversarial import vgan_layers


@pytest.fixture
def clips() -> tuple[np.ndarray, np.ndarray]:
  """Returns clips of a red square that moves over grey, and its masks."""
  video = np.full((6, 8, 16, 16, 3), 0.1, np.float32)
  mask = np.zeros(video.shape[:4], np.float32)
  for i in range(6):
    for t in range(8):
      mask[i, t, 2 * i : 2 * i + 4, t : t + 4] = 1
  return np.where(mask[..., None] > 0, [0.9, -0.9, -0.9], video), mask


def test_the_right_mask_passes_and_cheats_do_not(clips):
  video, mask = clips
  iou, mean = vgan_layers.numbers(mask, video)
  assert iou == 1
  assert mean == pytest.approx(16 / 256)
  assert vgan_layers.passes(iou, mean)
  assert vgan_layers.passes(*vgan_layers.numbers(0.6 * mask, video))
  for name, cheat in vgan_layers.cheats(mask).items():
    assert not vgan_layers.passes(*vgan_layers.numbers(cheat, video)), name


def test_a_mask_around_the_object_does_not_pass(clips):
  """The mask has the right centre, and four times the area."""
  video, mask = clips
  wide = sum(np.roll(mask, (i, j), (2, 3)) for i in range(-2, 3)
             for j in range(-2, 3)) > 0  # fmt: skip
  assert not vgan_layers.passes(*vgan_layers.numbers(1.0 * wide, video))
