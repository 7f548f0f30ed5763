"""What a denoiser may predict, and how one prediction becomes another.

Each is a blend of the clean clip and the noise: `p * clean + q * noise`, with p
and q that depend on time alone. A noisy clip is another such blend, so the two
together tell both clean clip and noise: two linear equations, solved in one
place, for all predictions.
"""

import dataclasses

import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.families.diffusion import paths

NAMES = ('velocity', 'noise', 'x0', 'v', 'edm')
WEIGHTS = ('unit', 'min_snr', *NAMES)

# An error measured in another space is enlarged by at most 1 / this.
_SMALLEST_SCALE = 0.05


@dataclasses.dataclass(frozen=True)
class Prediction:
  """A denoiser's target on a path.

  * `velocity`: the change of the noisy clip by time (Lipman et al., 2022).
  * `noise`: what was added (Ho et al., 2020).
  * `x0`: the clean clip.
  * `v`: `alpha * noise - sigma * clean` (Salimans and Ho, "Progressive
    Distillation for Fast Sampling of Diffusion Models", 2022,
    https://arxiv.org/abs/2202.00512).
  * `edm`: the blend that has unit variance, as has the network's input, if
    data has variance `sigma_data**2` (Karras et al., "Elucidating the Design
    Space of Diffusion-Based Generative Models", 2022,
    https://arxiv.org/abs/2206.00364). The paper's formulas are for alpha = 1;
    for other paths they hold for the noisy clip divided by alpha.

  Times are scalars, or shaped to broadcast against clips.

  Attributes:
    name: One of NAMES.
    path: What noisy clips are.
    sigma_data: Standard deviation of data, for `edm`.
  """

  name: str
  path: paths.Path
  sigma_data: float = 0.5

  def target(self, clean: Array, noise: Array, time: Array) -> Array:
    """Returns what the denoiser should say."""
    p, q = self._blend(time)
    return p * clean + q * noise

  def clean(self, output: Array, noisy: Array, time: Array) -> Array:
    """Returns the clean clip that a denoiser's output implies."""
    skip, out = self.coefficients(time)
    return skip * noisy + out * output

  def coefficients(self, time: Array) -> tuple[Array, Array]:
    """Returns (skip, out): the clean clip is `skip * noisy + out * output`."""
    if self.name == 'x0':  # Spares the 0 / 0 where sigma is 0.
      return jnp.zeros_like(time), jnp.ones_like(time)
    alpha, sigma = self.path.scales(time)
    p, q = self._blend(time)
    determinant = p * sigma - q * alpha
    return -q / determinant, sigma / determinant

  def input_scale(self, time: Array) -> Array:
    """Returns the factor on the noisy clip before the denoiser sees it.

    It gives the input unit variance for `edm`, and on a path that explodes;
    elsewhere it is 1, as in the papers.
    """
    if self.name != 'edm' and not self.path.explodes:
      return jnp.ones_like(time)
    return 1 / self._spread(time)

  def weight(self, name: str, time: Array, min_snr_gamma: float) -> Array:
    """Returns the factor on the squared error of the output.

    * `unit`: 1, the error of the output itself.
    * `min_snr`: the clean clip's error times the signal-to-noise ratio, but
      never more than `min_snr_gamma` (Hang et al., "Efficient Diffusion
      Training via Min-SNR Weighting Strategy", 2023,
      https://arxiv.org/abs/2303.09556).
    * a prediction: the error that its output would have. It grows without
      bound towards the data for some, so it is enlarged by at most 20.
    """
    if name in ('unit', self.name):
      return jnp.ones_like(time)
    _, out = self.coefficients(time)
    if name == 'min_snr':
      snr = jnp.exp(self.path.log_snr(time))
      return jnp.minimum(snr, min_snr_gamma) * out**2
    _, other = dataclasses.replace(self, name=name).coefficients(time)
    return (out / jnp.maximum(jnp.abs(other), _SMALLEST_SCALE)) ** 2

  def _blend(self, time: Array) -> tuple[Array, Array]:
    """Returns (p, q), the shares of clean clip and noise in the target."""
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
        spread = self._spread(time)
        return (
          sigma / (spread * self.sigma_data),
          -alpha * self.sigma_data / spread,
        )
    raise ValueError(f'prediction is {self.name!r}; it can be one of {NAMES}.')

  def _spread(self, time: Array) -> Array:
    """Standard deviation of noisy clips."""
    alpha, sigma = self.path.scales(time)
    return jnp.sqrt((alpha * self.sigma_data) ** 2 + sigma**2)
