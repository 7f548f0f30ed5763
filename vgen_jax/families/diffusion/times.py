"""How often a diffusion model trains at each time."""

import dataclasses

import jax
import jax.numpy as jnp

from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.families.diffusion import paths


def shift(time: Array, factor: float) -> Array:
  """Moves times in [0, 1] towards the noise's end, if `factor` is above 1.

  On a straight path it multiplies sigma / alpha by `factor`: what a clip of
  more pixels needs, whose noise averages out more.

  Reference: Esser et al., "Scaling Rectified Flow Transformers for
  High-Resolution Image Synthesis", 2024, https://arxiv.org/abs/2403.03206;
  their time runs the other way.
  """
  return time / (time + factor * (1 - time))


def check_shift(factor: float, owner: str) -> None:
  """Raises ValueError unless `factor`, of class `owner`, is positive."""
  if factor <= 0:
    raise ValueError(
      f'{owner}: shift is {factor}; it must be positive, and 1 shifts nothing.'
    )


@dataclasses.dataclass(frozen=True)
class Uniform:
  """All times alike, then shifted.

  Attributes:
    shift: See `shift`; 1 leaves times alone.
  """

  shift: float = 1.0

  def __post_init__(self):
    check_shift(self.shift, 'families.diffusion.times.Uniform')

  def draw(self, key_b: Array, path: paths.Path) -> Array:
    """Returns a time in [0, 1] for each key; float32 `[b]`."""
    del path  # A time is a time on any path.
    return shift(random.uniform(key_b), self.shift)


@dataclasses.dataclass(frozen=True)
class LogitNormal:
  """Times whose logit is normal: most in the middle of the way.

  Attributes:
    mean: Of the logit; above 0 is nearer to data.
    std: Of the logit.
    shift: See `shift`; 1 leaves times alone.

  Reference: Esser et al., 2024, https://arxiv.org/abs/2403.03206
  """

  mean: float = 0.0
  std: float = 1.0
  shift: float = 1.0

  def __post_init__(self):
    check_shift(self.shift, 'families.diffusion.times.LogitNormal')
    _check_std(self.std, 'families.diffusion.times.LogitNormal')

  def draw(self, key_b: Array, path: paths.Path) -> Array:
    """Returns a time in [0, 1] for each key; float32 `[b]`."""
    del path
    logit_b = self.mean + self.std * random.normal(key_b, ())
    return shift(jax.nn.sigmoid(logit_b), self.shift)


@dataclasses.dataclass(frozen=True)
class LogNormal:
  """Times at which the log of sigma / alpha is normal.

  Draws beyond the ends of the path count as its ends.

  Attributes:
    mean: Of log(sigma / alpha).
    std: Of the same.

  Reference: Karras et al., "Elucidating the Design Space of Diffusion-Based
  Generative Models", 2022, https://arxiv.org/abs/2206.00364
  """

  mean: float = -1.2
  std: float = 1.2

  def __post_init__(self):
    _check_std(self.std, 'families.diffusion.times.LogNormal')

  def draw(self, key_b: Array, path: paths.Path) -> Array:
    """Returns a time in [0, 1] for each key; float32 `[b]`."""
    log_sigma_b = self.mean + self.std * random.normal(key_b, ())
    return jnp.clip(path.time(-2 * log_sigma_b), 0, 1)


def _check_std(std: float, owner: str) -> None:
  if std <= 0:
    raise ValueError(f'{owner}: std is {std}; it must be positive, as 1.')
