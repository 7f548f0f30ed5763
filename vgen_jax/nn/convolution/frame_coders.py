"""Encoders of frames and of pairs of frames, and a decoder.

The encoder and the decoder of frames have skip connections between them. Their
layers are those of SVG (Denton and Fergus, "Stochastic Video Generation
with a Learned Prior", 2018, https://arxiv.org/abs/1802.07687, code `dcgan_64`),
with group norm instead of batch norm.

Axis suffixes of this file, in addition to those of core/shapes.py: `g` width of
the code of a frame.
"""

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.nn import batch_sharding
from vgen_jax.nn import distributions
from vgen_jax.nn.convolution import conv
from vgen_jax.nn.convolution import pyramids

Skips = tuple[Array, ...]  # Features of frames, from fine to coarse.


class Encoder(nn.Module):
  """Encodes frames to codes, and to features for a decoder.

  Attributes:
    widths: Channels of each layer; each layer halves height and width, and the
      last has 4 x 4 pixels.
    code_width: Size of a code, g.
    norm: 'none' or 'group'.
    kernel_init: One of `pyramids.INITS`.
    dtype: Dtype of the computation; parameters are float32.
  """

  widths: tuple[int, ...]
  code_width: int
  norm: str
  kernel_init: str
  dtype: str

  @nn.compact
  def __call__(self, video_bthwc: Array, *, train: bool) -> tuple[Array, Skips]:
    """Returns codes `[b, t, g]` in [-1, 1], and features of each layer.

    Args:
      video_bthwc: Clips in [-1, 1]. Frames are encoded independently.
      train: Has no effect with these norms.
    """
    skips, x_bthwc = [], video_bthwc
    for width in self.widths:
      x_bthwc = pyramids.Down(
        (width,), (1, 4, 4), self.norm, self.kernel_init, self.dtype
      )(x_bthwc, train=train)
      skips.append(x_bthwc)
    out = conv.Conv3D(
      self.code_width,
      (1, 4, 4),
      padding='VALID',
      kernel_init=pyramids.initializer(self.kernel_init),
      dtype=self.dtype,
    )
    code_btg = out(x_bthwc)[:, :, 0, 0].astype(jnp.float32)
    if self.norm == 'group':  # Over all channels, as there is one position.
      code_btg = nn.LayerNorm()(code_btg)
    return jnp.tanh(code_btg), tuple(skips)


class Decoder(nn.Module):
  """Decodes frames from their codes and from features of an encoder.

  Attributes:
    widths: Those of the encoder.
    num_channels: Channels of frames.
    norm: 'none' or 'group'.
    kernel_init: One of `pyramids.INITS`.
    dtype: Dtype of the computation; parameters are float32.
  """

  widths: tuple[int, ...]
  num_channels: int
  norm: str
  kernel_init: str
  dtype: str

  @nn.compact
  def __call__(self, code_btg: Array, skips: Skips, *, train: bool) -> Array:
    """Returns frames `[b, t, h, w, c]` in [-1, 1], float32.

    Args:
      code_btg: Codes.
      skips: Features of each layer of the encoder, for each frame.
      train: Has no effect with these norms.
    """
    up = lambda width, start=None: pyramids.Up(
      (width,), (1, 4, 4), self.norm, self.kernel_init, self.dtype, start, 0.2
    )
    b, t, g = shapes.sizes('btg', code_btg=code_btg)
    # The first layer takes clips of one position, so frames become clips.
    x = up(self.widths[-1], (1, 4, 4))(
      code_btg.reshape(b * t, 1, 1, 1, g), train=train
    )
    x_bthwc = x.reshape(b, t, 4, 4, -1)
    for i in reversed(range(len(self.widths))):
      x_bthwc = jnp.concatenate([x_bthwc, skips[i].astype(x.dtype)], axis=-1)
      if i:
        x_bthwc = up(self.widths[i - 1])(x_bthwc, train=train)
    out = conv.ConvTranspose3D(
      self.num_channels,
      (1, 4, 4),
      (1, 2, 2),
      kernel_init=pyramids.initializer(self.kernel_init, 4),
      dtype=self.dtype,
    )
    return jnp.tanh(out(x_bthwc).astype(jnp.float32))


class PairPosterior(nn.Module):
  """Maps pairs of frames to distributions of latents, each pair by itself.

  Convolutions of stride 2 are followed by the mean over positions and by linear
  layers for the mean and the logarithm of the variance.

  Attributes:
    widths: Channels of each convolution; each halves height and width.
    latent_width: Size of a latent, d.
    dtype: Dtype of the computation of convolutions.

  Reference: Lee et al., "Stochastic Adversarial Video Prediction", 2018,
  https://arxiv.org/abs/1804.01523
  """

  widths: tuple[int, ...]
  latent_width: int
  dtype: str = 'float32'

  @nn.compact
  def __call__(self, pair_bthwc: Array) -> distributions.Gaussian:
    """Returns Gaussians `[b, t, d]`, float32.

    Args:
      pair_bthwc: The two frames of each pair as channels.
    """
    features_bthwd = pyramids.Down(
      self.widths, (1, 4, 4), 'group', dtype=self.dtype
    )(pair_bthwc, train=False)
    features_btd = features_bthwd.mean((2, 3)).astype(jnp.float32)
    mean_btd, log_variance_btd = (
      batch_sharding.constrain(
        nn.Dense(self.latent_width, name=name)(features_btd)
      )
      for name in ('mean', 'log_variance')
    )
    return distributions.bounded_gaussian(mean_btd, log_variance_btd)
