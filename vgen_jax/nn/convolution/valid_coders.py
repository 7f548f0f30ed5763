"""An encoder and a decoder of frames with convolutions without padding.

Kernels and strides may have any size, as in VideoVAE (models/videovae.py).

Axis suffixes of this file, in addition to those of core/shapes.py: `g` width of
the code of a frame; `d` width of a latent.
"""

import math

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.nn import batch_sharding
from vgen_jax.nn.convolution import conv
from vgen_jax.nn.convolution import pyramids

Layers = tuple[tuple[int, int, int], ...]  # (channels, kernel, stride) each.


def sides(frame: tuple[int, int], layers: Layers) -> list[tuple[int, int]]:
  """Returns height and width before the first and after each layer.

  Args:
    frame: (h, w), in pixels.
    layers: (channels, side of the kernel, stride) of each convolution.

  Raises:
    ValueError: If there is no layer, or features are smaller than a kernel.
  """
  if not layers:
    raise ValueError(
      'layers is (); give (channels, kernel, stride) of one convolution or'
      ' more, such as ((64, 4, 2),).'
    )
  found = [(frame[0], frame[1])]
  for i, (_, kernel, stride) in enumerate(layers):
    h, w = found[-1]
    if min(h, w) < kernel:
      raise ValueError(
        f'Layer {i} of {layers} has a kernel of side {kernel}, but its input is'
        f' {h} x {w} for frames of {frame[0]} x {frame[1]}; take smaller'
        ' kernels, fewer layers or larger frames.'
      )
    found.append(((h - kernel) // stride + 1, (w - kernel) // stride + 1))
  return found


class Encoder(nn.Module):
  """Convolutions, and then dense layers; a ReLU follows all but the last.

  Attributes:
    layers: (channels, side of the kernel, stride) of each convolution.
    dense_widths: Widths of the dense layers; the last is that of a code.
    dtype: Dtype of the computation of convolutions.
  """

  layers: Layers
  dense_widths: tuple[int, ...]
  dtype: str = 'float32'

  @nn.compact
  def __call__(self, video_bthwc: Array) -> Array:
    """Returns the code of each frame, float32 `[b, t, g]`."""
    x_bthwc = video_bthwc
    for width, kernel, stride in self.layers:
      layer = conv.Conv3D(
        width,
        (1, kernel, kernel),
        (1, stride, stride),
        'VALID',
        dtype=self.dtype,
      )
      x_bthwc = nn.relu(layer(x_bthwc))
    x_btg = x_bthwc.reshape(*x_bthwc.shape[:2], -1).astype(jnp.float32)
    for width in self.dense_widths:
      x_btg = batch_sharding.constrain(nn.Dense(width)(nn.relu(x_btg)))
    return x_btg


class Decoder(nn.Module):
  """The layers of the encoder in reverse: dense, then transposed convolutions.

  Attributes:
    layers: Those of the encoder.
    dense_widths: Widths of the encoder's dense layers but the last.
    frame_shape: (h, w, c) of a frame.
    dtype: Dtype of the computation of convolutions.
  """

  layers: Layers
  dense_widths: tuple[int, ...]
  frame_shape: tuple[int, int, int]
  dtype: str = 'float32'

  @nn.compact
  def __call__(self, latent_btd: Array) -> Array:
    """Returns frames `[b, t, h, w, c]` in [-1, 1], float32."""
    h, w, c = self.frame_shape
    side_pairs = sides((h, w), self.layers)
    start = (*side_pairs[-1], self.layers[-1][0])
    b, t = shapes.sizes('bt', latent_btd=latent_btd)
    x_btd = latent_btd
    for width in (*reversed(self.dense_widths), math.prod(start)):
      x_btd = nn.relu(batch_sharding.constrain(nn.Dense(width)(x_btd)))
    x_bthwc = x_btd.reshape(b, t, *start)
    channels = (c, *(width for width, _, _ in self.layers[:-1]))
    for i in reversed(range(len(self.layers))):
      _, kernel, stride = self.layers[i]
      # Pixels at the end that the encoder's layer did not read are padded.
      pads = [
        (kernel - 1, large - (small - 1) * stride - 1)
        for large, small in zip(side_pairs[i], side_pairs[i + 1], strict=True)
      ]
      layer = conv.ConvTranspose3D(
        channels[i],
        (1, kernel, kernel),
        (1, stride, stride),
        ((0, 0), *pads),
        kernel_init=pyramids.initializer('lecun', stride**2),
        dtype=self.dtype,
      )
      x_bthwc = layer(nn.relu(x_bthwc) if i < len(self.layers) - 1 else x_bthwc)
    return jnp.tanh(x_bthwc.astype(jnp.float32))
