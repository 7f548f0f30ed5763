"""Paths from noise to data: the scales of both in a noisy clip at each time.

At time t a clip is `alpha(t) * clean + sigma(t) * noise`, with standard normal
noise. Time runs from 0, (almost) pure noise, to 1, (almost) pure data. All
functions are elementwise over arrays of times.

There are two singular cases. Where alpha is 0, an estimate of the noise does
not determine the data; methods that need it begin at `first_time`. Where sigma
is 0, the noise is undefined; samplers never evaluate a network there, but take
the clean estimate from the previous time (see solvers.py).
"""

import abc
import dataclasses

import jax
import jax.numpy as jnp

from vgen_jax.core.types import Array

# Ratio alpha / sigma at `first_time`.
_SMALLEST_RATIO = 1e-3


@dataclasses.dataclass(frozen=True)
class Path:
  """The base class of paths; a subclass implements `scales` and `time`."""

  @property
  def reaches_data(self) -> bool:
    """Whether sigma(1) is 0, so that no noise remains at time 1."""
    return False

  @property
  def variance_explodes(self) -> bool:
    """Whether alpha is 1 at all times, and sigma much larger than the data."""
    return False

  @abc.abstractmethod
  def scales(self, time: Array) -> tuple[Array, Array]:
    """Returns (alpha, sigma), the scales of data and of noise."""
    raise NotImplementedError

  @abc.abstractmethod
  def time(self, log_snr: Array) -> Array:
    """Returns the time with this log signal-to-noise ratio, in [0, 1]."""
    raise NotImplementedError

  def rates(self, time: Array) -> tuple[Array, Array]:
    """Returns the derivatives of alpha and sigma with respect to time."""
    time = jnp.asarray(time)
    _, rates = jax.jvp(self.scales, (time,), (jnp.ones_like(time),))
    return rates

  def log_snr(self, time: Array) -> Array:
    """Returns log(alpha^2 / sigma^2); infinite where one of them is 0."""
    alpha, sigma = self.scales(time)
    return 2 * (jnp.log(alpha) - jnp.log(sigma))

  def first_time(self) -> Array:
    """Returns the first time at which alpha is at least 0.001 sigma."""
    return self.time(jnp.asarray(2 * jnp.log(_SMALLEST_RATIO)))

  def network_time(self, time: Array) -> Array:
    """Returns the time as given to the network, in [0, 1]."""
    return time

  def tangent(self, time: Array, start: Array, end: Array) -> tuple:
    """Returns the changes of (alpha, sigma) from start to end, linearized.

    Changes are those along the path's tangent at `time`, as in a step of
    Euler's method.

    Args:
      time: Time at which the tangent is taken.
      start: Time at the start of the step.
      end: Time at the end of the step.
    """
    d_alpha, d_sigma = self.rates(time)
    return d_alpha * (end - start), d_sigma * (end - start)


@dataclasses.dataclass(frozen=True)
class Linear(Path):
  """Straight lines: alpha is t, sigma is 1 - t.

  Reference: Lipman et al., "Flow Matching for Generative Modeling", 2022,
  https://arxiv.org/abs/2210.02747, with sigma_min = 0; Liu et al., "Flow
  Straight and Fast", 2022, https://arxiv.org/abs/2209.03003
  """

  @property
  def reaches_data(self) -> bool:
    return True

  def scales(self, time: Array) -> tuple[Array, Array]:
    return time, 1 - time

  def time(self, log_snr: Array) -> Array:
    return jax.nn.sigmoid(log_snr / 2)


@dataclasses.dataclass(frozen=True)
class Cosine(Path):
  """A quarter of a circle: alpha is the cosine, sigma the sine of an angle.

  Attributes:
    offset: Offset s of the paper's angle at time 1, so that the remaining noise
      is near the quantization step of a pixel.

  Reference: Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic
  Models", 2021, https://arxiv.org/abs/2102.09672. They divide alpha by its
  value at time 1, which makes the slope of sigma infinite there. This is not
  done here, so noise of 0.0125 remains.
  """

  offset: float = 0.008

  def __post_init__(self):
    if not 0 < self.offset < 1:
      raise ValueError(
        f'families.diffusion.paths.Cosine: offset is {self.offset}; it must lie'
        ' between 0 and 1, such as 0.008 in the paper.'
      )

  def scales(self, time: Array) -> tuple[Array, Array]:
    # The angle is measured from pure noise, where alpha must be exactly 0.
    from_noise = jnp.pi / 2 * time / (1 + self.offset)
    return jnp.sin(from_noise), jnp.cos(from_noise)

  def time(self, log_snr: Array) -> Array:
    from_noise = jnp.arctan(jnp.exp(log_snr / 2))
    return jnp.clip(2 / jnp.pi * from_noise * (1 + self.offset), 0, 1)


