"""Tests of motion.py and bounces.py: uniform motion and deviations from it."""

import numpy as np
import pytest

from vgen_jax.synthetic import bounces
from vgen_jax.synthetic.world import motion
from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world import tracking
from vgen_jax.synthetic.world.corruptions import rerendering

CLIPS = rerendering.generate(world_lib.World((16, 32, 32, 3)), 64)
TRACK = tracking.track(CLIPS.video_bthwc, CLIPS.world)


def fit(center_bt2: np.ndarray) -> motion.Motion:
  seen_bt = np.ones(center_bt2.shape[:2], bool)
  track = TRACK._replace(center_bt2=center_bt2)
  return motion.fit(track, seen_bt, CLIPS.world)


def test_fits_bouncing_paths_with_gaps():
  rng = np.random.default_rng(0)
  start_b, velocity_b = rng.uniform(8, 24, 200), rng.uniform(-3, 3, 200)
  low_b, high_b = np.full(200, 5.0), np.full(200, 27.0)
  straight_bt = start_b[:, None] + velocity_b[:, None] * np.arange(16)
  path_bt = bounces.fold(straight_bt, low_b[:, None], high_b[:, None])
  seen_bt = rng.random((200, 16)) > 0.2
  measured_bt = np.where(seen_bt, path_bt + rng.normal(0, 0.02, (200, 16)), 99)
  found_b, fitted_bt, path_velocity_bt = bounces.fit_bounces(
    measured_bt, seen_bt, low_b, high_b, 4.5
  )
  np.testing.assert_allclose(found_b, velocity_b, atol=0.02)
  np.testing.assert_allclose(fitted_bt, path_bt, atol=0.15)
  step_bt = np.diff(path_bt, axis=1)
  free_bt = np.abs(np.abs(step_bt) - np.abs(velocity_b[:, None])) < 1e-6
  right_bt = np.abs(path_velocity_bt[:, :-1] - step_bt) < 0.05
  assert right_bt[free_bt].mean() > 0.99  # At a wall it may have either sign.


def test_fits_the_motion_of_the_dataset():
  found = fit(CLIPS.center_bt2)
  np.testing.assert_allclose(found.velocity_b2, CLIPS.velocity_b2, atol=0.01)
  for name in ('path_error', 'step_error', 'speed_error', 'speed_drift'):
    assert getattr(found, f'{name}_b').max() < 1e-3, name
  assert found.angle_error_b.max() < 0.1
  assert found.stalled_fraction_b.max() == 0


def test_a_repeated_frame_counts_as_stalled():
  """Steps at walls do not count, because objects may rest there."""
  step_bt = np.linalg.norm(np.diff(CLIPS.center_bt2, axis=1), axis=-1)
  held_bt2 = CLIPS.center_bt2.copy()
  held_bt2[:, 9] = held_bt2[:, 8]
  bounces_b = step_bt[:, 8] < 0.99 * step_bt.max(1)
  stalled_fraction_b = fit(held_bt2).stalled_fraction_b[~bounces_b]
  assert stalled_fraction_b.min() == pytest.approx(1 / 15)
  assert stalled_fraction_b.mean() < 1.1 / 15
  late_bt2 = np.concatenate([held_bt2[:, :9], CLIPS.center_bt2[:, 8:-1]], 1)
  assert fit(late_bt2).stalled_fraction_b[~bounces_b].min() == pytest.approx(
    1 / 15
  )


def test_speed_drift_is_detected_at_the_right_mean_speed():
  time_t1 = np.arange(16)[:, None]
  eased_t1 = time_t1 * (0.6 + 0.4 * time_t1 / 15)
  free = CLIPS.velocity_b2[:, None]
  middle = np.array([16.0, 16.0])
  start_b12 = middle - 7.5 * free / np.maximum(1, np.abs(free) / 0.75)
  inside_b = (np.linalg.norm(CLIPS.velocity_b2, axis=1) < 1) & (
    CLIPS.radius_b < 4
  )
  assert inside_b.sum() > 8
  even = fit(start_b12 + free * time_t1)
  eased = fit(start_b12 + free * eased_t1)
  assert even.speed_drift_b[inside_b].max() < 0.01
  assert eased.speed_error_b[inside_b].max() < 0.05
  # From 0.6 to 1.4 of the speed: 0.8 and 1.2, on average, in the halves.
  np.testing.assert_allclose(eased.speed_drift_b[inside_b], 0.2, atol=0.03)
  assert eased.step_error_b[inside_b].max() < 0.4


def test_a_clip_at_rest_has_no_direction():
  still_bt2 = np.repeat(CLIPS.center_bt2[:, :1], 16, 1)
  found = fit(still_bt2)
  assert (found.direction_b == -1).all()
  assert (found.stalled_fraction_b == 1).all()
  assert (found.angle_error_b == 180).all()
  assert (found.speed_drift_b == 1).all()
