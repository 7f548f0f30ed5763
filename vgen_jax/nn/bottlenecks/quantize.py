"""Bottlenecks that quantize latents to codes of a learned codebook.

Each is a module `(encoded_bthwe, key_b, *, train) -> BottleneckOutput`. It
projects features of any width to its own `width`, and replaces each by the
nearest of `num_codes` vectors; `lookup` returns the vectors of codes. The
gradient is that of the features before quantization (straight-through
estimator). Results are computed in float32.

| class           | codebook                          | loss                  |
|-----------------|-----------------------------------|-----------------------|
| EMAVQ           | moving means, in 'codebook'       | commitment            |
| VQ              | parameters                        | distance + commitment |
| lookup_free.FSQ | a grid                            | none                  |
| lookup_free.LFQ | corners of a cube                 | commitment, entropies |
| lookup_free.BSQ | corners of a cube within a sphere | entropies             |

Codebooks change once in a step, with the whole batch (nn/batch_statistics.py).
They log two metrics of a batch: `usage`, the fraction of codes that occur, and
`perplexity`, the exponential of the entropy of code frequencies. The metrics
`recent_usage` and `recent_perplexity` are those of about the last 100 batches.
"""

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.core.types import Rate
from vgen_jax.core.types import Size
from vgen_jax.nn import batch_sharding
from vgen_jax.nn import batch_statistics
from vgen_jax.nn.bottlenecks import autoencoder
from vgen_jax.nn.bottlenecks import quantizer


class EMAVQ(quantizer.Quantizer):
  """Vector quantization with a codebook of exponential moving averages.

  The codebook is a statistic in the collection 'codebook', not a parameter:
  each vector is the moving average of the features nearest to it. A code that
  is hardly used restarts as a random feature of the batch, in each step until
  it is used enough. Nearly all codes restart after the first batch.

  Attributes:
    num_codes: Size of the codebook.
    width: Size of a vector.
    decay: Decay of the averages, per step.
    commitment: Weight of the mean squared distance between features and their
      vectors, which is the loss.
    restart_below: A code restarts if its moving count of features is below this
      fraction of the mean count, features / num_codes. 0 for no restarts.

  References: van den Oord et al., "Neural Discrete Representation Learning",
  2017, https://arxiv.org/abs/1711.00937; restarts as in Dhariwal et al.,
  "Jukebox: A Generative Model for Music", 2020,
  https://arxiv.org/abs/2005.00341, but relative to the mean count.
  """

  num_codes: Size
  width: Size
  decay: Rate = 0.99
  commitment: float = 0.25
  restart_below: float = 0.06

  def setup(self):
    super().setup()
    shape = (self.num_codes, self.width)
    self.vectors = self.variable('codebook', 'vectors', self._first, shape)
    self.count = self.variable(
      'codebook', 'count', jnp.zeros, (self.num_codes,)
    )

  def __call__(
    self, encoded_bthwe: Array, key_b: Array | None, *, train: bool
  ) -> autoencoder.BottleneckOutput:
    """Returns quantized latents.

    Raises:
      ValueError: If key_b is None, but `train` is True and `restart_below` is
        not 0.
    """
    feature_bthwd = self.features(encoded_bthwe)
    codes_bthw = self.nearest(feature_bthwd)
    vector_bthwd = lax.stop_gradient(self.lookup(codes_bthw))
    error = jnp.square(feature_bthwd - vector_bthwd).mean()
    terms = {'commitment': error}
    output = self.output(
      feature_bthwd, codes_bthw, self.commitment * error, terms, train
    )
    if train and not self.is_initializing():
      restarted = self._update(feature_bthwd, codes_bthw, key_b)
      output.terms['restarted'] = restarted
    return output

  def lookup(self, codes_bthw: Array) -> Array:
    return batch_sharding.gather(self.vectors.value)[codes_bthw]

  def nearest(self, latent_bthwd: Array) -> Array:
    return nearest(latent_bthwd, self.vectors.value)

  def _first(self, shape: tuple[int, int]) -> Array:
    return jax.random.normal(self.make_rng('params'), shape)

  def _update(
    self, feature_bthwd: Array, codes_bthw: Array, key_b: Array | None
  ) -> Array:
    """Updates the codebook; returns the fraction of codes that restarted."""
    feature_nd = lax.stop_gradient(feature_bthwd).reshape(-1, self.width)
    codes_n = codes_bthw.reshape(-1)
    vectors_kd, kept_k = self.vectors.value, self.decay * self.count.value
    new_count_k = batch_statistics.total(
      self, 'new_counts', quantizer.count(codes_bthw, self.num_codes)
    )
    count_k = kept_k + (1 - self.decay) * new_count_k
    new_kd = batch_statistics.total(
      self, 'new_sums', jnp.zeros_like(vectors_kd).at[codes_n].add(feature_nd)
    )
    sum_kd = kept_k[:, None] * vectors_kd + (1 - self.decay) * new_kd
    is_used_k = count_k > 1e-12
    mean_kd = sum_kd / jnp.where(is_used_k, count_k, 1.0)[:, None]
    vectors_kd = jnp.where(is_used_k[:, None], mean_kd, vectors_kd)
    least = self.restart_below * (new_count_k.sum() / self.num_codes)
    restarts_k = count_k < least
    if self.restart_below:
      if key_b is None:
        raise ValueError(
          'key_b is None, but EMAVQ samples the vectors of codes that restart;'
          ' give a key for each clip, or set restart_below to 0.'
        )
      score_k, value_kd = self._sampled(feature_bthwd, key_b)
      feature_kd = batch_statistics.chosen(self, 'restarts', score_k, value_kd)
      vectors_kd = jnp.where(restarts_k[:, None], feature_kd, vectors_kd)
      count_k = jnp.where(restarts_k, least, count_k)
    self.vectors.value, self.count.value = vectors_kd, count_k
    return restarts_k.mean()

  def _sampled(self, feature_bthwd: Array, key_b: Array) -> tuple[Array, Array]:
    """Returns scores and random features of codes, `[k]` and `[k, d]`.

    The feature with the best score of several micro-batches is random, too.
    """
    feature_bnd = feature_bthwd.reshape(len(key_b), -1, self.width)
    shape, num = (self.num_codes,), feature_bnd.shape[1]
    score_bk = random.uniform(random.fold_in(key_b, 0), shape)
    clip_k = score_bk.argmax(0)
    position_bk = random.uniform(random.fold_in(key_b, 1), shape) * num
    position_k = position_bk[clip_k, jnp.arange(self.num_codes)]
    position_k = position_k.astype(jnp.int32).clip(0, num - 1)
    return score_bk.max(0), feature_bnd[clip_k, position_k]


