"""Solvers: from noise to data in a number of steps.

All solvers have the same interface: `estimate(noisy, time)` returns a clean
clip, and the path gives the scales of data and noise in a noisy clip. So any
solver works with any path and any prediction.

A solver with n steps estimates at n times, the first at the noise. The last
estimate is the result: in the last step sigma becomes 0, and all methods of
this file then agree.
"""

import abc
from collections.abc import Callable
import dataclasses

import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.families.diffusion import paths
from vgen_jax.families.diffusion import times

Estimate = Callable[[Array, Array], Array]  # (noisy_bthwc, time) -> clean_bthwc


@dataclasses.dataclass(frozen=True)
class Step:
  """The inputs of one step of a solver.

  Attributes:
    estimate: Function `(noisy_bthwc, time) -> clean_bthwc`.
    path: Path from noise to data.
    key_b: Keys of this step, one for each clip.
    previous_time: Time of the previous step; `time` in the first step.
    time: Time of the noisy clips.
    next_time: Time to which the step brings them.
    is_first: Whether this is the first step.
    previous_clean: Clean clips estimated at `previous_time`; zeros in the first
      step.
  """

  estimate: Estimate
  path: paths.Path
  key_b: Array
  previous_time: Array
  time: Array
  next_time: Array
  is_first: Array
  previous_clean: Array


@dataclasses.dataclass(frozen=True)
class Solver:
  """The base class of solvers; a subclass implements `advance`.

  Attributes:
    num_steps: Number of steps. Each evaluates `estimate` once; in `Heun` each
      except the last evaluates it twice.
    shift: Factor of times.shift; above 1, more of the steps are near noise.
  """

  num_steps: int = 50
  shift: float = 1.0

  def __post_init__(self):
    owner = f'families.diffusion.solvers.{type(self).__name__}'
    checks.at_least(f'{owner}: num_steps', self.num_steps, 1)
    times.check_shift(self.shift, owner)

  @abc.abstractmethod
  def advance(self, noisy: Array, step: Step) -> tuple[Array, Array]:
    """Returns clips at `step.next_time`, and the estimated clean clips."""
    raise NotImplementedError

  def solve(
    self,
    estimate: Estimate,
    noise_bthwc: Array,
    key_b: Array,
    path: paths.Path,
    first_time: float | Array = 0.0,
  ) -> Array:
    """Returns clean clips `[b, t, h, w, c]`, not clipped.

    Args:
      estimate: `(noisy_bthwc, time) -> clean_bthwc`, with a scalar time.
      noise_bthwc: Standard normal noise, the initial state.
      key_b: Keys of the clips, for solvers that add noise in each step.
      path: Path from noise to data.
      first_time: Time of the first step.
    """
    time_n = self.times(path, first_time)

    def body(carry, entry):
      noisy_bthwc, clean_bthwc = carry
      index, previous_time, time, next_time = entry
      keys = random.fold_in(key_b, index)
      step = Step(
        estimate,
        path,
        keys,
        previous_time,
        time,
        next_time,
        index == 0,
        clean_bthwc,
      )
      return self.advance(noisy_bthwc, step), None

    last_time_n = jnp.concatenate([time_n[:1], time_n[:-1]])
    index_n = jnp.arange(self.num_steps)
    entries = (index_n[:-1], last_time_n[:-1], time_n[:-1], time_n[1:])
    start_bthwc = path.scales(time_n[0])[1] * noise_bthwc
    carry = (start_bthwc, jnp.zeros_like(start_bthwc))
    (noisy_bthwc, _), _ = jax.lax.scan(body, carry, entries)
    return estimate(noisy_bthwc, time_n[-1])

  def times(self, path: paths.Path, first_time: float | Array = 0.0) -> Array:
    """Returns the times at which the steps start, float32 `[num_steps]`."""
    last = self.num_steps if path.reaches_data else max(self.num_steps - 1, 1)
    time_n = times.shift(jnp.arange(self.num_steps) / last, self.shift)
    return first_time + (1 - first_time) * time_n


@dataclasses.dataclass(frozen=True)
class Euler(Solver):
  """Euler's method, of order 1: a straight step along the current direction.

  The variable is the path's time, or sigma on variance-exploding paths. On
  straight paths it is the same as DDIM with eta = 0.
  """

  def advance(self, noisy: Array, step: Step) -> tuple[Array, Array]:
    clean = step.estimate(noisy, step.time)
    return noisy + _change(noisy, clean, step.time, step), clean


@dataclasses.dataclass(frozen=True)
class Heun(Solver):
  """Heun's method, of order 2: the mean of the directions at both ends.

  n steps evaluate `estimate` 2 n - 1 times.

  Reference: Karras et al., "Elucidating the Design Space of Diffusion-Based
  Generative Models", 2022, https://arxiv.org/abs/2206.00364
  """

  def advance(self, noisy: Array, step: Step) -> tuple[Array, Array]:
    clean = step.estimate(noisy, step.time)
    change = _change(noisy, clean, step.time, step)
    end = noisy + change
    end_clean = step.estimate(end, step.next_time)
    end_change = _change(end, end_clean, step.next_time, step)
    return noisy + (change + end_change) / 2, clean


