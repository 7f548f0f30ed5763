"""A small DiT with inputs and random parameters, for tests."""

import jax
import numpy as np

from tests import compiled
from vgen_jax.models import dit

VIDEO = np.float32(np.random.default_rng(0).normal(size=(2, 3, 4, 4, 1)))
TIME = np.float32([0.1, 0.9])


def make(**kwargs) -> dit.VideoDiT:
  return dit.VideoDiT(**dict(width=16, depth=2, num_heads=2) | kwargs)


def random_params(model: dit.VideoDiT, condition=None) -> dict:
  """Returns random parameters none of which is zero."""
  rng = np.random.default_rng(0)
  shapes = compiled.shapes(
    model, jax.random.key(1), VIDEO, TIME, condition or {}, train=False
  )
  return jax.tree.map(
    lambda x: np.float32(0.3 * rng.standard_normal(x.shape)), shapes
  )
