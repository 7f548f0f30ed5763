"""From noise to data in a number of steps, given estimates of the data.

All solvers speak one language: `estimate(noisy, time)` is a clean clip, and the
path tells what of a noisy clip is data and what is noise. So any solver serves
any path and any prediction.

A solver of n steps estimates at n times, the first at the noise's end. What it
estimates at the last is the outcome: there sigma goes to 0, and every method
here agrees on that step.
"""

from collections.abc import Callable
import dataclasses

import jax
import jax.numpy as jnp

from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.families.diffusion import paths
from vgen_jax.families.diffusion import times

Estimate = Callable[[Array, Array], Array]  # (noisy_bthwc, time) -> clean_bthwc


@dataclasses.dataclass(frozen=True)
class Step:
  """Where a solver stands, and what it knows.

  Attributes:
    estimate: Gives clean clips.
    path: What noisy clips are.
    key_b: Keys for this step alone.
    before: Time of the step before; `now` at the first.
    now: Time of the noisy clips.
    then: Time to bring them to.
    is_first: Whether no step was before.
    clean_before: Clean clips estimated at `before`; zeros at the first.
  """

  estimate: Estimate
  path: paths.Path
  key_b: Array
  before: Array
  now: Array
  then: Array
  is_first: Array
  clean_before: Array


