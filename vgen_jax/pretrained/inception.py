"""Inception-v3 as used by FID: features of frames for FID, KID and IS.

Szegedy et al., "Rethinking the Inception Architecture for Computer Vision",
2015, https://arxiv.org/abs/1512.00567, with the weights of TensorFlow's archive
of 2015-12-05. That network differs from later versions: average pooling does
not count the padding, the last block has maximum pooling instead, and there are
1008 classes. Layers are named as in torchvision.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.nn.convolution import conv

SIDE = 299
BATCH_NORM_EPS = 1e-3


class Inception(nn.Module):
  """Inception-v3 for inference, without its auxiliary classifier.

  Attributes:
    num_classes: Number of logits.
    batch_norm_eps: Number added to variances.
    width: Factor of the number of channels; 1 except in tests.
  """

  num_classes: int = 1008
  batch_norm_eps: float = BATCH_NORM_EPS
  width: float = 1.0

  @nn.compact
  def __call__(self, image_bhwc: Array) -> dict[str, Array]:
    """Returns features of images, float32.

    The features are 'pooled' `[b, d]` (d = 2048), which FID and KID compare,
    'logits' `[b, k]`, and 'logits_unbiased' without the bias of the last layer,
    whose softmax the Inception Score uses.

    Args:
      image_bhwc: 299 x 299 pixels, 3 channels in [-1, 1].

    Raises:
      ValueError: If images have another size.
    """
    h, w = shapes.sizes('hw', image_bhwc=image_bhwc)
    if (h, w) != (SIDE, SIDE):
      raise ValueError(
        f'Images have {h} x {w} pixels; resize them to {SIDE} x {SIDE} first.'
      )
    block = (self.width, self.batch_norm_eps)
    stem = lambda name, *rest: _Unit(*block, *rest, name=name)
    x = stem('Conv2d_1a_3x3', 32, (3, 3), 2)(image_bhwc)
    x = stem('Conv2d_2a_3x3', 32, (3, 3), 1, 'VALID')(x)
    x = max_pool(stem('Conv2d_2b_3x3', 64, (3, 3))(x), 2)
    x = stem('Conv2d_3b_1x1', 80)(x)
    x = max_pool(stem('Conv2d_4a_3x3', 192, (3, 3), 1, 'VALID')(x), 2)
    for name, pooled in (('5b', 32), ('5c', 64), ('5d', 64)):
      x = _Square(*block, pooled, name=f'Mixed_{name}')(x)
    x = _Halve35(*block, name='Mixed_6a')(x)
    for name, inner in (('6b', 128), ('6c', 160), ('6d', 160), ('6e', 192)):
      x = _Stripes(*block, inner, name=f'Mixed_{name}')(x)
    x = _Halve17(*block, name='Mixed_7a')(x)
    x = _Split(*block, average_pool, name='Mixed_7b')(x)
    x = _Split(*block, max_pool, name='Mixed_7c')(x)
    pooled_bd = jnp.mean(x, (1, 2))
    unbiased_bk, bias_k = _Classifier(self.num_classes, name='fc')(pooled_bd)
    return {
      'pooled': pooled_bd,
      'logits': unbiased_bk + bias_k[None],
      'logits_unbiased': unbiased_bk,
    }


def average_pool(x_bhwc: Array) -> Array:
  """Returns means over 3 x 3 pixels, without padding in the mean."""
  around = ((1, 1), (1, 1))
  return nn.avg_pool(x_bhwc, (3, 3), (1, 1), around, count_include_pad=False)


def max_pool(x_bhwc: Array, stride: int = 1) -> Array:
  """Returns maxima over 3 x 3 pixels, padded only if the stride is 1."""
  padding = 'SAME' if stride == 1 else 'VALID'
  return nn.max_pool(x_bhwc, (3, 3), (stride, stride), padding)


class _Unit(nn.Module):
  """Convolution, batch norm, ReLU; by default padded only if stride is 1."""

  width: float
  batch_norm_eps: float
  channels: int
  size: tuple[int, int] = (1, 1)
  stride: int = 1
  padding: str = ''

  @nn.compact
  def __call__(self, x_bhwc: Array) -> Array:
    padding = self.padding or ('SAME' if self.stride == 1 else 'VALID')
    strides, channels = (self.stride,) * 2, round(self.channels * self.width)
    x_bhwc = conv.Conv2D(
      channels, self.size, strides, padding, use_bias=False, name='conv'
    )(x_bhwc)
    norm = nn.BatchNorm(True, epsilon=self.batch_norm_eps, name='bn')
    return nn.relu(norm(x_bhwc))


class _Block(nn.Module):
  """Base of the blocks; a branch is a sequence of units."""

  width: float
  batch_norm_eps: float

  def branch(self, x: Array, name: str, *units: tuple) -> Array:
    """Returns x after a sequence of units, named <name>_1, <name>_2, ...

    A single unit is named <name>. Units are tuples (channels, size, stride).
    """
    for i, unit in enumerate(units, 1):
      full = name if len(units) == 1 else f'{name}_{i}'
      x = _Unit(self.width, self.batch_norm_eps, *unit, name=full)(x)
    return x


class _Square(_Block):
  """Kernels of sides 1, 3 and 5, at 35 x 35 positions."""

  pooled: int

  @nn.compact
  def __call__(self, x: Array) -> Array:
    three = (96, (3, 3))
    branches = (
      self.branch(x, 'branch1x1', (64,)),
      self.branch(x, 'branch5x5', (48,), (64, (5, 5))),
      self.branch(x, 'branch3x3dbl', (64,), three, three),
      self.branch(average_pool(x), 'branch_pool', (self.pooled,)),
    )
    return jnp.concatenate(branches, -1)


class _Halve35(_Block):
  """Downsampling from 35 x 35 to 17 x 17 positions."""

  @nn.compact
  def __call__(self, x: Array) -> Array:
    last = (96, (3, 3), 2)
    branches = (
      self.branch(x, 'branch3x3', (384, (3, 3), 2)),
      self.branch(x, 'branch3x3dbl', (64,), (96, (3, 3)), last),
      max_pool(x, 2),
    )
    return jnp.concatenate(branches, -1)


class _Stripes(_Block):
  """Kernels of 7 x 1 and 1 x 7, at 17 x 17 positions."""

  inner: int

  @nn.compact
  def __call__(self, x: Array) -> Array:
    c, wide, tall = self.inner, (1, 7), (7, 1)
    sequence = ((c,), (c, tall), (c, wide), (c, tall), (192, wide))
    branches = (
      self.branch(x, 'branch1x1', (192,)),
      self.branch(x, 'branch7x7', (c,), (c, wide), (192, tall)),
      self.branch(x, 'branch7x7dbl', *sequence),
      self.branch(average_pool(x), 'branch_pool', (192,)),
    )
    return jnp.concatenate(branches, -1)


class _Halve17(_Block):
  """Downsampling from 17 x 17 to 8 x 8 positions."""

  @nn.compact
  def __call__(self, x: Array) -> Array:
    last = (192, (3, 3), 2)
    stripes = ((192,), (192, (1, 7)), (192, (7, 1)), last)
    branches = (
      self.branch(x, 'branch3x3', (192,), (320, (3, 3), 2)),
      self.branch(x, 'branch7x7x3', *stripes),
      max_pool(x, 2),
    )
    return jnp.concatenate(branches, -1)


class _Split(_Block):
  """Branches that split into 3 x 1 and 1 x 3 kernels, at 8 x 8 positions."""

  pool: Any

  @nn.compact
  def __call__(self, x: Array) -> Array:
    wide, tall = (384, (1, 3)), (384, (3, 1))
    three = self.branch(x, 'branch3x3_1', (384,))
    double = self.branch(x, 'branch3x3dbl', (448,), (384, (3, 3)))
    branches = (
      self.branch(x, 'branch1x1', (320,)),
      self.branch(three, 'branch3x3_2a', wide),
      self.branch(three, 'branch3x3_2b', tall),
      self.branch(double, 'branch3x3dbl_3a', wide),
      self.branch(double, 'branch3x3dbl_3b', tall),
      self.branch(self.pool(x), 'branch_pool', (192,)),
    )
    return jnp.concatenate(branches, -1)


class _Classifier(nn.Module):
  """A dense layer that returns its bias separately."""

  num_classes: int

  @nn.compact
  def __call__(self, x_bd: Array) -> tuple[Array, Array]:
    shape, init = (x_bd.shape[-1], self.num_classes), nn.initializers
    kernel = self.param('kernel', init.lecun_normal(), shape)
    bias = self.param('bias', init.zeros_init(), shape[1:])
    return x_bd @ kernel, bias