class VQ(quantizer.Quantizer):
  """Vector quantization with a codebook of parameters.

  The loss is the mean squared distance between vectors and features, with
  gradients of the vectors, plus `commitment` times the same distance with
  gradients of the features.

  Attributes:
    num_codes: Size of the codebook.
    width: Size of a vector.
    commitment: Weight of the distance with gradients of the features.

  Reference: van den Oord et al., "Neural Discrete Representation Learning",
  2017, https://arxiv.org/abs/1711.00937, equation 3.
  """

  num_codes: Size
  width: Size
  commitment: float = 0.25

  def setup(self):
    super().setup()
    self.vectors = self.param(
      'vectors', nn.initializers.normal(1.0), (self.num_codes, self.width)
    )

  def __call__(
    self, encoded_bthwe: Array, key_b: Array | None, *, train: bool
  ) -> autoencoder.BottleneckOutput:
    del key_b  # Nothing is random.
    feature_bthwd = self.features(encoded_bthwe)
    codes_bthw = self.nearest(feature_bthwd)
    vector_bthwd = self.lookup(codes_bthw)
    fixed = lax.stop_gradient
    distance = jnp.square(fixed(feature_bthwd) - vector_bthwd).mean()
    error = jnp.square(feature_bthwd - fixed(vector_bthwd)).mean()
    loss = distance + self.commitment * error
    terms = {'commitment': error}
    return self.output(feature_bthwd, codes_bthw, loss, terms, train)

  def lookup(self, codes_bthw: Array) -> Array:
    return batch_sharding.gather(self.vectors)[codes_bthw]

  def nearest(self, latent_bthwd: Array) -> Array:
    return nearest(latent_bthwd, lax.stop_gradient(self.vectors))


def nearest(feature_bthwd: Array, vectors_kd: Array) -> Array:
  """Returns the index of the vector nearest to each feature, `[b, t, h, w]`.

  The indices are int32.
  """
  vectors_kd = batch_sharding.gather(vectors_kd)
  # The default precision on GPUs would choose other vectors where distances are
  # nearly equal.
  product_bthwk = jnp.einsum(
    'bthwd,kd->bthwk', feature_bthwd, vectors_kd, precision='highest'
  )
  square_k = jnp.square(vectors_kd).sum(-1)
  distance_bthwk = square_k[None, None, None, None] - 2 * product_bthwk
  return jnp.argmin(distance_bthwk, axis=-1).astype(jnp.int32)