@dataclasses.dataclass(frozen=True)
class Solver:
  """What all solvers share; a subclass gives `advance`.

  Attributes:
    num_steps: Number of steps. Each costs one estimate, but for Heun's.
    shift: Above 1, more of the steps lie near noise; see times.shift.
  """

  num_steps: int = 50
  shift: float = 1.0

  def __post_init__(self):
    owner = f'solvers.{type(self).__name__}'
    if self.num_steps < 1:
      raise ValueError(
        f'{owner}: num_steps is {self.num_steps}; it must be at least 1.'
      )
    times.check_shift(self.shift, owner)

  def advance(self, noisy: Array, step: Step) -> tuple[Array, Array]:
    """Returns clips at time `step.then`, and the clean ones estimated now."""
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
      noise_bthwc: Standard normal noise to begin with.
      key_b: Keys of the clips, for solvers that add noise on the way.
      path: What noisy clips are.
      first_time: Where to begin.
    """
    time_n = self.times(path, first_time)

    def body(carry, entry):
      noisy_bthwc, clean_bthwc = carry
      index, before, now, then = entry
      keys = random.fold_in(key_b, index)
      step = Step(
        estimate, path, keys, before, now, then, index == 0, clean_bthwc
      )
      return self.advance(noisy_bthwc, step), None

    before_n = jnp.concatenate([time_n[:1], time_n[:-1]])
    index_n = jnp.arange(self.num_steps)
    entries = (index_n[:-1], before_n[:-1], time_n[:-1], time_n[1:])
    start_bthwc = path.scales(time_n[0])[1] * noise_bthwc
    carry = (start_bthwc, jnp.zeros_like(start_bthwc))
    (noisy_bthwc, _), _ = jax.lax.scan(body, carry, entries)
    return estimate(noisy_bthwc, time_n[-1])

  def times(self, path: paths.Path, first_time: float | Array = 0.0) -> Array:
    """Returns the times of the steps, `[num_steps]`."""
    last = self.num_steps if path.reaches_data else max(self.num_steps - 1, 1)
    time_n = times.shift(jnp.arange(self.num_steps) / last, self.shift)
    return first_time + (1 - first_time) * time_n


@dataclasses.dataclass(frozen=True)
class Euler(Solver):
  """Goes straight on, in the direction of the moment; of order 1.

  It is Euler's method in the path's time, or in sigma where the variance
  explodes. On straight paths it is the same as DDIM with eta = 0.
  """

  def advance(self, noisy: Array, step: Step) -> tuple[Array, Array]:
    clean = step.estimate(noisy, step.now)
    return noisy + _move(noisy, clean, step.now, step), clean


@dataclasses.dataclass(frozen=True)
class Heun(Solver):
  """Takes the mean of the directions here and at Euler's end; of order 2.

  Its n steps cost 2 n - 1 estimates.

  Reference: Karras et al., "Elucidating the Design Space of Diffusion-Based
  Generative Models", 2022, https://arxiv.org/abs/2206.00364
  """

  def advance(self, noisy: Array, step: Step) -> tuple[Array, Array]:
    clean = step.estimate(noisy, step.now)
    move = _move(noisy, clean, step.now, step)
    ahead = noisy + move
    move_ahead = _move(ahead, step.estimate(ahead, step.then), step.then, step)
    return noisy + (move + move_ahead) / 2, clean


@dataclasses.dataclass(frozen=True)
class DDIM(Solver):
  """Mixes the clean estimate with the noise it implies; of order 1.

  Attributes:
    eta: Share of that noise that is drawn anew: 0 none, so that the outcome is
      a function of the first noise; 1 as much as in ancestral sampling.

  Reference: Song et al., "Denoising Diffusion Implicit Models", 2020,
  https://arxiv.org/abs/2010.02502, written for any alpha and sigma.
  """

  eta: float = 0.0

  def __post_init__(self):
    super().__post_init__()
    if not 0 <= self.eta <= 1:
      raise ValueError(
        f'solvers.DDIM: eta is {self.eta}; it must lie in [0, 1].'
      )

  def advance(self, noisy: Array, step: Step) -> tuple[Array, Array]:
    clean = step.estimate(noisy, step.now)
    alpha, sigma = step.path.scales(step.then)
    fresh = self.eta * jnp.sqrt(1 - _noise_kept(step))  # As a share of sigma.
    noise = jnp.sqrt(1 - fresh**2) * _noise(noisy, clean, step.now, step.path)
    if self.eta:
      noise += fresh * random.normal(step.key_b, noisy.shape[1:])
    return alpha * clean + sigma * noise, clean


@dataclasses.dataclass(frozen=True)
class Ancestral(Solver):
  """Draws from the chain that undoes small steps of adding noise.

  Attributes:
    variance: Of each draw: 'small', exact if data were one clip (it then equals
      DDIM with eta = 1); or 'large', exact if data were standard normal and the
      path one that keeps such data so. They meet for many steps.

  Reference: Ho et al., "Denoising Diffusion Probabilistic Models", 2020,
  https://arxiv.org/abs/2006.11239, written for any alpha and sigma.
  """

  variance: str = 'small'

  def __post_init__(self):
    super().__post_init__()
    if self.variance not in ('small', 'large'):
      raise ValueError(
        f"solvers.Ancestral: variance is {self.variance!r}; it can be 'small'"
        " or 'large'."
      )

  def advance(self, noisy: Array, step: Step) -> tuple[Array, Array]:
    clean = step.estimate(noisy, step.now)
    alpha, sigma = step.path.scales(step.then)
    kept = _noise_kept(step)
    noise = _noise(noisy, clean, step.now, step.path)
    mean = alpha * clean + sigma * jnp.sqrt(kept) * noise
    fresh = random.normal(step.key_b, noisy.shape[1:])
    scale = sigma if self.variance == 'small' else step.path.scales(step.now)[1]
    return mean + scale * jnp.sqrt(1 - kept) * fresh, clean


@dataclasses.dataclass(frozen=True)
class DPMSolverPP2M(Solver):
  """DDIM on an estimate led on from the last two, linearly in log SNR; order 2.

  Reference: Lu et al., "DPM-Solver++: Fast Solver for Guided Sampling of
  Diffusion Probabilistic Models", 2022, https://arxiv.org/abs/2211.01095, the
  multistep solver of order 2.
  """

  def advance(self, noisy: Array, step: Step) -> tuple[Array, Array]:
    clean = step.estimate(noisy, step.now)
    before, now, then = (
      step.path.log_snr(time) for time in (step.before, step.now, step.then)
    )
    # A step that came from pure noise was infinitely long: it counts for
    # nothing.
    last = jnp.where(step.is_first, 1.0, now - before)
    ahead = jnp.where(step.is_first, 0.0, (then - now) / (2 * last))
    led = clean + ahead * (clean - step.clean_before)
    alpha, sigma = step.path.scales(step.then)
    noise = _noise(noisy, led, step.now, step.path)
    return alpha * led + sigma * noise, clean


def _noise(noisy: Array, clean: Array, time: Array, path: paths.Path) -> Array:
  """The noise in a noisy clip, if the clean one is known."""
  alpha, sigma = path.scales(time)
  return (noisy - alpha * clean) / sigma


def _move(noisy: Array, clean: Array, time: Array, step: Step) -> Array:
  """How a noisy clip changes over a step, in its direction at `time`."""
  d_alpha, d_sigma = step.path.tangent(time, step.now, step.then)
  return d_alpha * clean + d_sigma * _noise(noisy, clean, time, step.path)


def _noise_kept(step: Step) -> Array:
  """Share of the noise's variance then that was there now; 0 from pure noise.

  It is the ratio of the two signal-to-noise ratios.
  """
  alpha, sigma = step.path.scales(step.now)
  alpha_then, sigma_then = step.path.scales(step.then)
  return (alpha * sigma_then / (alpha_then * sigma)) ** 2
