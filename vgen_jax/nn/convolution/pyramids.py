"""Stacks of convolutions that halve or double the sides of clips, as in DCGAN.

Reference: Radford et al., "Unsupervised Representation Learning with Deep
Convolutional Generative Adversarial Networks", 2015,
https://arxiv.org/abs/1511.06434
"""

from collections.abc import Callable
import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core.types import Array
from vgen_jax.nn import norm as norm_lib
from vgen_jax.nn import spectral
from vgen_jax.nn.convolution import conv

NORMS = ('none', 'batch', 'batch_scale', 'group', 'spectral')
INITS = ('lecun', 'normal_0.01', 'normal_0.02', 'uniform_0.01')

FEATURES = 'intermediates'  # Collection of the outputs of layers of `Down`.

Sides = tuple[int, int, int]  # (t, h, w)


class _Pyramid(nn.Module):
  """Base class of both stacks.

  Attributes:
    widths: Channels of each layer.
    kernel: Sides (t, h, w) of kernels, each 4, or 1 for an axis that keeps its
      size.
    norm: 'none'; 'batch'; 'batch_scale', batch norm without a bias; 'group',
      group norm of each frame, with 8 channels or more in a group; 'spectral'.
    kernel_init: One of INITS: 'lecun', scaled so that outputs have the variance
      of inputs, or the distribution that the name states.
    dtype: Dtype of the computation; parameters are float32.
  """

  widths: tuple[int, ...]
  kernel: Sides = (4, 4, 4)
  norm: str = 'batch'
  kernel_init: str = 'lecun'
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('norm', self.norm, NORMS)
    checks.one_of('kernel_init', self.kernel_init, INITS)
    for side in self.kernel:
      checks.one_of(f'A side of kernel {self.kernel}', side, (1, 4))

  @property
  def _strides(self) -> Sides:
    t, h, w = (2 if side == 4 else 1 for side in self.kernel)
    return t, h, w


class Up(_Pyramid):
  """Transposed convolutions; each doubles the sides where `kernel` is 4.

  A norm and a leaky ReLU follow each layer.

  Attributes:
    slope: Slope of the leaky ReLU for negative inputs; 0 for ReLU.
    start: Sides (t, h, w) of the output of the first layer, whose input has one
      position; None if the first layer doubles sides like the others.
  """

  start: Sides | None = None
  slope: float = 0.0

  @nn.compact
  def __call__(self, x_bthwc: Array, *, train: bool) -> Array:
    for level, width in enumerate(self.widths):
      starts = level == 0 and self.start is not None
      kernel = self.start if starts else self.kernel
      layer = conv.ConvTranspose3D(
        width,
        kernel,
        (1, 1, 1) if starts else self._strides,
        'VALID' if starts else 'SAME',
        kernel_init=initializer(
          # An output of the first layer depends on one tap of the kernel.
          self.kernel_init,
          math.prod(kernel) if starts else math.prod(self._strides),
        ),
        dtype=self.dtype,
      )
      x_bthwc = normed(layer, x_bthwc, self.norm, train, self.kernel_init)
      x_bthwc = (
        nn.leaky_relu(x_bthwc, self.slope) if self.slope else nn.relu(x_bthwc)
      )
    return x_bthwc


class Down(_Pyramid):
  """Convolutions; each halves the sides where `kernel` is 4.

  A norm and a leaky ReLU of slope 0.2 follow each layer.

  Attributes:
    first_norm: Whether a norm also follows the first layer; critics of DCGAN
      have none there. Spectral norm is used in any case.
  """

  first_norm: bool = True

  @nn.compact
  def __call__(self, x_bthwc: Array, *, train: bool) -> Array:
    pad = tuple((1, 1) if side == 4 else (0, 0) for side in self.kernel)
    for level, width in enumerate(self.widths):
      layer = conv.Conv3D(
        width,
        self.kernel,
        self._strides,
        pad,
        kernel_init=initializer(self.kernel_init),
        dtype=self.dtype,
      )
      norm = self.norm
      if level == 0 and not self.first_norm and norm != 'spectral':
        norm = 'none'
      x_bthwc = normed(layer, x_bthwc, norm, train, self.kernel_init)
      x_bthwc = nn.leaky_relu(x_bthwc, 0.2)
      self.sow(FEATURES, 'features', x_bthwc)  # If the collection is mutable.
    return x_bthwc


def normed(
  layer: nn.Module,
  x: Array,
  norm: str,
  train: bool,
  kernel_init: str = 'lecun',
) -> Array:
  """Returns `layer(x)` with a norm of NORMS; call it in a compact method.

  'group' needs clips `[b, t, h, w, c]`.

  Args:
    layer: Unbound layer with a kernel.
    x: Input of the layer.
    norm: One of NORMS.
    train: Whether statistics are those of the batch, and are updated.
    kernel_init: One of INITS; scales of batch norm start near 1 with a standard
      deviation of 0.02 if kernels are normal, as in DCGAN, and else at 1.
  """
  x = spectral.apply(layer, x, normed=norm == 'spectral', train=train)
  if norm == 'group':
    return norm_lib.FrameGroupNorm(min_channels=8)(x)
  if norm in ('batch', 'batch_scale'):
    scale_init = nn.initializers.ones_init()
    if kernel_init.startswith('normal'):
      scale_init = lambda key, shape, dtype=jnp.float32: (
        1 + 0.02 * jax.random.normal(key, shape, dtype)
      )
    x = nn.BatchNorm(
      not train,
      momentum=0.9,
      use_bias=norm == 'batch',
      scale_init=scale_init,
      dtype=x.dtype,
    )(x)
  return x


def num_halvings(clip_shape: tuple[int, ...], what: str) -> int:
  """Returns the number of halvings of height and width down to 4 x 4 pixels.

  Args:
    clip_shape: (t, h, w, c).
    what: Name of the network, for the error.

  Raises:
    ValueError: If frames are not squares with a side of 8, 16, 32, ...
  """
  h, w = clip_shape[1:3]
  if h != w or h < 8 or h & (h - 1):
    raise ValueError(
      f'Frames are {h} x {w} pixels; {what} needs squares with a side of 8, 16,'
      ' 32, ...: crop or resize the data.'
    )
  return h.bit_length() - 3


def initializer(name: str, scale: float = 1.0) -> Callable[..., Any]:
  """Returns an initializer of INITS; `scale` multiplies the LeCun variance."""
  checks.one_of('kernel_init', name, INITS)
  if name == 'lecun':
    return nn.initializers.variance_scaling(scale, 'fan_in', 'truncated_normal')
  kind, _, size = name.partition('_')
  if kind == 'normal':
    return nn.initializers.normal(float(size))
  return functools.partial(_symmetric, limit=float(size))


def _symmetric(key: Array, shape, dtype=jnp.float32, *, limit: float) -> Array:
  return jax.random.uniform(key, shape, dtype, -limit, limit)
