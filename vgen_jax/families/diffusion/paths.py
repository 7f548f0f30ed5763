"""Ways from noise to data: how much of each a noisy clip holds at a time.

At time t a clip is `alpha(t) * clean + sigma(t) * noise`, with standard normal
noise. Time runs from 0, where (almost) all is noise, to 1, where (almost) all
is data. All functions act on each entry of an array of times.

Two places are delicate. Where alpha is 0 nobody can tell data from an estimate
of the noise: `first_time` is where a method that must may begin. Where sigma is
0 noise has no direction: samplers never evaluate a network there, they jump to
the clean estimate from the time before (see solvers.py).
"""

import dataclasses

import jax
import jax.numpy as jnp

from vgen_jax.core.types import Array

# Data is this much fainter than noise where estimating noise alone begins.
_FAINTEST = 1e-3


@dataclasses.dataclass(frozen=True)
class Path:
  """What all paths share; a subclass gives `scales` and `time`."""

  @property
  def reaches_data(self) -> bool:
    """Whether sigma(1) is 0; if not, some noise is left at time 1."""
    return False

  @property
  def explodes(self) -> bool:
    """Whether noise is added to data of full strength, far above its scale."""
    return False

  def scales(self, time: Array) -> tuple[Array, Array]:
    """Returns (alpha, sigma), the shares of data and of noise."""
    raise NotImplementedError

  def time(self, log_snr: Array) -> Array:
    """Returns the time of a log signal-to-noise ratio, clipped to [0, 1]."""
    raise NotImplementedError

  def rates(self, time: Array) -> tuple[Array, Array]:
    """Returns the derivatives of alpha and sigma by time."""
    time = jnp.asarray(time)
    _, rates = jax.jvp(self.scales, (time,), (jnp.ones_like(time),))
    return rates

  def log_snr(self, time: Array) -> Array:
    """Returns log(alpha^2 / sigma^2); infinite where one of them is 0."""
    alpha, sigma = self.scales(time)
    return 2 * (jnp.log(alpha) - jnp.log(sigma))

  def first_time(self) -> Array:
    """Returns the first time at which alpha is no less than 0.001 sigma."""
    return self.time(jnp.asarray(2 * jnp.log(_FAINTEST)))

  def clock(self, time: Array) -> Array:
    """Returns the time that a network is told, in [0, 1]."""
    return time

  def tangent(self, time: Array, start: Array, end: Array) -> tuple:
    """Returns changes of (alpha, sigma) from start to end, as at `time`.

    They are those of the straight line with the path's direction at `time`:
    the step of a solver such as Euler's.
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
  """A quarter of a circle: alpha is a cosine, sigma the sine.

  Attributes:
    offset: Where on the circle data lies, so that the noise left at time 1 is
      near the coarseness of a pixel.

  Reference: Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic
  Models", 2021, https://arxiv.org/abs/2102.09672. They divide alpha by its
  value at time 1, which makes the slope of sigma infinite there; here it is
  left, and noise of 0.0125 with it.
  """

  offset: float = 0.008

  def __post_init__(self):
    if not 0 < self.offset < 1:
      raise ValueError(
        f'paths.Cosine: offset is {self.offset}; it must lie between 0 and 1.'
        ' The paper has 0.008.'
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
  """The first diffusion models' path: noise enters at a rate linear in time.

  Attributes:
    beta_min: Rate per unit of time at the data's end; 1,000 times the
      paper's beta of its first step.
    beta_max: Rate at the noise's end.
    margin: Share of the time that is left out beside the data: there sigma
      grows like a square root. It is one step in a thousand, as in the paper,
      whose first step does not begin at sigma 0 either.

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
        f'paths.LinearBeta: beta_min is {self.beta_min} and beta_max'
        f' {self.beta_max}; they must be positive and rise, as 0.1 and 20.'
      )
    if not 0 < self.margin < 1:
      raise ValueError(
        f'paths.LinearBeta: margin is {self.margin}; it must lie between 0 and'
        ' 1, as 0.001.'
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
  """Noise on data of full strength: alpha is 1, sigma falls with time.

  The root of order `rho` of sigma is linear in time, so equal steps in time are
  the paper's steps of sampling. A network is told the log of sigma.

  Attributes:
    sigma_min: Noise at time 1, in units of the data.
    sigma_max: Noise at time 0.
    rho: The larger, the more of the time is spent at little noise.

  Reference: Karras et al., "Elucidating the Design Space of Diffusion-Based
  Generative Models", 2022, https://arxiv.org/abs/2206.00364
  """

  sigma_min: float = 0.002
  sigma_max: float = 80.0
  rho: float = 7.0

  def __post_init__(self):
    if not 0 < self.sigma_min < self.sigma_max:
      raise ValueError(
        f'paths.VarianceExploding: sigma_min is {self.sigma_min} and sigma_max'
        f' {self.sigma_max}; they must be positive and rise, as 0.002 and 80.'
      )
    if self.rho <= 0:
      raise ValueError(
        f'paths.VarianceExploding: rho is {self.rho}; it must be positive.'
        ' The paper has 7.'
      )

  @property
  def explodes(self) -> bool:
    return True

  def scales(self, time: Array) -> tuple[Array, Array]:
    high, low = self._roots()
    sigma = (high + time * (low - high)) ** self.rho
    return jnp.ones_like(sigma), sigma

  def time(self, log_snr: Array) -> Array:
    high, low = self._roots()
    root = jnp.exp(-log_snr / 2 / self.rho)
    return jnp.clip((high - root) / (high - low), 0, 1)

  def clock(self, time: Array) -> Array:
    high, low = jnp.log(self.sigma_max), jnp.log(self.sigma_min)
    return (high - jnp.log(self.scales(time)[1])) / (high - low)

  def tangent(self, time: Array, start: Array, end: Array) -> tuple:
    """Returns exact changes: here sigma is the time that solvers go by."""
    del time
    change = self.scales(end)[1] - self.scales(start)[1]
    return jnp.zeros_like(change), change

  def _roots(self) -> tuple[float, float]:
    return self.sigma_max ** (1 / self.rho), self.sigma_min ** (1 / self.rho)
