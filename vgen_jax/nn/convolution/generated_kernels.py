"""1 x 1 convolutions whose kernels are generated for each image of a batch.

Reference: Wang et al., "Few-shot Video-to-Video Synthesis", 2019,
https://arxiv.org/abs/1910.12713, section 3.

Axis suffixes of this file, in addition to those of core/shapes.py: `i` and `o`
channels of the input and of the result, where the channels `i` are segments of
an image; `k` classes of pixels; `g` groups of segments or classes whose index
is equal modulo the number of groups; `n` positions within a group.
"""

from typing import NamedTuple

from einops import rearrange
import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.nn import batch_sharding


class Pointwise(NamedTuple):
  """Kernels and biases of a 1 x 1 convolution, for each image.

  Attributes:
    kernel_bio: Kernels.
    bias_bo: Biases.
  """

  kernel_bio: Array
  bias_bo: Array


def apply(x_bhwi: Array, kernels: Pointwise) -> Array:
  """Returns each image convolved with its own kernel, `[b, h, w, o]`.

  Args:
    x_bhwi: Images, or features of images.
    kernels: Kernel and bias of each image.

  Raises:
    ValueError: If the shapes do not agree.
  """
  kernel_bio, bias_bo = kernels
  shapes.sizes('', x_bhwi=x_bhwi, kernel_bio=kernel_bio, bias_bo=bias_bo)
  # One matrix product for each image; there is no loop over images.
  y_bhwo = jnp.einsum('bhwi,bio->bhwo', x_bhwi, kernel_bio.astype(x_bhwi.dtype))
  return y_bhwo + bias_bo[:, None, None].astype(y_bhwo.dtype)


def pool_segments(
  features_bhwc: Array, logits_bhwi: Array, class_bhwk: Array
) -> Array:
  """Returns the weighted mean of the features in each segment, `[b, i, c]`.

  There are i segments and k classes. Segments are parts of classes, so that a
  small class has features of its own before training: segment j is a part of
  class j modulo k. With fewer segments than classes, all of class j belongs to
  segment j modulo i instead. The weights of a pixel in the segments of its
  class are the softmax of their logits. The mean does not depend on the size of
  a segment; that of an empty segment is 0.

  Args:
    features_bhwc: Features of images.
    logits_bhwi: Logits of the segments of each pixel.
    class_bhwk: Fraction of each class in each pixel, from 0 to 1.

  Raises:
    ValueError: If the shapes do not agree.
  """
  shapes.sizes(
    '',
    features_bhwc=features_bhwc,
    logits_bhwi=logits_bhwi,
    class_bhwk=class_bhwk,
  )
  i, k = logits_bhwi.shape[-1], class_bhwk.shape[-1]
  num_groups = min(i, k)
  logits_bhwng = _grouped(logits_bhwi.astype(jnp.float32), num_groups, -jnp.inf)
  class_bhwng = _grouped(class_bhwk.astype(jnp.float32), num_groups, 0)
  weight_bhwng = jax.nn.softmax(logits_bhwng, axis=-2) * class_bhwng.sum(
    axis=-2, keepdims=True
  )
  weight_bhwi = rearrange(weight_bhwng, 'b h w n g -> b h w (n g)')[..., :i]
  sum_bic = jnp.einsum(
    'bhwi,bhwc->bic', weight_bhwi, features_bhwc.astype(jnp.float32)
  )
  # The lower bound only has an effect if a segment is almost empty.
  mass_bi = jnp.maximum(weight_bhwi.sum((1, 2)), 1e-3)
  return sum_bic / mass_bi[..., None]


class KernelGenerator(nn.Module):
  """Generates kernels from the features of a reference image.

  Each row of a kernel is computed by the same two layers from the mean features
  of one segment of the image. The network of the paper uses sums over a segment
  instead of means, and spectral norm.

  Attributes:
    out: Channels of the result of the convolution, o.
    hidden: Width of the hidden layer.
  """

  out: int
  hidden: int

  def __post_init__(self):
    super().__post_init__()
    checks.at_least('out', self.out, 1)
    checks.at_least('hidden', self.hidden, 1)

  @nn.compact
  def __call__(self, segments_bic: Array) -> Pointwise:
    """Returns kernels `[b, i, o]` and biases `[b, o]`, float32.

    Args:
      segments_bic: Mean features of i segments, from `pool_segments`.
    """
    (i,) = shapes.sizes('i', segments_bic=segments_bic)
    hidden_bid = nn.Dense(self.hidden, name='hidden')(
      batch_sharding.constrain(segments_bic)
    )
    hidden_bid = nn.leaky_relu(hidden_bid, 0.2)
    init = nn.initializers.variance_scaling(1 / i, 'fan_in', 'truncated_normal')
    kernel_bio = nn.Dense(self.out, kernel_init=init, name='kernel')(hidden_bid)
    bias_bo = nn.Dense(self.out, name='bias')(hidden_bid.mean(axis=1))
    return Pointwise(
      batch_sharding.constrain(kernel_bio), batch_sharding.constrain(bias_bo)
    )


def _grouped(x_bhwi: Array, num_groups: int, fill: float) -> Array:
  """Returns entries by their index modulo `num_groups`, `[b, h, w, n, g]`.

  The last row is filled up with `fill`.
  """
  missing = -x_bhwi.shape[-1] % num_groups
  x_bhwi = jnp.pad(
    x_bhwi, ((0, 0), (0, 0), (0, 0), (0, missing)), constant_values=fill
  )
  return rearrange(x_bhwi, 'b h w (n g) -> b h w n g', g=num_groups)