@dataclasses.dataclass(frozen=True)
class LinearBeta(Path):
  """The path of DDPM: noise is added at a rate that is linear in time.

  Attributes:
    beta_min: Rate per unit of time at the data, 1,000 times the paper's beta of
      its first step.
    beta_max: Rate per unit of time at the noise.
    margin: Fraction of the time next to the data that is excluded, since sigma
      grows like a square root there. It is one step in a thousand, as in the
      paper, whose first step does not begin at sigma 0 either.

  Reference: Ho et al., "Denoising Diffusion Probabilistic Models", 2020,
  https://arxiv.org/abs/2006.11239, in the limit of many small steps, which Song
  et al., 2020, https://arxiv.org/abs/2011.13456, call VP.
  """

  beta_min: float = 0.1
  beta_max: float = 20.0
  margin: float = 1e-3

  def __post_init__(self):
    if not 0 < self.beta_min < self.beta_max:
      raise ValueError(
        'families.diffusion.paths.LinearBeta: beta_min is'
        f' {self.beta_min} and beta_max {self.beta_max}; they must be positive'
        ' and increasing, such as 0.1 and 20.'
      )
    if not 0 < self.margin < 1:
      raise ValueError(
        f'families.diffusion.paths.LinearBeta: margin is {self.margin}; it must'
        ' lie between 0 and 1, such as 0.001.'
      )

  def scales(self, time: Array) -> tuple[Array, Array]:
    s = self.margin + (1 - self.margin) * (1 - time)  # Time of the paper.
    log_alpha = -(s**2) * (self.beta_max - self.beta_min) / 4
    log_alpha = log_alpha - s * self.beta_min / 2
    return jnp.exp(log_alpha), jnp.sqrt(-jnp.expm1(2 * log_alpha))

  def time(self, log_snr: Array) -> Array:
    area = jax.nn.softplus(-log_snr)  # -2 log(alpha), the integral of beta.
    growth = self.beta_max - self.beta_min
    root = jnp.sqrt(self.beta_min**2 + 2 * growth * area)
    s = 2 * area / (self.beta_min + root)
    return jnp.clip((1 - s) / (1 - self.margin), 0, 1)


@dataclasses.dataclass(frozen=True)
class VarianceExploding(Path):
  """The variance-exploding path: alpha is 1, sigma decreases with time.

  The root of order `rho` of sigma is linear in time, so equal steps in time are
  the paper's sampling steps. The network is given the log of sigma, scaled.

  Attributes:
    sigma_min: Sigma at time 1, in units of the data.
    sigma_max: Sigma at time 0.
    rho: Order of the root; larger values spend more of the time at low noise.

  Reference: Karras et al., "Elucidating the Design Space of Diffusion-Based
  Generative Models", 2022, https://arxiv.org/abs/2206.00364
  """

  sigma_min: float = 0.002
  sigma_max: float = 80.0
  rho: float = 7.0

  def __post_init__(self):
    if not 0 < self.sigma_min < self.sigma_max:
      raise ValueError(
        'families.diffusion.paths.VarianceExploding: sigma_min is'
        f' {self.sigma_min} and sigma_max {self.sigma_max}; they must be'
        ' positive and increasing, such as 0.002 and 80.'
      )
    if self.rho <= 0:
      raise ValueError(
        f'families.diffusion.paths.VarianceExploding: rho is {self.rho}; it'
        ' must be positive, such as 7 in the paper.'
      )

  @property
  def variance_explodes(self) -> bool:
    return True

  def scales(self, time: Array) -> tuple[Array, Array]:
    high, low = self._roots()
    sigma = (high + time * (low - high)) ** self.rho
    return jnp.ones_like(sigma), sigma

  def time(self, log_snr: Array) -> Array:
    high, low = self._roots()
    root = jnp.exp(-log_snr / 2 / self.rho)
    return jnp.clip((high - root) / (high - low), 0, 1)

  def network_time(self, time: Array) -> Array:
    high, low = jnp.log(self.sigma_max), jnp.log(self.sigma_min)
    return (high - jnp.log(self.scales(time)[1])) / (high - low)

  def tangent(self, time: Array, start: Array, end: Array) -> tuple:
    """Returns the exact changes, since solvers step in sigma on this path."""
    del time
    change = self.scales(end)[1] - self.scales(start)[1]
    return jnp.zeros_like(change), change

  def _roots(self) -> tuple[float, float]:
    return self.sigma_max ** (1 / self.rho), self.sigma_min ** (1 / self.rho)
