"""Random arrays of NumPy, and keys, which need no compiled program."""

from typing import Any

import jax
import numpy as np


def normal(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
  """Returns standard normal numbers, float32."""
  rng = np.random.default_rng(seed)
  return rng.standard_normal(shape).astype(np.float32)


def uniform(
  shape: tuple[int, ...], seed: int = 0, low: float = 0.0
) -> np.ndarray:
  """Returns uniform numbers in [low, 1), float32."""
  unit = np.random.default_rng(seed).random(shape, np.float32)
  return low + (1 - low) * unit


def integers(shape: tuple[int, ...], high: int, seed: int = 0) -> np.ndarray:
  """Returns uniform numbers from 0 to high - 1, int32."""
  return np.random.default_rng(seed).integers(0, high, shape, np.int32)


def put(array: np.ndarray, index: Any, value: Any) -> np.ndarray:
  """Returns a copy with other values at an index, such as `np.s_[:, 0]`."""
  array = np.array(array)
  array[index] = value
  return array


def add(array: np.ndarray, index: Any, value: Any) -> np.ndarray:
  """Returns a copy with a value added at an index; see `put`."""
  return put(array, index, array[index] + value)


def multiply(array: np.ndarray, index: Any, factor: Any) -> np.ndarray:
  """Returns a copy that is multiplied by a factor at an index; see `put`."""
  return put(array, index, factor * array[index])


def keys(num: int, seed: int = 0) -> jax.Array:
  """Returns keys of `jax.random`, `[num]`."""
  rng = np.random.default_rng(seed)
  return jax.random.wrap_key_data(rng.integers(2**32, size=(num, 2), dtype='I'))


def take_keys(key_b: jax.Array, index: Any) -> jax.Array:
  """Returns `key_b[index]`."""
  return jax.random.wrap_key_data(np.asarray(jax.random.key_data(key_b))[index])
