"""Bottlenecks that turn latents into codes, and codebooks that are learned.

Each is a module `(encoded_bthwe, key_b, *, train) -> BottleneckOutput` that
projects features of any width to its own, `width`, and snaps them to the
nearest of `num_codes` vectors; `lookup` has the vectors of codes. Gradients
pass straight through, as if nothing had been snapped. All is computed in
float32.

| class           | codebook                          | loss                  |
|-----------------|-----------------------------------|-----------------------|
| EMAVQ           | moving means, in 'codebook'       | commitment            |
| VQ              | parameters                        | distance + commitment |
| lookup_free.FSQ | a grid                            | none                  |
| lookup_free.LFQ | corners of a cube                 | commitment, entropies |
| lookup_free.BSQ | corners of a cube within a sphere | entropies             |

They log, of a batch, `usage`, the share of codes that occur, and `perplexity`,
as how many equally frequent codes they are; and the same of the last hundred
batches or so, `recent_usage` and `recent_perplexity`.
"""

import math

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.core.types import Metrics
from vgen_jax.nn.bottlenecks import autoencoder

_MEMORY = 0.99  # Of how often codes occur, per step.


class Quantizer(nn.Module):
  """What all have in common; a subclass says `width` and `num_codes`."""

  def setup(self):
    self.project = nn.Dense(self.width)
    self.recent_count = self.variable(
      'codebook', 'recent_count', jnp.zeros, (self.num_codes,)
    )

  def lookup(self, codes_bthw: Array) -> Array:
    """Returns the vectors of codes, float32 `[b, t, h, w, width]`."""
    raise NotImplementedError

  def nearest(self, latent_bthwd: Array) -> Array:
    """Returns the codes whose vectors are nearest, int32 `[b, t, h, w]`."""
    raise NotImplementedError

  def features(self, encoded_bthwe: Array) -> Array:
    """Returns what is to be snapped, float32 `[b, t, h, w, width]`."""
    return self.project(encoded_bthwe.astype(jnp.float32))

  def bottled(
    self,
    smooth_bthwd: Array,
    codes_bthw: Array,
    loss: Array,
    terms: Metrics,
    train: bool,
  ) -> autoencoder.BottleneckOutput:
    """Returns the codes' vectors, with the gradients of `smooth_bthwd`.

    Args:
      smooth_bthwd: What was snapped.
      codes_bthw: To which codes.
      loss: What training is to minimize.
      terms: To log, beside usage and perplexity.
      train: Whether codes are counted.
    """
    codes_bthw = codes_bthw.astype(jnp.int32)
    snapped_bthwd = self.lookup(codes_bthw)
    latent_bthwd = _straight_through(smooth_bthwd, snapped_bthwd)
    terms = terms | self._watch(codes_bthw, train)
    return autoencoder.BottleneckOutput(latent_bthwd, loss, terms, codes_bthw)

  def _watch(self, codes_bthw: Array, train: bool) -> Metrics:
    """Counts codes, and remembers it in training."""
    count_k = _count(codes_bthw, self.num_codes)
    recent_k = _MEMORY * self.recent_count.value + (1 - _MEMORY) * count_k
    if train and not self.is_initializing():
      self.recent_count.value = recent_k
    # What one occurrence a hundred batches ago has left.
    trace = (1 - _MEMORY) * math.exp(-1)
    return {
      'usage': (count_k > 0).mean(),
      'perplexity': perplexity(count_k),
      'recent_usage': (recent_k > trace).mean(),
      'recent_perplexity': perplexity(recent_k),
    }


