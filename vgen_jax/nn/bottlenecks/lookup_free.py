"""Quantizers with a fixed codebook: FSQ, LFQ and BSQ.

See nn/bottlenecks/quantize.py for the interface of all quantizers. Without a
learned codebook there is no nearest-neighbour search and there are no unused
vectors, so large codebooks cost nothing.
"""

from collections.abc import Iterable, Sequence
import math

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from vgen_jax.core import checks
from vgen_jax.core.types import Array
from vgen_jax.core.types import Metrics
from vgen_jax.nn import batch_statistics
from vgen_jax.nn.bottlenecks import autoencoder
from vgen_jax.nn.bottlenecks import quantizer


class FSQ(quantizer.Quantizer):
  """Finite scalar quantization: each number of a latent is rounded separately.

  Numbers are bounded, then rounded to one of `levels[i]` levels. A code is the
  integer whose digits are these levels, the least significant first. Features
  should be normalized: if they are large, all are rounded to the outermost
  levels, and few codes occur.

  Attributes:
    levels: Number of levels of each number of a latent; 3 to 1,000.

  Reference: Mentzer et al., "Finite Scalar Quantization: VQ-VAE Made Simple",
  2023, https://arxiv.org/abs/2309.15505. For even numbers of levels, features
  are shifted by arctanh of an offset, so that 0 is in the middle of a level.
  """

  levels: tuple[int, ...]

  def __post_init__(self):
    super().__post_init__()
    # With more levels, bounded numbers would round beyond the outermost level.
    if not self.levels or min(self.levels) < 3 or max(self.levels) > 1000:
      raise ValueError(
        f'levels is {self.levels}; each must be 3 or more, and 1,000 at most.'
        ' For 2 levels use LFQ or BSQ.'
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
    del key_b  # Nothing is random.
    smooth_bthwd = self.bounded(self.features(encoded_bthwe))
    middle, place_value = self._grid()
    digits_bthwd = jnp.round(smooth_bthwd).astype(jnp.int32) + middle
    codes_bthw = jnp.sum(digits_bthwd * place_value, axis=-1)
    loss = jnp.zeros(())
    return self.output(smooth_bthwd / middle, codes_bthw, loss, {}, train)

  def lookup(self, codes_bthw: Array) -> Array:
    middle, place_value = self._grid()
    digits_bthwd = codes_bthw[..., None] // place_value % _row(self.levels)
    return ((digits_bthwd - middle) / middle).astype(jnp.float32)

  def nearest(self, latent_bthwd: Array) -> Array:
    middle, place_value = self._grid()
    digits_bthwd = jnp.rint(latent_bthwd * middle) + middle
    digits_bthwd = digits_bthwd.clip(0, _row(self.levels) - 1)
    return jnp.sum(digits_bthwd.astype(jnp.int32) * place_value, axis=-1)

  def bounded(self, feature_bthwd: Array) -> Array:
    """Returns features bounded so that they round to one of n levels.

    The levels of a channel are the integers from -(n // 2) to (n - 1) // 2.

    Args:
      feature_bthwd: Features; n is the number of levels of each channel.
    """
    levels = _row(self.levels)
    reach = (levels - 1) / 2 * (1 + 1e-3)
    offset = np.where(levels % 2, 0.0, 0.5)
    shift = np.arctanh(offset / reach).astype(np.float32)
    bounded_bthwd = jnp.tanh(feature_bthwd + shift)
    return bounded_bthwd * np.float32(reach) - np.float32(offset)

  def _grid(self) -> tuple[np.ndarray, np.ndarray]:
    """Returns the middle level and the place value of each digit.

    Both are int `[1, 1, 1, 1, d]`.
    """
    place_value = [math.prod(self.levels[:i]) for i in range(self.width)]
    return _row(self.levels) // 2, _row(place_value)


class _Binary(quantizer.Quantizer):
  """Base class of LFQ and BSQ: a latent is a row of signs, a code its bits.

  The first bit is the least significant. The probability of a code is the
  softmax of minus its squared distance divided by the temperature. So bits are
  independent.

  Attributes:
    num_bits: Size of a latent, 1 to 20; there are 2**num_bits codes.
    entropy_weight: Weight of `code entropy - diversity * codebook entropy`, in
      nats. This is low if the code of each feature is certain and all codes are
      equally frequent.
    diversity: Weight of the codebook entropy relative to the code entropy.
    temperature: Temperature of the probabilities.
    group_bits: Number of bits in a group, 1 to 16. The codebook entropy is the
      sum of the entropies of the joint distributions of groups, which needs
      memory for `features * 2**group_bits` numbers.
  """

  num_bits: int
  entropy_weight: float = 0.1
  diversity: float = 1.0
  temperature: float = 0.1
  group_bits: int = 9

  def __post_init__(self):
    super().__post_init__()
    checks.in_range('num_bits', self.num_bits, 1, 20)
    checks.in_range('group_bits', self.group_bits, 1, 16)

  @property
  def width(self) -> int:
    return self.num_bits

  @property
  def num_codes(self) -> int:
    return 2**self.num_bits

  @property
  def _size(self) -> float:
    """Absolute value of the numbers of a latent."""
    return 1.0

  def lookup(self, codes_bthw: Array) -> Array:
    bits_bthwd = (codes_bthw[..., None] >> _row(range(self.num_bits))) & 1
    return self._size * (2.0 * bits_bthwd - 1)

  def nearest(self, latent_bthwd: Array) -> Array:
    place_value = 1 << _row(range(self.num_bits))
    return jnp.sum((latent_bthwd > 0) * place_value, axis=-1)

  def _signs(
    self, smooth_bthwd: Array, loss: Array, terms: Metrics, train: bool
  ) -> autoencoder.BottleneckOutput:
    codes_bthw = self.nearest(smooth_bthwd)
    logit_bthwd = 4 * self._size * smooth_bthwd / self.temperature
    code_entropy, log_frequencies = entropy_parts(
      logit_bthwd.reshape(-1, self.num_bits), self.group_bits
    )
    if train:
      log_frequencies = [
        batch_statistics.log_mean(self, f'log_frequencies_{i}', log_k)
        for i, log_k in enumerate(log_frequencies)
      ]
    codebook_entropy = mixture_entropy(log_frequencies)
    loss += self.entropy_weight * (
      code_entropy - self.diversity * codebook_entropy
    )
    terms = terms | {
      'code_entropy': code_entropy,
      'codebook_entropy': codebook_entropy,
    }
    return self.output(smooth_bthwd, codes_bthw, loss, terms, train)


class LFQ(_Binary):
  """Lookup-free quantization: the numbers of a latent are -1 or 1.

  Attributes:
    commitment: Weight of the mean squared distance between features and their
      codebook vectors.

  Reference: Yu et al., "Language Model Beats Diffusion -- Tokenizer is Key to
  Visual Generation", 2023, https://arxiv.org/abs/2310.05737
  """

  commitment: float = 0.25

  def __call__(
    self, encoded_bthwe: Array, key_b: Array | None, *, train: bool
  ) -> autoencoder.BottleneckOutput:
    del key_b  # Nothing is random.
    feature_bthwd = self.features(encoded_bthwe)
    sign_bthwd = jnp.where(feature_bthwd > 0, 1.0, -1.0)
    error = jnp.square(feature_bthwd - sign_bthwd).mean()
    terms = {'commitment': error}
    return self._signs(feature_bthwd, self.commitment * error, terms, train)


class BSQ(_Binary):
  """Binary spherical quantization: LFQ of features with norm 1.

  Features are never far from their codebook vectors, so there is no commitment
  loss.

  Reference: Zhao et al., "Image and Video Tokenization with Binary Spherical
  Quantization", 2024, https://arxiv.org/abs/2406.07548. Its temperature is 2
  divided by the temperature here.
  """

  @property
  def _size(self) -> float:
    return self.num_bits**-0.5

  def __call__(
    self, encoded_bthwe: Array, key_b: Array | None, *, train: bool
  ) -> autoencoder.BottleneckOutput:
    del key_b  # Nothing is random.
    feature_bthwd = self.features(encoded_bthwe)
    square_bthw1 = jnp.square(feature_bthwd).sum(-1, keepdims=True)
    sphere_bthwd = feature_bthwd * lax.rsqrt(square_bthw1 + 1e-12)
    return self._signs(sphere_bthwd, jnp.zeros(()), {}, train)


def entropies(logit_nd: Array, group: int) -> tuple[Array, Array]:
  """Returns the mean entropy of rows of bits, and that of their mixture.

  Both are in nats. The first is the code entropy, the second the codebook
  entropy.

  Args:
    logit_nd: Logits of independent bits, one row for each feature.
    group: Number of bits in a group. Bits of different groups are treated as
      independent in the mixture, so the second result is an upper bound.
  """
  code_entropy, log_frequencies = entropy_parts(logit_nd, group)
  return code_entropy, mixture_entropy(log_frequencies)


def entropy_parts(logit_nd: Array, group: int) -> tuple[Array, list[Array]]:
  """Returns the mean entropy of rows of bits, and log frequencies of codes.

  The frequencies `[k]` are means over the rows, for each group of bits.
  The arguments are those of `entropies`.
  """
  one_nd = nn.softplus(logit_nd) - logit_nd * nn.sigmoid(logit_nd)
  log_frequencies = []
  for first in range(0, logit_nd.shape[1], group):
    part_nd = logit_nd[:, first : first + group]
    size = part_nd.shape[1]
    bits_kd = jnp.arange(2**size)[:, None] >> jnp.arange(size)[None] & 1
    log_one_nd, log_zero_nd = nn.log_sigmoid(part_nd), nn.log_sigmoid(-part_nd)
    log_nk = log_one_nd @ bits_kd.T + log_zero_nd @ (1 - bits_kd).T
    # In logarithms, because many probabilities are 0 in float32, where entr has
    # no gradient.
    log_k = jax.nn.logsumexp(log_nk, axis=0) - math.log(len(log_nk))
    log_frequencies.append(log_k)
  return one_nd.sum(-1).mean(), log_frequencies


def mixture_entropy(log_frequencies: Sequence[Array]) -> Array:
  """Returns the sum of the entropies of distributions, from log frequencies."""
  return -sum((jnp.exp(log_k) * log_k).sum() for log_k in log_frequencies)


def _row(numbers: Iterable[int]) -> np.ndarray:
  """Returns numbers along the last of five axes, to broadcast to `_bthwd`."""
  return np.array(list(numbers)).reshape(1, 1, 1, 1, -1)
