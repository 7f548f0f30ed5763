"""Distributions of the times at which a diffusion model is trained."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.families.diffusion import paths


def shift(time: Array, factor: float) -> Array:
  """Returns times in [0, 1], shifted towards noise if `factor` is above 1.

  On a straight path, the shift multiplies sigma / alpha by `factor`. Clips with
  more pixels need a larger factor, since noise averages out more in them.

  Args:
    time: Times in [0, 1], from 0 (noise) to 1 (data).
    factor: Factor of the shift, above 0; 1 is no shift.

  Reference: Esser et al., "Scaling Rectified Flow Transformers for
  High-Resolution Image Synthesis", 2024, https://arxiv.org/abs/2403.03206;
  their time runs in the other direction.
  """
  return time / (time + factor * (1 - time))


def check_shift(factor: float, owner: str) -> None:
  """Raises ValueError unless `factor` is positive.

  Args:
    factor: Factor of the function `shift`.
    owner: Name of the class that has the field `shift`, for the error.
  """
  if not 0 < factor < math.inf:
    raise ValueError(
      f'{owner}: shift is {factor}; it must be positive; 1 is no shift.'
    )


@dataclasses.dataclass(frozen=True)
class Uniform:
  """Times uniform in [0, 1], to which `shift` is applied.

  Attributes:
    shift: Factor of the function `shift`; 1 for no shift.
  """

  shift: float = 1.0

  def __post_init__(self):
    check_shift(self.shift, 'families.diffusion.times.Uniform')

  def sample(self, key_b: Array, path: paths.Path) -> Array:
    """Returns a time in [0, 1] for each key; float32 `[b]`."""
    del path  # The distribution does not depend on the path.
    return shift(random.uniform(key_b), self.shift)


@dataclasses.dataclass(frozen=True)
class LogitNormal:
  """Times with a normally distributed logit; by default most are near 0.5.

  Attributes:
    mean: Mean of the logit; above 0 is nearer to data.
    std: Standard deviation of the logit.
    shift: Factor of the function `shift`; 1 for no shift.

  Reference: Esser et al., 2024, https://arxiv.org/abs/2403.03206
  """

  mean: float = 0.0
  std: float = 1.0
  shift: float = 1.0

  def __post_init__(self):
    check_shift(self.shift, 'families.diffusion.times.LogitNormal')
    _check_std(self.std, 'families.diffusion.times.LogitNormal')

  def sample(self, key_b: Array, path: paths.Path) -> Array:
    """Returns a time in [0, 1] for each key; float32 `[b]`."""
    del path
    logit_b = self.mean + self.std * random.normal(key_b, ())
    return shift(jax.nn.sigmoid(logit_b), self.shift)


@dataclasses.dataclass(frozen=True)
class LogNormal:
  """Times at which log(sigma / alpha) is normally distributed.

  Times outside of [0, 1] are clipped.

  Attributes:
    mean: Mean of log(sigma / alpha).
    std: Standard deviation of log(sigma / alpha).

  Reference: Karras et al., "Elucidating the Design Space of Diffusion-Based
  Generative Models", 2022, https://arxiv.org/abs/2206.00364
  """

  mean: float = -1.2
  std: float = 1.2

  def __post_init__(self):
    _check_std(self.std, 'families.diffusion.times.LogNormal')

  def sample(self, key_b: Array, path: paths.Path) -> Array:
    """Returns a time in [0, 1] for each key; float32 `[b]`."""
    log_sigma_b = self.mean + self.std * random.normal(key_b, ())
    return jnp.clip(path.time(-2 * log_sigma_b), 0, 1)


def _check_std(std: float, owner: str) -> None:
  if not 0 < std < math.inf:
    raise ValueError(f'{owner}: std is {std}; it must be positive, such as 1.')