class EMAVQ(Quantizer):
  """Vector quantization whose codebook follows the means of what falls to it.

  The codebook is no parameter but a statistic, in the collection 'codebook':
  each vector is the moving mean of the features nearest to it. A code to which
  hardly anything has fallen restarts as a random feature of the batch, again in
  each step until it finds its share; so do nearly all after the first batch.

  Attributes:
    num_codes: Size of the codebook.
    width: Size of a vector.
    decay: Memory of the means, per step.
    commitment: Weight of the mean squared distance of features from their
      vectors, the loss.
    restart_below: A code restarts when fewer than this share of its fair share,
      features / num_codes, fall to it; 0 leaves dead codes dead.

  References: van den Oord et al., "Neural Discrete Representation Learning",
  2017, https://arxiv.org/abs/1711.00937; restarts as in Dhariwal et al.,
  "Jukebox: A Generative Model for Music", 2020,
  https://arxiv.org/abs/2005.00341, but relative to the fair share.
  """

  num_codes: int
  width: int
  decay: float = 0.99
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
    """Raises ValueError if it trains with restarts, but without keys."""
    feature_bthwd = self.features(encoded_bthwe)
    codes_bthw = self.nearest(feature_bthwd)
    snapped_bthwd = self.lookup(codes_bthw)
    error = jnp.square(feature_bthwd - lax.stop_gradient(snapped_bthwd)).mean()
    terms = {'commitment': error}
    bottled = self.bottled(
      feature_bthwd, codes_bthw, self.commitment * error, terms, train
    )
    if train and not self.is_initializing():
      restarted = self._follow(feature_bthwd, codes_bthw, key_b)
      bottled.terms['restarted'] = restarted
    return bottled

  def lookup(self, codes_bthw: Array) -> Array:
    return self.vectors.value[codes_bthw]

  def nearest(self, latent_bthwd: Array) -> Array:
    return nearest(latent_bthwd, self.vectors.value)

  def _first(self, shape: tuple[int, int]) -> Array:
    return jax.random.normal(self.make_rng('params'), shape)

  def _follow(
    self, feature_bthwd: Array, codes_bthw: Array, key_b: Array | None
  ) -> Array:
    """Moves the codebook; returns the share of codes that restarted."""
    feature_nd = lax.stop_gradient(feature_bthwd).reshape(-1, self.width)
    codes_n = codes_bthw.reshape(-1)
    vectors_kd, kept_k = self.vectors.value, self.decay * self.count.value
    count_k = kept_k + (1 - self.decay) * _count(codes_bthw, self.num_codes)
    new_kd = jnp.zeros_like(vectors_kd).at[codes_n].add(feature_nd)
    sum_kd = kept_k[:, None] * vectors_kd + (1 - self.decay) * new_kd
    met_k = count_k > 1e-12
    mean_kd = sum_kd / jnp.where(met_k, count_k, 1.0)[:, None]
    vectors_kd = jnp.where(met_k[:, None], mean_kd, vectors_kd)
    fair = len(codes_n) / self.num_codes
    least = self.restart_below * fair
    dead_k = count_k < least
    if self.restart_below:
      if key_b is None:
        raise ValueError(
          'key_b is None, but EMAVQ draws the vectors of codes that restart;'
          ' give a key for each clip, or set restart_below to 0.'
        )
      # One draw for the whole batch, however devices share it.
      place_k = jax.random.randint(key_b[0], (self.num_codes,), 0, len(codes_n))
      vectors_kd = jnp.where(dead_k[:, None], feature_nd[place_k], vectors_kd)
      count_k = jnp.where(dead_k, least, count_k)
    self.vectors.value, self.count.value = vectors_kd, count_k
    return dead_k.mean()


class VQ(Quantizer):
  """Vector quantization whose codebook is learned by gradient.

  The loss is the mean squared distance of vectors from the features that fall
  to them, plus `commitment` times that of features from their vectors.

  Attributes:
    num_codes: Size of the codebook.
    width: Size of a vector.
    commitment: Weight of the features' side.

  Reference: van den Oord et al., "Neural Discrete Representation Learning",
  2017, https://arxiv.org/abs/1711.00937, equation 3.
  """

  num_codes: int
  width: int
  commitment: float = 0.25

  def setup(self):
    super().setup()
    self.vectors = self.param(
      'vectors', nn.initializers.normal(1.0), (self.num_codes, self.width)
    )

  def __call__(
    self, encoded_bthwe: Array, key_b: Array | None, *, train: bool
  ) -> autoencoder.BottleneckOutput:
    del key_b  # Nothing is drawn.
    feature_bthwd = self.features(encoded_bthwe)
    codes_bthw = self.nearest(feature_bthwd)
    snapped_bthwd = self.lookup(codes_bthw)
    still = lax.stop_gradient
    distance = jnp.square(still(feature_bthwd) - snapped_bthwd).mean()
    error = jnp.square(feature_bthwd - still(snapped_bthwd)).mean()
    loss = distance + self.commitment * error
    terms = {'commitment': error}
    return self.bottled(feature_bthwd, codes_bthw, loss, terms, train)

  def lookup(self, codes_bthw: Array) -> Array:
    return self.vectors[codes_bthw]

  def nearest(self, latent_bthwd: Array) -> Array:
    return nearest(latent_bthwd, lax.stop_gradient(self.vectors))


def nearest(feature_bthwd: Array, vectors_kd: Array) -> Array:
  """Returns which vector is nearest to each feature, int32 `[b, t, h, w]`."""
  # Of nearly equal sums: lower precision, as GPUs like it, would pick others.
  product_bthwk = jnp.einsum(
    'bthwd,kd->bthwk', feature_bthwd, vectors_kd, precision='highest'
  )
  square_k = jnp.square(vectors_kd).sum(-1)
  distance_bthwk = square_k[None, None, None, None] - 2 * product_bthwk
  return jnp.argmin(distance_bthwk, axis=-1).astype(jnp.int32)


def perplexity(count_k: Array) -> Array:
  """Returns as how many equally frequent codes these are; 1 to k."""
  share_k = count_k / jnp.maximum(count_k.sum(), 1e-12)
  return jnp.exp(jax.scipy.special.entr(share_k).sum())


def _straight_through(smooth: Array, snapped: Array) -> Array:
  """Returns `snapped`, to the last bit, with the gradient of `smooth`."""
  return lax.stop_gradient(snapped) + (smooth - lax.stop_gradient(smooth))


def _count(codes: Array, num_codes: int) -> Array:
  """Returns how often each code occurs, float32 but a whole number."""
  count_k = jnp.zeros((num_codes,), jnp.int32).at[codes.reshape(-1)].add(1)
  return count_k.astype(jnp.float32)
