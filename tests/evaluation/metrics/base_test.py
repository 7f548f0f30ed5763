"""Tests of metrics/base.py."""

import numpy as np
import pytest

from vgen_jax.evaluation.metrics import base


def test_an_interval_is_clipped_to_its_bounds():
  value = base.mean(np.array([0, 0, 0, 1.0]), (0, 1))
  assert value.interval[0] == 0
  assert value.interval[1] == pytest.approx(0.25 + 1.96 * 0.25)
  assert base.mean(np.array([0, 0, 0, 1.0])).interval[0] < 0