@dataclasses.dataclass(frozen=True)
class DDIM(Solver):
  """DDIM, of order 1: recombines the clean estimate and the estimated noise.

  Attributes:
    eta: Scale of the new noise in each step, in [0, 1]: 0 adds none, so that
      the result is a function of the initial noise; 1 adds as much as ancestral
      sampling.

  Reference: Song et al., "Denoising Diffusion Implicit Models", 2020,
  https://arxiv.org/abs/2010.02502, generalized here to any alpha and sigma.
  """

  eta: float = 0.0

  def __post_init__(self):
    super().__post_init__()
    checks.in_range('families.diffusion.solvers.DDIM: eta', self.eta, 0, 1)

  def advance(self, noisy: Array, step: Step) -> tuple[Array, Array]:
    clean = step.estimate(noisy, step.time)
    alpha, sigma = step.path.scales(step.next_time)
    # The scale of the new noise relative to sigma.
    fresh = self.eta * jnp.sqrt(1 - _kept_variance(step))
    noise = jnp.sqrt(1 - fresh**2) * _noise(noisy, clean, step.time, step.path)
    if self.eta:
      noise += fresh * random.normal(step.key_b, noisy.shape[1:])
    return alpha * clean + sigma * noise, clean


@dataclasses.dataclass(frozen=True)
class Ancestral(Solver):
  """Ancestral sampling: samples the reverse of the chain that adds noise.

  Attributes:
    variance: Variance of a step: 'small', exact for data that is a single clip
      (the same as DDIM with eta = 1); or 'large', exact for standard normal
      data on a path that preserves the variance. The difference between both
      vanishes as the number of steps grows.

  Reference: Ho et al., "Denoising Diffusion Probabilistic Models", 2020,
  https://arxiv.org/abs/2006.11239, generalized here to any alpha and sigma.
  """

  variance: str = 'small'

  def __post_init__(self):
    super().__post_init__()
    owner = 'families.diffusion.solvers.Ancestral'
    checks.one_of(f'{owner}: variance', self.variance, ('small', 'large'))

  def advance(self, noisy: Array, step: Step) -> tuple[Array, Array]:
    clean = step.estimate(noisy, step.time)
    alpha, sigma = step.path.scales(step.next_time)
    kept = _kept_variance(step)
    noise = _noise(noisy, clean, step.time, step.path)
    mean = alpha * clean + sigma * jnp.sqrt(kept) * noise
    fresh = random.normal(step.key_b, noisy.shape[1:])
    scale = (
      sigma if self.variance == 'small' else step.path.scales(step.time)[1]
    )
    return mean + scale * jnp.sqrt(1 - kept) * fresh, clean


@dataclasses.dataclass(frozen=True)
class DPMSolverPP2M(Solver):
  """DPM-Solver++(2M), of order 2: DDIM on an extrapolated clean estimate.

  The estimate is extrapolated from the last two, linearly in log SNR.

  Reference: Lu et al., "DPM-Solver++: Fast Solver for Guided Sampling of
  Diffusion Probabilistic Models", 2022, https://arxiv.org/abs/2211.01095, the
  multistep solver of order 2.
  """

  def advance(self, noisy: Array, step: Step) -> tuple[Array, Array]:
    clean = step.estimate(noisy, step.time)
    last_snr, snr, next_snr = (
      step.path.log_snr(time)
      for time in (step.previous_time, step.time, step.next_time)
    )
    # A previous step from pure noise is infinitely long and has no weight.
    last_length = jnp.where(step.is_first, 1.0, snr - last_snr)
    weight = jnp.where(step.is_first, 0.0, (next_snr - snr) / (2 * last_length))
    extrapolated = clean + weight * (clean - step.previous_clean)
    alpha, sigma = step.path.scales(step.next_time)
    noise = _noise(noisy, extrapolated, step.time, step.path)
    return alpha * extrapolated + sigma * noise, clean


def _noise(noisy: Array, clean: Array, time: Array, path: paths.Path) -> Array:
  """Returns the noise in a noisy clip, given the clean one."""
  alpha, sigma = path.scales(time)
  return (noisy - alpha * clean) / sigma


def _change(noisy: Array, clean: Array, time: Array, step: Step) -> Array:
  """Returns the change of a noisy clip over a step, linearized at `time`."""
  d_alpha, d_sigma = step.path.tangent(time, step.time, step.next_time)
  return d_alpha * clean + d_sigma * _noise(noisy, clean, time, step.path)


def _kept_variance(step: Step) -> Array:
  """Returns the fraction of the next noise variance that is already present.

  It is the ratio of the two signal-to-noise ratios; 0 from pure noise.
  """
  alpha, sigma = step.path.scales(step.time)
  next_alpha, next_sigma = step.path.scales(step.next_time)
  return (alpha * next_sigma / (next_alpha * sigma)) ** 2
