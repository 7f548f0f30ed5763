"""Tests of scores/flicker.py."""

import numpy as np
import pytest

from tests import compiled
from vgen_jax.evaluation.scores import flicker

warp_error = compiled.jit(flicker.warp_error, static_argnums=3)
steadiness = compiled.jit(flicker.steadiness, static_argnums=1)


def texture(t=5, size=24, step=(2, 1)):
  """Returns a clip of a texture that moves by `step` (x, y) per frame."""
  y, x = np.mgrid[:size, :size].astype(np.float32)
  frames = [
    0.5
    + 0.25 * np.sin((x - i * step[0]) * 0.7)
    + 0.25 * np.cos((y - i * step[1]) * 0.5)
    for i in range(t)
  ]
  return np.stack(frames)[None, ..., None].astype(np.float32)


def flow(x, y, t=5, size=24):
  out = np.zeros((1, t - 1, size, size, 2), np.float32)
  out[..., 0], out[..., 1] = x, y
  return out


def test_a_frozen_video_is_steady_but_does_not_move():
  moving = texture()
  frozen = np.repeat(moving[:, :1], 5, 1)
  both = steadiness(np.concatenate([moving, frozen]), (0.0, 1.0))
  assert both.steadiness_b[1] == 1 > both.steadiness_b[0]
  assert both.dynamic_degree_b[1] == 0
  assert both.dynamic_degree_b[0] > 0.9


def test_steadiness_is_the_mean_change():
  video = np.zeros((1, 3, 2, 2, 1), np.uint8)
  video[0, 1, 0, 0] = 51
  found = steadiness(video)
  # One pixel of four changes by a fifth of the range, in both steps.
  assert float(found.steadiness_b[0]) == pytest.approx(1 - 0.05)
  assert float(found.dynamic_degree_b[0]) == 0.25


def test_only_the_true_flow_has_a_small_warp_error():
  video = texture()
  error = lambda x, y: float(warp_error(video, flow(x, y), None, (0.0, 1.0))[0])
  true = error(-2, -1)
  assert true < 1e-9
  # Wrong sign, swapped axes, no motion.
  for wrong in (error(2, 1), error(-1, -2), error(0, 0)):
    assert wrong > 1e-3
  flashing = video * np.float32([1, 0.8, 1, 0.8, 1])[None, :, None, None, None]
  assert float(warp_error(flashing, flow(-2, -1), None, (0.0, 1.0))[0]) > 1e-3


def test_half_pixels_are_interpolated():
  ramp = np.arange(6, dtype=np.float32)[None, None, None, :, None] / 10
  video = np.tile(ramp, (1, 2, 4, 1, 1))
  video[:, 1] -= 0.05
  found = warp_error(video, flow(-0.5, 0, 2, 6)[:, :, :4], None, (0.0, 1.0))
  assert float(found[0]) < 1e-9


def test_hidden_pixels_do_not_count():
  video = texture()
  visible = np.ones(video.shape[:4], bool)[:, 1:]
  video[:, 2:, 5:8, 5:8] = 0
  still = lambda mask: float(
    warp_error(video, flow(-2, -1), mask, (0.0, 1.0))[0]
  )
  assert still(visible) > 1e-3
  # Where the patch is, and where it is sampled.
  visible[:, :, 5:9, 5:10] = False
  assert still(visible) < 1e-9


def test_bad_shapes_are_errors():
  video = texture()
  with pytest.raises(ValueError, match='4 fields'):
    flicker.warp_error(video, flow(0, 0, 6), None, (0.0, 1.0))
  with pytest.raises(ValueError, match='2 or more'):
    flicker.steadiness(video[:, :1], (0.0, 1.0))
