"""Quantizers whose codebook is given, not learned: FSQ, LFQ and BSQ.

What they have in common with those of nn/bottlenecks/quantize.py is told there.
With no codebook to look up or to keep alive, they serve many codes at no cost.
"""

from collections.abc import Iterable
import math

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from vgen_jax.core.types import Array
from vgen_jax.core.types import Metrics
from vgen_jax.nn.bottlenecks import autoencoder
from vgen_jax.nn.bottlenecks import quantize


class FSQ(quantize.Quantizer):
  """Finite scalar quantization: each number of a latent is rounded by itself.

  Numbers are bounded, then rounded to one of `levels[i]` steps; a code is the
  number whose digits they are, the first digit counting ones. Features should
  come from a norm: if they are large, all end at the rim, and few codes occur.

  Attributes:
    levels: Steps of each number; 3 to 1,000.

  Reference: Mentzer et al., "Finite Scalar Quantization: VQ-VAE Made Simple",
  2023, https://arxiv.org/abs/2309.15505. The shift of even levels is the
  inverse of tanh, so that 0 falls on the middle of a step.
  """

  levels: tuple[int, ...]

  def __post_init__(self):
    super().__post_init__()
    # From 1,001 on, what bounds leave beyond the rim would round to a level.
    if not self.levels or min(self.levels) < 3 or max(self.levels) > 1000:
      raise ValueError(
        f'levels is {self.levels}; each must be 3 or more, and 1,000 at most:'
        ' for two of them take LFQ or BSQ.'
      )

  @property
  def width(self) -> int:
    return len(self.levels)

  @property
  def num_codes(self) -> int:
    return math.prod(self.levels)

  def __call__(
    self, encoded_bthwe: Array, key_b: Array | None, *, train: bool
  ) -> autoencoder.BottleneckOutput:
    del key_b  # Nothing is drawn.
    smooth_bthwd = self.bounded(self.features(encoded_bthwe))
    middle, worth = self._grid()
    digits_bthwd = jnp.round(smooth_bthwd).astype(jnp.int32) + middle
    codes_bthw = jnp.sum(digits_bthwd * worth, axis=-1)
    loss = jnp.zeros(())
    return self.bottled(smooth_bthwd / middle, codes_bthw, loss, {}, train)

  def lookup(self, codes_bthw: Array) -> Array:
    middle, worth = self._grid()
    digits_bthwd = codes_bthw[..., None] // worth % _row(self.levels)
    return ((digits_bthwd - middle) / middle).astype(jnp.float32)

  def nearest(self, latent_bthwd: Array) -> Array:
    middle, worth = self._grid()
    digits_bthwd = jnp.rint(latent_bthwd * middle) + middle
    digits_bthwd = digits_bthwd.clip(0, _row(self.levels) - 1)
    return jnp.sum(digits_bthwd.astype(jnp.int32) * worth, axis=-1)

  def bounded(self, feature_bthwd: Array) -> Array:
    """Returns numbers that round to -(n // 2), ..., (n - 1) // 2."""
    levels = _row(self.levels)
    reach = (levels - 1) / 2 * (1 + 1e-3)
    offset = np.where(levels % 2, 0.0, 0.5)
    shift = np.arctanh(offset / reach).astype(np.float32)
    bounded_bthwd = jnp.tanh(feature_bthwd + shift)
    return bounded_bthwd * np.float32(reach) - np.float32(offset)

  def _grid(self) -> tuple[np.ndarray, np.ndarray]:
    """Returns the middle digits, and what a one is worth in each place."""
    worth = [math.prod(self.levels[:i]) for i in range(self.width)]
    return _row(self.levels) // 2, _row(worth)


