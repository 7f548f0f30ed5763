"""Convolutional networks of images: an encoder, a U-Net and a flow network.

Also, functions of images that several networks use.
"""

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.nn.convolution import conv
from vgen_jax.nn.convolution import pyramids

_SLOPE = 0.2  # Slope of leaky ReLUs for negative inputs.


class Encoder(nn.Module):
  """Computes features of images; each level but the first halves the sides.

  Attributes:
    widths: Channels of each level, from the finest.
    norm: 'none' or 'group', after all levels but the first.
    dtype: Dtype of the computation; parameters are float32.
  """

  widths: tuple[int, ...]
  norm: str = 'group'
  dtype: str = 'float32'

  @nn.compact
  def __call__(self, x_bhwc: Array) -> Array:
    """Returns features of the coarsest level, `[b, h', w', d]`.

    Args:
      x_bhwc: Images; height and width are multiples of two to the power of the
        number of halvings.
    """
    x_bhwc = _convolved(x_bhwc, self.widths[0], self.dtype)
    for width in self.widths[1:]:
      x_bhwc = _resized(pyramids.Down, x_bhwc, width, self.norm, self.dtype)
    return x_bhwc


class UNet(nn.Module):
  """A U-Net; returns features of images at several resolutions.

  Attributes:
    widths: Channels of each level, from the finest; each has half the sides of
      the one before.
    dtype: Dtype of the computation; parameters are float32.
  """

  widths: tuple[int, ...]
  dtype: str = 'float32'

  @nn.compact
  def __call__(self, x_bhwc: Array) -> list[Array]:
    """Returns features of each level, from the finest, `[b, h', w', d]` each.

    Args:
      x_bhwc: Images; height and width are multiples of two to the power of the
        number of halvings.
    """
    skips = [_convolved(x_bhwc, self.widths[0], self.dtype)]
    for width in self.widths[1:]:
      skips.append(
        _resized(pyramids.Down, skips[-1], width, 'group', self.dtype)
      )
    levels = [skips.pop()]
    for width in reversed(self.widths[:-1]):
      x_bhwc = _resized(pyramids.Up, levels[0], width, 'group', self.dtype)
      x_bhwc = jnp.concatenate([x_bhwc, skips.pop()], axis=-1)
      levels.insert(0, _convolved(x_bhwc, width, self.dtype))
    return levels


class Flow(nn.Module):
  """Predicts optical flow from an image to another one, and a mask.

  Attributes:
    widths: Channels of the levels of a U-Net.
    scale: Flow in pixels for an output of 1 of the last layer.
    dtype: Dtype of the computation; parameters are float32.
  """

  widths: tuple[int, ...]
  scale: float = 20.0
  dtype: str = 'float32'

  @nn.compact
  def __call__(self, x_bhwc: Array) -> tuple[Array, Array]:
    """Returns flow `[b, h, w, 2]` in pixels, and a mask `[b, h, w]`, float32.

    The mask is from 0 to 1. Before training the flow is 0 and the mask 1/2.

    Args:
      x_bhwc: Inputs that describe both images, such as layouts and pixels,
        concatenated as channels.
    """
    features_bhwd = UNet(self.widths, self.dtype, name='unet')(x_bhwc)[0]
    out = conv.Conv2D(
      3,
      (3, 3),
      kernel_init=nn.initializers.zeros_init(),
      dtype=self.dtype,
      name='out',
    )
    y_bhwc = out(features_bhwd).astype(jnp.float32)
    return self.scale * y_bhwc[..., :2], nn.sigmoid(y_bhwc[..., 2])


def with_positions(x_bhwc: Array) -> Array:
  """Returns images with the x and the y of pixels, `[b, h, w, c + 2]`.

  The coordinates (x, y) are the last two channels, from -1 to 1.

  Args:
    x_bhwc: Images.
  """
  b, h, w, _ = x_bhwc.shape
  y_hw, x_hw = jnp.meshgrid(
    jnp.linspace(-1, 1, h), jnp.linspace(-1, 1, w), indexing='ij'
  )
  position_hw2 = jnp.stack([x_hw, y_hw], axis=-1)
  position_bhw2 = jnp.broadcast_to(position_hw2[None], (b, h, w, 2))
  return jnp.concatenate([x_bhwc, position_bhw2], axis=-1)


def downsampled(x_bhwc: Array, factor: int) -> Array:
  """Returns images whose sides are divided by a factor, by averaging.

  Args:
    x_bhwc: Images; their sides are multiples of the factor.
    factor: Side of a block of pixels whose mean is one pixel.
  """
  b, h, w, c = x_bhwc.shape
  shape = (b, h // factor, factor, w // factor, factor, c)
  return x_bhwc.reshape(shape).mean(axis=(2, 4))


def _convolved(x_bhwc: Array, width: int, dtype: str) -> Array:
  """Returns features of the same size; call it in a compact method."""
  layer = conv.Conv2D(width, (3, 3), dtype=dtype)
  return nn.leaky_relu(layer(x_bhwc), _SLOPE)


def _resized(
  stack: type[nn.Module], x_bhwc: Array, width: int, norm: str, dtype: str
) -> Array:
  """Returns images of half or twice the size; call it in a compact method."""
  layer = stack((width,), (1, 4, 4), norm, dtype=dtype)
  return layer(x_bhwc[:, None], train=False)[:, 0]
