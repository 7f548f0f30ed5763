"""Base class of all quantizers, with the metrics of the usage of their codes.

See nn/bottlenecks/quantize.py for the interface and for the list of quantizers.
"""

import abc
import math

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.core.types import Metrics
from vgen_jax.nn import batch_sharding
from vgen_jax.nn import batch_statistics
from vgen_jax.nn.bottlenecks import autoencoder

_DECAY = 0.99  # Decay of the counts of codes, per step.


class Quantizer(nn.Module):
  """Base class of quantizers; a subclass has `width` and `num_codes`."""

  def setup(self):
    self.project = nn.Dense(self.width)
    self.recent_count = self.variable(
      'codebook', 'recent_count', jnp.zeros, (self.num_codes,)
    )

  @abc.abstractmethod
  def lookup(self, codes_bthw: Array) -> Array:
    """Returns the vectors of codes, float32 `[b, t, h, w, width]`."""
    raise NotImplementedError

  @abc.abstractmethod
  def nearest(self, latent_bthwd: Array) -> Array:
    """Returns the codes whose vectors are nearest, int32 `[b, t, h, w]`."""
    raise NotImplementedError

  def features(self, encoded_bthwe: Array) -> Array:
    """Returns the features to quantize, float32 `[b, t, h, w, width]`."""
    encoded_bthwe = batch_sharding.constrain(encoded_bthwe.astype(jnp.float32))
    return batch_sharding.constrain(self.project(encoded_bthwe))

  def output(
    self,
    smooth_bthwd: Array,
    codes_bthw: Array,
    loss: Array,
    terms: Metrics,
    train: bool,
  ) -> autoencoder.BottleneckOutput:
    """Returns the vectors of codes, with the gradient of `smooth_bthwd`.

    Args:
      smooth_bthwd: Features before quantization.
      codes_bthw: Codes of the features.
      loss: Loss of the bottleneck.
      terms: Metrics to log, in addition to usage and perplexity.
      train: Whether the counts of recent codes are updated.
    """
    codes_bthw = codes_bthw.astype(jnp.int32)
    quantized_bthwd = self.lookup(codes_bthw)
    latent_bthwd = _straight_through(smooth_bthwd, quantized_bthwd)
    terms = terms | self._usage(codes_bthw, train)
    return autoencoder.BottleneckOutput(latent_bthwd, loss, terms, codes_bthw)

  def _usage(self, codes_bthw: Array, train: bool) -> Metrics:
    """Returns metrics of the usage of codes; updates counts in training."""
    count_k = count(codes_bthw, self.num_codes)
    if train:
      count_k = batch_statistics.total(self, 'counts', count_k)
    recent_k = _DECAY * self.recent_count.value + (1 - _DECAY) * count_k
    if train and not self.is_initializing():
      self.recent_count.value = recent_k
    # Weight that one occurrence has after a hundred batches.
    least = (1 - _DECAY) * math.exp(-1)
    return {
      'usage': (count_k > 0).mean(),
      'perplexity': perplexity(count_k),
      'recent_usage': (recent_k > least).mean(),
      'recent_perplexity': perplexity(recent_k),
    }


def perplexity(count_k: Array) -> Array:
  """Returns the exponential of the entropy of code frequencies, 1 to k.

  The perplexity is the number of equally frequent codes with the same entropy.
  """
  frequency_k = count_k / jnp.maximum(count_k.sum(), 1e-12)
  return jnp.exp(jax.scipy.special.entr(frequency_k).sum())


def count(codes: Array, num_codes: int) -> Array:
  """Returns how often each code occurs, float32."""
  count_k = jnp.zeros((num_codes,), jnp.int32).at[codes.reshape(-1)].add(1)
  return count_k.astype(jnp.float32)


def _straight_through(smooth: Array, quantized: Array) -> Array:
  """Returns exactly `quantized`, with the gradient of `smooth`."""
  return lax.stop_gradient(quantized) + (smooth - lax.stop_gradient(smooth))
