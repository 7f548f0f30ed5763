"""Random arrays of NumPy, which need no compiled program."""

import numpy as np


def normal(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
  """Returns standard normal numbers, float32."""
  rng = np.random.default_rng(seed)
  return rng.standard_normal(shape).astype(np.float32)


def uniform(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
  """Returns uniform numbers in [0, 1), float32."""
  return np.random.default_rng(seed).random(shape, np.float32)
