"""Targets of denoisers, and conversions from outputs to clean clips.

Each target is a linear combination of the clean clip and the noise: `p * clean
+ q * noise`, where p and q depend on time only. A noisy clip is another such
combination, so the target and the noisy clip together determine the clean clip
and the noise. These two linear equations are solved here for all targets.
"""

import dataclasses

import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.families.diffusion import paths

NAMES = ('velocity', 'noise', 'x0', 'v', 'edm')
WEIGHTS = ('unit', 'min_snr', *NAMES)

# Lower bound of the divisor when errors are converted to another target.
_SMALLEST_SCALE = 0.05


@dataclasses.dataclass(frozen=True)
class Prediction:
  """A denoiser's target on a path.

  * `velocity`: the time derivative of the noisy clip (Lipman et al., 2022).
  * `noise`: the noise that was added (Ho et al., 2020).
  * `x0`: the clean clip.
  * `v`: `alpha * noise - sigma * clean` (Salimans and Ho, "Progressive
    Distillation for Fast Sampling of Diffusion Models", 2022,
    https://arxiv.org/abs/2202.00512).
  * `edm`: the combination with unit variance, like the network's input, if the
    data has variance `sigma_data**2` (Karras et al., "Elucidating the Design
    Space of Diffusion-Based Generative Models", 2022,
    https://arxiv.org/abs/2206.00364). The paper's formulas are for alpha = 1;
    for other paths they hold for the noisy clip divided by alpha.

  Times are scalars, or have shapes that broadcast against clips.

  Attributes:
    name: One of NAMES.
    path: Path from noise to data.
    sigma_data: Standard deviation of the data, for `edm`.
  """

  name: str
  path: paths.Path
  sigma_data: float = 0.5

  def target(self, clean: Array, noise: Array, time: Array) -> Array:
    """Returns the target of the denoiser, an array like `clean`.

    Args:
      clean: Clips.
      noise: Noise from N(0, 1) of the same shape.
      time: Times of the path, a scalar or `[b, 1, 1, 1, 1]`.
    """
    p, q = self._mixture(time)
    return p * clean + q * noise

  def clean(self, output: Array, noisy: Array, time: Array) -> Array:
    """Returns the clean clip that a denoiser's output determines.

    Args:
      output: Output of the denoiser.
      noisy: Noisy clips, the same shape.
      time: Times of the path, a scalar or `[b, 1, 1, 1, 1]`.
    """
    skip, out = self.coefficients(time)
    return skip * noisy + out * output

  def coefficients(self, time: Array) -> tuple[Array, Array]:
    """Returns (skip, out): the clean clip is `skip * noisy + out * output`."""
    if self.name == 'x0':  # Avoids 0 / 0 where sigma is 0.
      return jnp.zeros_like(time), jnp.ones_like(time)
    alpha, sigma = self.path.scales(time)
    p, q = self._mixture(time)
    determinant = p * sigma - q * alpha
    return -q / determinant, sigma / determinant

  def input_scale(self, time: Array) -> Array:
    """Returns the factor by which the noisy clip is scaled for the denoiser.

    The scaled clip has unit variance for the prediction `edm` and on
    variance-exploding paths, as in Karras et al., 2022. Otherwise the factor is
    1.
    """
    if self.name != 'edm' and not self.path.variance_explodes:
      return jnp.ones_like(time)
    return 1 / self._noisy_std(time)

  def weight(self, name: str, time: Array, min_snr_gamma: float) -> Array:
    """Returns the factor on the squared error of the denoiser's output.

    With this factor, the error is, for each value of `name`,

    * `unit`: the error of the output itself.
    * `min_snr`: the error of the clean clip, times the signal-to-noise ratio or
      `min_snr_gamma`, whichever is smaller (Hang et al., "Efficient Diffusion
      Training via Min-SNR Weighting Strategy", 2023,
      https://arxiv.org/abs/2303.09556).
    * a name in NAMES: the error of that target. Some grow without bound near
      the data, so the root of the error is at most 20 times that of `x0`.

    Args:
      name: 'unit', 'min_snr' or one of NAMES.
      time: Times of the path, a scalar or `[b, 1, 1, 1, 1]`.
      min_snr_gamma: Largest weight for 'min_snr'.
    """
    if name in ('unit', self.name):
      return jnp.ones_like(time)
    _, out = self.coefficients(time)
    if name == 'min_snr':
      snr = jnp.exp(self.path.log_snr(time))
      return jnp.minimum(snr, min_snr_gamma) * out**2
    _, other = dataclasses.replace(self, name=name).coefficients(time)
    return (out / jnp.maximum(jnp.abs(other), _SMALLEST_SCALE)) ** 2

  def _mixture(self, time: Array) -> tuple[Array, Array]:
    """Returns (p, q), the coefficients of clean clip and noise."""
    alpha, sigma = self.path.scales(time)
    match self.name:
      case 'velocity':
        return self.path.rates(time)
      case 'noise':
        return jnp.zeros_like(time), jnp.ones_like(time)
      case 'x0':
        return jnp.ones_like(time), jnp.zeros_like(time)
      case 'v':
        return -sigma, alpha
      case 'edm':
        std = self._noisy_std(time)
        return (
          sigma / (std * self.sigma_data),
          -alpha * self.sigma_data / std,
        )
    raise ValueError(
      f'model.prediction is {self.name!r}; it must be one of {NAMES}.'
    )

  def _noisy_std(self, time: Array) -> Array:
    """Returns the standard deviation of noisy clips."""
    alpha, sigma = self.path.scales(time)
    return jnp.sqrt((alpha * self.sigma_data) ** 2 + sigma**2)
