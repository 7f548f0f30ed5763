"""Tests of evaluation/motion.py."""

import numpy as np

from vgen_jax.data import world as world_lib
from vgen_jax.evaluation.judging import motion


def test_fits_bouncing_paths_with_gaps():
  rng = np.random.default_rng(0)
  start_b, velocity_b = rng.uniform(8, 24, 200), rng.uniform(-3, 3, 200)
  low_b, high_b = np.full(200, 5.0), np.full(200, 27.0)
  straight_bt = start_b[:, None] + velocity_b[:, None] * np.arange(16)
  path_bt = world_lib.fold(straight_bt, low_b[:, None], high_b[:, None])
  seen_bt = rng.random((200, 16)) > 0.2
  measured_bt = np.where(seen_bt, path_bt + rng.normal(0, 0.02, (200, 16)), 99)
  found_b, fitted_bt = motion.fit_bounces(
    measured_bt, seen_bt, low_b, high_b, 4.5
  )
  np.testing.assert_allclose(found_b, velocity_b, atol=0.02)
  np.testing.assert_allclose(fitted_bt, path_bt, atol=0.15)
