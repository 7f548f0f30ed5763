"""TGAN: a temporal generator of latent codes, and an image generator.

Reference: Saito, Matsumoto and Saito, "Temporal Generative Adversarial Nets
with Singular Value Clipping", 2017, https://arxiv.org/abs/1611.06624. At 64 x
64 pixels and 16 frames, layers are those of the released code; other sizes have
more or fewer layers. Its critic is `conv_critic.ConvCritic` with
`norm='batch_scale'`, trained with the Wasserstein loss and the constraint
'clip_singular_values' every 5 steps.
"""

from einops import rearrange
from einops import repeat
import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import random
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Size
from vgen_jax.nn import batch_sharding
from vgen_jax.nn import embeddings
from vgen_jax.nn.convolution import conv
from vgen_jax.nn.convolution import pyramids


class Generator(nn.Module):
  """Generates each frame from the clip's code and a code of the frame.

  The temporal generator turns the code of a clip into one code for each frame.
  To generate frames between two frames, interpolate the result of `frame_codes`
  and call `from_codes`, which accepts any number of frames.

  Attributes:
    clip_shape: (t, h, w, c); t is a power of 2, at least 2; h == w, a power of
      2, at least 8.
    num_classes: Number of classes that clips are conditioned on, by a one-hot
      vector that is concatenated to the code of the clip; 0 for none.
    latent_width: Size of the code of a clip, and of a frame.
    temporal_width: Channels of the last hidden layers of the temporal
      generator.
    width: Channels of the finest hidden layer of the image generator; each
      coarser layer has twice as many, up to the one with 4 x 4 pixels.
    norm: 'batch_scale', as in the released code, or 'none'.
    kernel_init: One of `pyramids.INITS`.
    dtype: Dtype of products of the image generator; the temporal generator is
      small, and float32.
  """

  uses_known_frames = False

  clip_shape: ClipShape
  num_classes: int = 0
  latent_width: Size = 100
  temporal_width: Size = 128
  width: Size = 32
  norm: str = 'batch_scale'
  kernel_init: str = 'lecun'
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    pyramids.num_halvings(self.clip_shape, 'TGAN')
    checks.one_of('norm', self.norm, ('batch_scale', 'none'))
    t = self.clip_shape[0]
    if t < 2 or t & (t - 1):
      raise ValueError(
        f'clip_shape has {t} frames; TGAN generates 2, 4, 8, 16, ... frames.'
        ' Set config.clip_shape[0] to a power of 2.'
      )

  def __call__(
    self, key_b: Array, condition: Condition, *, train: bool
  ) -> Array:
    """Returns a clip for each key, float32 `[b, t, h, w, c]` in [-1, 1]."""
    clip_code_bd = self.clip_code(key_b, condition)
    frame_code_btd = self.frame_codes(clip_code_bd, train=train)
    return self.from_codes(clip_code_bd, frame_code_btd, train=train)

  def clip_code(self, key_b: Array, condition: Condition) -> Array:
    """Returns the code of each clip, `[b, latent_width + num_classes]`.

    The first `latent_width` numbers are random, uniform in [-1, 1); the others
    are the one-hot class.

    Raises:
      ValueError: If `condition` has a label and num_classes is 0, or it has no
        label and num_classes is not 0.
    """
    one_hot_bk = embeddings.one_hot_label(
      condition, self.num_classes, len(key_b), 'tgan.Generator'
    )
    code_bd = 2 * random.uniform(key_b, (self.latent_width,)) - 1
    return jnp.concatenate([code_bd, one_hot_bk], axis=-1)

  def setup(self):
    common = (self.norm, self.kernel_init)
    doublings = self.clip_shape[0].bit_length() - 1
    self.temporal = pyramids.Up(
      # 512, 256, 128, 128 in the paper.
      tuple(self.temporal_width * max(1, 4 // 2**i) for i in range(doublings)),
      (4, 1, 1),
      *common,
      start=(1, 1, 1),
    )
    self.temporal_out = conv.ConvTranspose3D(
      self.latent_width,
      (4, 1, 1),
      (2, 1, 1),
      kernel_init=pyramids.initializer(self.kernel_init, 2),
    )
    self.image = _Image(self.clip_shape, self.width, *common, dtype=self.dtype)

  def frame_codes(self, clip_code_bd: Array, *, train: bool) -> Array:
    """Returns a code in (-1, 1) for each frame, `[b, t, latent_width]`."""
    x_bthwd = self.temporal(clip_code_bd[:, None, None, None], train=train)
    return jnp.tanh(self.temporal_out(x_bthwd))[:, :, 0, 0]

  def from_codes(
    self, clip_code_bd: Array, frame_code_btd: Array, *, train: bool
  ) -> Array:
    """Returns clips with one frame for each frame code, in [-1, 1].

    Args:
      clip_code_bd: Codes of clips, from `clip_code`.
      frame_code_btd: Codes of frames; t may differ from `clip_shape`.
      train: Whether batch norm uses and updates statistics of the batch.
    """
    t = shapes.sizes('t', frame_code_btd=frame_code_btd)[0]
    clip_code_bd = repeat(clip_code_bd, 'b d -> (b t) d', t=t)
    frame_code_bd = rearrange(frame_code_btd, 'b t d -> (b t) d')
    frames_bhwc = self.image(clip_code_bd, frame_code_bd, train=train)
    return rearrange(frames_bhwc, '(b t) h w c -> b t h w c', t=t)


class _Image(nn.Module):
  """The image generator; attributes are those of `Generator`."""

  clip_shape: ClipShape
  width: int
  norm: str
  kernel_init: str
  dtype: str

  @nn.compact
  def __call__(
    self, clip_code_bd: Array, frame_code_bd: Array, *, train: bool
  ) -> Array:
    levels = pyramids.num_halvings(self.clip_shape, 'TGAN')
    widths = [self.width * 2**i for i in reversed(range(levels))]
    norm = 'batch' if self.norm == 'batch_scale' else 'none'

    def first(code_bd: Array) -> Array:
      dense = nn.Dense(
        16 * widths[0],
        use_bias=norm == 'none',
        kernel_init=pyramids.initializer(self.kernel_init),
        dtype=self.dtype,
      )
      code_bd = batch_sharding.constrain(code_bd)
      x_bd = nn.relu(pyramids.normed(dense, code_bd, norm, train))
      x_bd = batch_sharding.constrain(x_bd)
      return rearrange(x_bd, 'b (h w d) -> b 1 h w d', h=4, w=4)

    x_bthwd = jnp.concatenate(
      [first(clip_code_bd), first(frame_code_bd)], axis=-1
    )
    x_bthwd = pyramids.Up(
      tuple(widths), (1, 4, 4), self.norm, self.kernel_init, self.dtype
    )(x_bthwd, train=train)
    out = conv.Conv2D(
      self.clip_shape[3],
      (3, 3),
      kernel_init=pyramids.initializer(self.kernel_init),
      dtype=self.dtype,
    )
    return jnp.tanh(out(x_bthwd[:, 0]).astype(jnp.float32))
