"""Tests of families/codes/masks.py."""

import jax.numpy as jnp
import numpy as np
import pytest

from vgen_jax.families.codes import masks


@pytest.mark.parametrize(
  ('name', 'values'),
  [  # At 0, 1/4, 1/2, 3/4 and 1, by hand.
    ('linear', [1, 0.75, 0.5, 0.25, 0]),
    ('cosine', [1, 0.9238795, 0.7071068, 0.3826834, 0]),
    ('square', [1, 0.9375, 0.75, 0.4375, 0]),
    ('cubic', [1, 0.984375, 0.875, 0.578125, 0]),
    ('root', [1, 0.5, 0.2928932, 0.1339746, 0]),
    ('exponential', [1, 0.9882353, 0.9411765, 0.7529412, 0]),
  ],
)
def test_schedules(name, values):
  done = jnp.linspace(0, 1, 5)
  np.testing.assert_allclose(masks.SCHEDULES[name](done), values, atol=1e-6)


def test_every_schedule_is_tested():
  tested = test_schedules.pytestmark[0].args[1]
  assert {name for name, _ in tested} == set(masks.SCHEDULES)


def test_known_codes_of_each_task():
  grid = (4, 4, 8)
  counts = {task: int(masks.known(task, grid).sum()) for task in masks.TASKS}
  assert counts == {
    'free': 0,
    'first_frame': 32,
    'prediction': 64,
    'interpolation': 64,
    'outpainting': 32,
    'inpainting': 96,
    'sideways': 64,
  }
  ends = masks.known('interpolation', grid).all((1, 2))
  np.testing.assert_array_equal(ends, [True, False, False, True])
  assert masks.known('outpainting', grid)[:, 1:3, 2:6].all()
  with pytest.raises(
    ValueError, match=r"'interpolation' masks no code of a grid"
  ):
    masks.known('interpolation', (2, 4, 4))