class _Binary(quantize.Quantizer):
  """What LFQ and BSQ share: a latent is a row of signs, and a code its bits.

  The first bit counts one. A code's probability is the softmax of minus its
  squared distance over the temperature, which makes bits independent.

  Attributes:
    num_bits: Numbers of a latent, at most 20; 2**num_bits codes.
    entropy_weight: Weight of `code entropy - diversity * codebook entropy`, in
      nats: low if each feature is sure of its code and all codes are taken.
    diversity: Weight of the second within the first.
    temperature: Of the probabilities.
    group_bits: Bits whose joint distribution the codebook's entropy looks at;
      it is the sum over such groups, which takes memory for
      `features * 2**group_bits` numbers.
  """

  num_bits: int
  entropy_weight: float = 0.1
  diversity: float = 1.0
  temperature: float = 0.1
  group_bits: int = 9

  def __post_init__(self):
    super().__post_init__()
    for field, most in (('num_bits', 20), ('group_bits', 16)):
      if not 1 <= getattr(self, field) <= most:
        raise ValueError(
          f'{field} is {getattr(self, field)}; it must be 1 to {most}.'
        )

  @property
  def width(self) -> int:
    return self.num_bits

  @property
  def num_codes(self) -> int:
    return 2**self.num_bits

  @property
  def _size(self) -> float:
    """Absolute value of each number of a latent."""
    return 1.0

  def lookup(self, codes_bthw: Array) -> Array:
    bits_bthwd = (codes_bthw[..., None] >> _row(range(self.num_bits))) & 1
    return self._size * (2.0 * bits_bthwd - 1)

  def nearest(self, latent_bthwd: Array) -> Array:
    worth = 1 << _row(range(self.num_bits))
    return jnp.sum((latent_bthwd > 0) * worth, axis=-1)

  def _signs(
    self, smooth_bthwd: Array, loss: Array, terms: Metrics, train: bool
  ) -> autoencoder.BottleneckOutput:
    codes_bthw = self.nearest(smooth_bthwd)
    logit_bthwd = 4 * self._size * smooth_bthwd / self.temperature
    one, all_of_them = entropies(
      logit_bthwd.reshape(-1, self.num_bits), self.group_bits
    )
    loss += self.entropy_weight * (one - self.diversity * all_of_them)
    terms = terms | {'code_entropy': one, 'codebook_entropy': all_of_them}
    return self.bottled(smooth_bthwd, codes_bthw, loss, terms, train)


class LFQ(_Binary):
  """Lookup-free quantization: numbers become -1 or 1.

  Attributes:
    commitment: Weight of the mean squared distance of features from their
      vectors.

  Reference: Yu et al., "Language Model Beats Diffusion -- Tokenizer is Key to
  Visual Generation", 2023, https://arxiv.org/abs/2310.05737
  """

  commitment: float = 0.25

  def __call__(
    self, encoded_bthwe: Array, key_b: Array | None, *, train: bool
  ) -> autoencoder.BottleneckOutput:
    del key_b  # Nothing is drawn.
    feature_bthwd = self.features(encoded_bthwe)
    sign_bthwd = jnp.where(feature_bthwd > 0, 1.0, -1.0)
    error = jnp.square(feature_bthwd - sign_bthwd).mean()
    terms = {'commitment': error}
    return self._signs(feature_bthwd, self.commitment * error, terms, train)


class BSQ(_Binary):
  """Binary spherical quantization: as LFQ, but of features of length 1.

  No latent is far from its vector, and so there is no commitment.

  Reference: Zhao et al., "Image and Video Tokenization with Binary Spherical
  Quantization", 2024, https://arxiv.org/abs/2406.07548. Its temperature is the
  inverse of ours, times 2.
  """

  @property
  def _size(self) -> float:
    return self.num_bits**-0.5

  def __call__(
    self, encoded_bthwe: Array, key_b: Array | None, *, train: bool
  ) -> autoencoder.BottleneckOutput:
    del key_b  # Nothing is drawn.
    feature_bthwd = self.features(encoded_bthwe)
    square_bthw1 = jnp.square(feature_bthwd).sum(-1, keepdims=True)
    sphere_bthwd = feature_bthwd * lax.rsqrt(square_bthw1 + 1e-12)
    return self._signs(sphere_bthwd, jnp.zeros(()), {}, train)


def entropies(logit_nd: Array, group: int) -> tuple[Array, Array]:
  """Returns the mean entropy of each row of bits, and that of all, in nats.

  Args:
    logit_nd: Logits of independent bits, one row for each feature.
    group: Bits whose joint distribution over the rows counts; bits of other
      groups are taken to be independent of them, which makes the second number
      too large.
  """
  one_nd = nn.softplus(logit_nd) - logit_nd * nn.sigmoid(logit_nd)
  together = jnp.zeros(())
  for first in range(0, logit_nd.shape[1], group):
    part_nd = logit_nd[:, first : first + group]
    size = part_nd.shape[1]
    bits_kd = jnp.arange(2**size)[:, None] >> jnp.arange(size)[None] & 1
    yes, no = nn.log_sigmoid(part_nd), nn.log_sigmoid(-part_nd)
    log_nk = yes @ bits_kd.T + no @ (1 - bits_kd).T
    # As logarithms: many a share is 0 in float32, where entr has no slope.
    log_k = jax.nn.logsumexp(log_nk, axis=0) - math.log(len(log_nk))
    together -= (jnp.exp(log_k) * log_k).sum()
  return one_nd.sum(-1).mean(), together


def _row(numbers: Iterable[int]) -> np.ndarray:
  """Returns numbers along the last of five axes, to go with `_bthwd`."""
  return np.array(list(numbers)).reshape(1, 1, 1, 1, -1)
