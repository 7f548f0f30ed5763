"""Bottlenecks with continuous latents: a Gaussian posterior, or none.

Each is a module `(encoded_bthwe, key_b, *, train) -> BottleneckOutput`, like
those of nn/bottlenecks/quantize.py. Results are computed in float32.
"""

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.core.types import Size
from vgen_jax.nn import distributions
from vgen_jax.nn.bottlenecks import autoencoder


class Gaussian(nn.Module):
  """Samples latents from a Gaussian posterior; the loss is its divergence.

  The divergence is KL(posterior || N(0, 1)), summed over the latents of a clip
  and averaged over the batch.

  Attributes:
    width: Channels of a latent.
    projects: Whether mean and log-variance are a 1 x 1 projection of the input.
      If not, they are the first and the second half of its channels.

  Reference: Kingma and Welling, "Auto-Encoding Variational Bayes", 2013,
  https://arxiv.org/abs/1312.6114
  """

  width: Size
  projects: bool = True

  @property
  def num_codes(self) -> int:
    return 0

  @nn.compact
  def __call__(
    self, encoded_bthwe: Array, key_b: Array | None, *, train: bool
  ) -> autoencoder.BottleneckOutput:
    """Returns sampled latents, or the posterior's mean if key_b is None.

    Raises:
      ValueError: If projects is False and the input does not have 2 * width
        channels.
    """
    del train  # Training and inference are the same.
    encoded_bthwe = encoded_bthwe.astype(jnp.float32)
    if self.projects:
      encoded_bthwe = nn.Dense(2 * self.width, name='project')(encoded_bthwe)
    elif encoded_bthwe.shape[-1] != 2 * self.width:
      raise ValueError(
        f'The encoder gives {encoded_bthwe.shape[-1]} channels; a Gaussian with'
        f' width {self.width} and projects=False needs {2 * self.width}. Change'
        ' the encoder, or set projects to True.'
      )
    mean_bthwd, log_variance_bthwd = jnp.split(encoded_bthwe, 2, axis=-1)
    posterior = distributions.bounded_gaussian(mean_bthwd, log_variance_bthwd)
    latent_bthwd = mean_bthwd if key_b is None else posterior.sample(key_b)
    kl = posterior.divergence().sum((1, 2, 3, 4)).mean()
    return autoencoder.BottleneckOutput(
      latent_bthwd, kl, {'kl': kl}, posterior=posterior
    )


class Identity(nn.Module):
  """A 1 x 1 projection without a loss, for a plain autoencoder.

  Attributes:
    width: Channels of a latent.
  """

  width: Size

  @property
  def num_codes(self) -> int:
    return 0

  @nn.compact
  def __call__(
    self, encoded_bthwe: Array, key_b: Array | None, *, train: bool
  ) -> autoencoder.BottleneckOutput:
    del key_b, train  # Nothing is random; training and inference are the same.
    latent_bthwd = nn.Dense(self.width, name='project')(
      encoded_bthwe.astype(jnp.float32)
    )
    return autoencoder.BottleneckOutput(latent_bthwd, jnp.zeros(()), {})
