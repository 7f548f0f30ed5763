"""A tokenizer that rounds the mean brightness of cells of 2 x 2 x 2 pixels."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.nn.bottlenecks import autoencoder


def decoded(codes_bthw):
  video = codes_bthw[..., None] - 1.0
  for axis in (1, 2, 3):
    video = video.repeat(2, axis=axis)
  return video


class Rounding(nn.Module):
  """Rounds a latent to codes; without codes it is the identity."""

  num_codes: int = 3

  def __call__(self, encoded_bthwe, key_b, *, train):
    if not self.num_codes:
      return autoencoder.BottleneckOutput(encoded_bthwe, jnp.zeros(()), {})
    codes = jnp.round(encoded_bthwe[..., 0]).astype(jnp.int32) + 1
    return autoencoder.BottleneckOutput(
      self.lookup(codes), jnp.zeros(()), {}, codes_bthw=codes
    )

  def lookup(self, codes_bthw):
    return codes_bthw[..., None] - 1.0

  def nearest(self, latent_bthwd):
    return jnp.rint(latent_bthwd[..., 0].clip(-1, 1)).astype(jnp.int32) + 1


class Tokenizer(autoencoder.Autoencoder):
  """Halves each side; its decoder has a parameter, which is 1."""

  bottleneck: nn.Module
  halves_time: bool = True

  def setup(self):
    super().setup()
    self.gain = self.param('gain', nn.initializers.ones_init(), ())

  def latent_shape(self, clip_shape):
    t, h, w, _ = clip_shape
    return (t // 2 if self.halves_time else t - 1, h // 2, w // 2, 1)

  def encode(self, video_bthwc, *, train=False):
    b = len(video_bthwc)
    return video_bthwc.reshape(b, 2, 2, 2, 2, 2, 2, 1).mean((2, 4, 6))

  def decode(self, latent_bthwd, *, train=False):
    return decoded(latent_bthwd[..., 0] + 1) * self.gain


class Copies(nn.Module):
  """Predicts that all codes of a clip equal its unmasked codes."""

  num_codes: int = 3

  def __call__(self, codes_bthw, condition, *, train):
    present_bk = jax.nn.one_hot(codes_bthw, 3).max((1, 2, 3))
    return 40 * jnp.broadcast_to(
      present_bk.reshape(-1, 1, 1, 1, 3), (*codes_bthw.shape, 3)
    )
