"""DCGAN: a generator of frames; clips interpolate between two latent codes.

Reference: Radford et al., "Unsupervised Representation Learning with Deep
Convolutional Generative Adversarial Networks", 2015,
https://arxiv.org/abs/1511.06434. At 64 x 64 pixels and a width of 128, channels
are those of its figure 1; other sizes have more or fewer layers.

A GAN of frames learns no motion, and is a baseline for GANs of clips. The
latent code of a clip is rotated from its first to its last frame, so that
frames change smoothly. The critic is `conv_critic.ConvCritic` with
`view='frames'`.
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
from vgen_jax.nn import embeddings
from vgen_jax.nn.convolution import conv
from vgen_jax.nn.convolution import pyramids


class Generator(nn.Module):
  """Generates each frame of a clip from a code of its own.

  The codes of a clip are cos(a) z_0 + sin(a) z_1, with two samples z_0 and z_1
  of N(0, I), and angles a from 0 to `turn`. So the code of each frame is N(0,
  I), too.

  Attributes:
    clip_shape: (t, h, w, c); h == w, a power of 2, at least 8.
    num_classes: Number of classes that frames are conditioned on, by a one-hot
      vector that is concatenated to the code; 0 for none.
    turn: Angle between the codes of the first and the last frame, in radians;
      0 for still clips.
    latent_width: Size of a code.
    width: Channels of the finest hidden layer; each coarser layer has twice as
      many, up to the one with 4 x 4 pixels.
    norm: One of `pyramids.NORMS`, after hidden layers.
    kernel_init: One of `pyramids.INITS`.
    dtype: Dtype of the computation; parameters are float32.
  """

  uses_known_frames = False

  clip_shape: ClipShape
  num_classes: int = 0
  turn: float = 1.0
  latent_width: Size = 100
  width: Size = 128
  norm: str = 'batch'
  kernel_init: str = 'lecun'
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    pyramids.num_halvings(self.clip_shape, 'DCGAN')
    checks.one_of('norm', self.norm, pyramids.NORMS)
    checks.one_of('kernel_init', self.kernel_init, pyramids.INITS)
    checks.at_least('latent_width', self.latent_width, 1)

  def __call__(
    self, key_b: Array, condition: Condition, *, train: bool
  ) -> Array:
    """Returns a clip for each key, float32 `[b, t, h, w, c]` in [-1, 1]."""
    return self.from_codes(self.codes(key_b), condition, train=train)

  def codes(self, key_b: Array) -> Array:
    """Returns the codes of the frames of each clip, `[b, t, latent_width]`."""
    end_b2d = random.normal(key_b, (2, self.latent_width))
    angle_1t1 = jnp.linspace(0, self.turn, self.clip_shape[0])[None, :, None]
    return (
      jnp.cos(angle_1t1) * end_b2d[:, :1] + jnp.sin(angle_1t1) * end_b2d[:, 1:]
    )

  @nn.compact
  def from_codes(
    self, code_btd: Array, condition: Condition, *, train: bool
  ) -> Array:
    """Returns clips with one frame for each code, in [-1, 1].

    Args:
      code_btd: Codes; t may differ from `clip_shape`.
      condition: Condition with 'label' if there are classes.
      train: Whether batch norm uses and updates statistics of the batch.
    """
    b, t = shapes.sizes('bt', code_btd=code_btd)
    one_hot_bk = embeddings.one_hot_label(
      condition, self.num_classes, b, 'dcgan.Generator'
    )
    one_hot_btk = repeat(one_hot_bk, 'b k -> b t k', t=t)
    x_bthwd = rearrange(
      jnp.concatenate([code_btd, one_hot_btk], axis=-1),
      'b t d -> (b t) 1 1 1 d',
    )
    levels = pyramids.num_halvings(self.clip_shape, 'DCGAN')
    x_bthwd = pyramids.Up(
      tuple(self.width * 2**level for level in reversed(range(levels))),
      (1, 4, 4),
      self.norm,
      self.kernel_init,
      self.dtype,
      start=(1, 4, 4),
    )(x_bthwd, train=train)
    head = conv.ConvTranspose3D(
      self.clip_shape[3],
      (1, 4, 4),
      (1, 2, 2),
      kernel_init=pyramids.initializer(self.kernel_init, 4),
      dtype=self.dtype,
    )
    frames_bhwc = jnp.tanh(head(x_bthwd).astype(jnp.float32))[:, 0]
    return rearrange(frames_bhwc, '(b t) h w c -> b t h w c', t=t)
