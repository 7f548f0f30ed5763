"""Bottlenecks with continuous latents: a normal posterior, or none.

Each is a module `(encoded_bthwe, key_b, *, train) -> BottleneckOutput`, as
those of nn/bottlenecks/quantize.py are; all is computed in float32.
"""

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.nn import distributions
from vgen_jax.nn.bottlenecks import autoencoder

_LOG_VARIANCE = 10.0  # At most, either way: beyond, exp soon overflows.


class Gaussian(nn.Module):
  """Draws latents from a normal posterior; the loss is its divergence.

  That is KL(posterior || N(0, 1)), summed over the latents of a clip, averaged
  over the batch.

  Attributes:
    width: Channels of a latent.
    projects: Whether a 1 x 1 projection makes mean and log-variance; False
      takes them as they come, one half of the channels each.

  Reference: Kingma and Welling, "Auto-Encoding Variational Bayes", 2013,
  https://arxiv.org/abs/1312.6114
  """

  width: int
  projects: bool = True

  @property
  def num_codes(self) -> int:
    return 0

  @nn.compact
  def __call__(
    self, encoded_bthwe: Array, key_b: Array | None, *, train: bool
  ) -> autoencoder.BottleneckOutput:
    """Returns drawn latents, or the posterior's mean if there are no keys.

    Raises:
      ValueError: If it does not project, and channels are not 2 * width.
    """
    del train  # Nothing here differs.
    encoded_bthwe = encoded_bthwe.astype(jnp.float32)
    if self.projects:
      encoded_bthwe = nn.Dense(2 * self.width, name='project')(encoded_bthwe)
    elif encoded_bthwe.shape[-1] != 2 * self.width:
      raise ValueError(
        f'The encoder gives {encoded_bthwe.shape[-1]} channels; a Gaussian of'
        f' width {self.width} that does not project needs {2 * self.width}.'
      )
    mean_bthwd, log_variance_bthwd = jnp.split(encoded_bthwe, 2, axis=-1)
    posterior = distributions.Gaussian(
      mean_bthwd, log_variance_bthwd.clip(-_LOG_VARIANCE, _LOG_VARIANCE)
    )
    latent_bthwd = mean_bthwd if key_b is None else posterior.draw(key_b)
    kl = posterior.divergence().sum((1, 2, 3, 4)).mean()
    return autoencoder.BottleneckOutput(
      latent_bthwd, kl, {'kl': kl}, posterior=posterior
    )


class Identity(nn.Module):
  """Lets all pass, at no loss: the bottleneck of a plain autoencoder.

  Attributes:
    width: Channels of a latent, made by a 1 x 1 projection.
  """

  width: int

  @property
  def num_codes(self) -> int:
    return 0

  @nn.compact
  def __call__(
    self, encoded_bthwe: Array, key_b: Array | None, *, train: bool
  ) -> autoencoder.BottleneckOutput:
    del key_b, train  # Nothing is drawn, and nothing differs.
    latent_bthwd = nn.Dense(self.width, name='project')(
      encoded_bthwe.astype(jnp.float32)
    )
    return autoencoder.BottleneckOutput(latent_bthwd, jnp.zeros(()), {})
