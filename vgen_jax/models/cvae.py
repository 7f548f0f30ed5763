"""The network of a conditional VAE of clips.

Reference: Sohn, Lee and Yan, "Learning Structured Output Representation using
Deep Conditional Generative Models", NIPS 2015, section 4. The module has the
three networks of the paper: recognition, q(z | x, y), prior, p(z | x), and
generation, p(y | x, z), where x is the condition and y the clip. The layers are
those of models/conv_vae.py, since the paper's are for single images.

Axis suffixes of this file, in addition to those of core/shapes.py: `d` width of
the latent; `f` features of the condition.
"""

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core.types import Array
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Size
from vgen_jax.core.types import Sizes
from vgen_jax.models import conv_vae
from vgen_jax.nn import batch_sharding
from vgen_jax.nn import distributions
from vgen_jax.nn import embeddings

PRIORS = ('learned', 'standard')


class ClipCVAE(nn.Module):
  """Generates a clip from a latent and a condition.

  The condition is the label, the first frame, or both.

  Attributes:
    clip_shape: (t, h, w, c); t is a multiple of the product of time_strides, h
      and w are multiples of 2 ** len(widths).
    num_classes: Number of labels; 0 for clips that do not depend on labels.
    first_frame: Whether clips depend on their first frame.
    latent_width: Size of the latent of a clip, d.
    prior: 'learned', a network of the condition; 'standard', N(0, 1), which
      does not depend on it.
    widths: Channels after each convolution, as in `conv_vae.ClipVAE`.
    dense_widths: Features of the dense layers, as in `conv_vae.ClipVAE`; one or
      more. The last one is also the number of features of the condition.
    time_strides: Stride in time of each convolution, 1 or 2.
    dtype: Dtype of the computation. Parameters are float32.
  """

  clip_shape: ClipShape
  num_classes: int = 0
  first_frame: bool = False
  latent_width: Size = 8
  prior: str = 'learned'
  widths: Sizes = (16, 32, 64)
  dense_widths: Sizes = (256,)
  time_strides: tuple[Size, ...] = (1, 2, 2)
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('prior', self.prior, PRIORS)
    checks.at_least('num_classes', self.num_classes, 0)
    conv_vae.check_widths(self.widths)
    checks.at_least('latent_width', self.latent_width, 1)
    checks.at_least('Number of dense_widths', len(self.dense_widths), 1)
    if not (self.num_classes or self.first_frame):
      raise ValueError(
        'num_classes is 0 and first_frame is False, so there is no condition;'
        ' set first_frame=True or use data with labels. For an unconditional'
        " VAE, use 'models.conv_vae.ClipVAE' with 'families.autoencoding.vae."
        "VAE'."
      )
    if len(self.time_strides) != len(self.widths):
      raise ValueError(
        f'time_strides are {self.time_strides} and widths {self.widths}; each'
        ' convolution needs one entry of each.'
      )

  @property
  def condition_keys(self) -> tuple[str, ...]:
    """Keys of the conditions that the network uses."""
    frame = ('known_video', 'known') if self.first_frame else ()
    return (*(('label',) if self.num_classes else ()), *frame)

  def setup(self):
    t, h, w, c = self.clip_shape
    encoder = lambda strides: conv_vae.ClipEncoder(
      self.widths, self.dense_widths, strides, self.dtype
    )
    inner = (
      *conv_vae.halved((t,), self.time_strides),
      *conv_vae.halved((h, w), (2,) * len(self.widths)),
    )
    self.encoder = encoder(self.time_strides)
    self.decoder = conv_vae.ClipDecoder(
      self.widths, self.dense_widths, self.time_strides, inner, c, self.dtype
    )
    if self.first_frame:
      self.frame_encoder = encoder((1,) * len(self.widths))
    dense = lambda width: nn.Dense(width, dtype=self.dtype)
    self.condition_in = dense(self.dense_widths[-1])
    self.recognition_in = dense(self.dense_widths[-1])
    self.recognition_out = dense(2 * self.latent_width)
    if self.prior == 'learned':
      self.prior_out = dense(2 * self.latent_width)

  def features(
    self, condition: Condition, first_bhwc: Array | None, num_clips: int
  ) -> Array:
    """Returns features `[b, f]` of the condition.

    Args:
      condition: Condition with 'label', int32 `[b]`, if there are classes.
      first_bhwc: First frames in [-1, 1]; None if the network does not use
        them.
      num_clips: Number of clips, b.

    Raises:
      ValueError: If there is no label, but the network uses labels.
    """
    parts = []
    if self.num_classes:
      parts.append(
        embeddings.one_hot_label(
          condition, self.num_classes, num_clips, type(self).__name__
        )
      )
    if self.first_frame:
      parts.append(self.frame_encoder(first_bhwc[:, None]))
    x_bf = jnp.concatenate([x.astype(self.dtype) for x in parts], axis=-1)
    return batch_sharding.constrain(nn.silu(self.condition_in(x_bf)))

  def posterior(
    self, video_bthwc: Array, feature_bf: Array
  ) -> distributions.Gaussian:
    """Returns q(z | x, y), the distributions of latents `[b, d]` of clips.

    Args:
      video_bthwc: Clips in [-1, 1], of `clip_shape`.
      feature_bf: Features of their conditions.
    """
    x_bf = jnp.concatenate([self.encoder(video_bthwc), feature_bf], axis=-1)
    x_bf = batch_sharding.constrain(nn.silu(self.recognition_in(x_bf)))
    return _gaussian(self.recognition_out(x_bf))

  def prior_of(self, feature_bf: Array) -> distributions.Gaussian:
    """Returns p(z | x), the distributions of latents `[b, d]`.

    Args:
      feature_bf: Features of the conditions.
    """
    if self.prior == 'standard':
      shape = (len(feature_bf), self.latent_width)
      return distributions.standard_normal(shape)
    return _gaussian(self.prior_out(feature_bf))

  def decode(self, latent_bd: Array, feature_bf: Array) -> Array:
    """Returns clips `[b, t, h, w, c]`, float32, not clipped to [-1, 1].

    Args:
      latent_bd: Latents, one for each clip.
      feature_bf: Features of the conditions.
    """
    x_bf = jnp.concatenate([latent_bd.astype(self.dtype), feature_bf], axis=-1)
    return self.decoder(x_bf).astype(jnp.float32)


def _gaussian(output_bd: Array) -> distributions.Gaussian:
  """Returns the distributions whose means and log-variances are outputs."""
  mean_bd, log_variance_bd = jnp.split(
    batch_sharding.constrain(output_bd).astype(jnp.float32), 2, axis=-1
  )
  return distributions.bounded_gaussian(mean_bd, log_variance_bd)
