"""SAVN, a self-attention video network: a convolutional GRU with attention.

No publication of a video generator with this name was found; the definition
here is our own. A GRU whose state is an image gives features of each frame, of
4 x 4 pixels, which residual blocks enlarge to the size of frames. The inputs of
the GRU depend on the code of the clip and on the index of the frame: if all
frames had the same input, the state would soon stop changing. Positions attend
to each other over space and time before the first block, and before the last
one, where features have half the size of frames. Critics are two
`conv_critic.ConvCritic`: one of random frames and one of whole clips, which may
be downsampled.

Related: Clark et al., "Adversarial Video Generation on Complex Datasets"
(DVD-GAN), 2019, https://arxiv.org/abs/1907.06571, also with a convolutional
GRU, separable self-attention, a critic of frames and a critic of smaller clips;
Zhang et al., "Self-Attention Generative Adversarial Networks", 2018,
https://arxiv.org/abs/1805.08318.
"""

from einops import rearrange
import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Count
from vgen_jax.core.types import Size
from vgen_jax.nn import batch_sharding
from vgen_jax.nn import embeddings
from vgen_jax.nn.attention import space_time
from vgen_jax.nn.convolution import conv
from vgen_jax.nn.convolution import pyramids
from vgen_jax.nn.convolution import recurrent

# Embedding of the index of a frame: its width, and its longest wavelength,
# divided by 2 pi, in frames.
_FRAME_WIDTH, _MAX_PERIOD = 16, 10.0


class Generator(nn.Module):
  """Generates clips from noise and a class.

  Parameters do not depend on t, so one generator generates clips of any length.

  Attributes:
    clip_shape: (t, h, w, c); h == w, a power of 2, at least 8.
    num_classes: Number of classes that clips are conditioned on; 0 for none.
    attention: One of `space_time.SELF_KINDS`; all have the same number of
      parameters.
    num_heads: Number of heads of attention.
    latent_width: Size of the latent code.
    label_width: Size of the embedding of a class.
    width: Channels of the finest features; each coarser level has twice as
      many, up to the one with 4 x 4 pixels.
    dtype: Dtype of products; the recurrent network is float32.
  """

  uses_known_frames = False

  clip_shape: ClipShape
  num_classes: int = 0
  attention: str = 'separable'
  num_heads: Size = 1
  latent_width: Size = 64
  label_width: Count = 32
  width: Size = 32
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    pyramids.num_halvings(self.clip_shape, 'SAVN')
    checks.one_of('attention', self.attention, space_time.SELF_KINDS)
    checks.at_least('latent_width', self.latent_width, 1)

  @nn.compact
  def __call__(
    self, key_b: Array, condition: Condition, *, train: bool
  ) -> Array:
    """Returns clips in [-1, 1].

    Args:
      key_b: Keys, one for each clip.
      condition: Condition with 'label' if there are classes.
      train: Whether batch norm uses and updates statistics of the batch.
    """
    t, _, _, c = self.clip_shape
    code_bd = self._code(key_b, condition)
    levels = pyramids.num_halvings(self.clip_shape, 'SAVN')
    x_bthwd = self._frames(code_bd, self.width * 2**levels, t)
    x_bthwd = self._attend(x_bthwd, 'coarse')
    for level in reversed(range(levels)):
      if level == 0:
        x_bthwd = self._attend(x_bthwd, 'fine')
      block = _Block(self.width * 2**level, self.dtype, name=f'block_{level}')
      x_bthwd = block(x_bthwd, code_bd, train)
    x_bthwd = nn.relu(
      nn.BatchNorm(not train, momentum=0.9, dtype=self.dtype, name='norm')(
        x_bthwd
      )
    )
    out = conv.Conv3D(c, (1, 3, 3), dtype=self.dtype, name='out')
    return jnp.tanh(out(x_bthwd).astype(jnp.float32))

  def _code(self, key_b: Array, condition: Condition) -> Array:
    """Returns noise and the embedding of the class, `[b, d]`."""
    latent_bd = random.normal(key_b, (self.latent_width,))
    one_hot_bk = embeddings.one_hot_label(
      condition, self.num_classes, len(key_b), 'savn.Generator'
    )
    if not self.num_classes:
      return latent_bd
    # The embedding of a class is a row of the kernel.
    table = nn.Dense(
      self.label_width,
      use_bias=False,
      kernel_init=nn.initializers.normal(1.0),
      name='label',
    )
    return jnp.concatenate([latent_bd, table(one_hot_bk)], axis=-1)

  def _frames(self, code_bd: Array, features: int, t: int) -> Array:
    """Returns features of frames from the recurrent network, 4 x 4 pixels."""
    frame_td = embeddings.sincos(jnp.arange(t), _FRAME_WIDTH, _MAX_PERIOD)
    frame_btd = jnp.broadcast_to(frame_td, (len(code_bd), *frame_td.shape))
    code_btd = jnp.broadcast_to(
      code_bd[:, None], (*frame_btd.shape[:2], code_bd.shape[-1])
    )
    hidden = nn.Dense(4 * features, name='hidden')
    hidden_btd = nn.relu(
      hidden(jnp.concatenate([code_btd, frame_btd], axis=-1))
    )
    grid = nn.Dense(16 * features, name='input')
    input_bthwd = rearrange(
      batch_sharding.constrain(grid(batch_sharding.constrain(hidden_btd))),
      'b t (h w d) -> b t h w d', h=4, w=4,
    )  # fmt: skip
    state_bhwd = rearrange(
      batch_sharding.constrain(nn.Dense(16 * features, name='first')(code_bd)),
      'b (h w d) -> b h w d', h=4, w=4,
    )  # fmt: skip
    scan = nn.scan(
      lambda cell, carry, input_bhwd: cell(carry, input_bhwd),
      variable_broadcast='params',
      split_rngs={'params': False},
      in_axes=1,
      out_axes=1,
    )
    cell = recurrent.ConvGRU(features, 3, name='gru')
    _, x_bthwd = scan(cell, (jnp.tanh(state_bhwd),), input_bthwd)
    return x_bthwd.astype(self.dtype)

  def _attend(self, x_bthwd: Array, name: str) -> Array:
    return space_time.SelfAttention(
      self.attention, self.num_heads, self.dtype, name=name
    )(x_bthwd)


class _Block(nn.Module):
  """A residual block that doubles h and w, conditioned on the code."""

  features: int
  dtype: str

  @nn.compact
  def __call__(self, x_bthwd: Array, code_bd: Array, train: bool) -> Array:
    width = x_bthwd.shape[-1]
    scale_shift_bd = nn.Dense(2 * width, name='condition')(code_bd)
    scale_bd, shift_bd = jnp.split(
      batch_sharding.constrain(scale_shift_bd), 2, axis=-1
    )
    norm = nn.BatchNorm(
      not train,
      momentum=0.9,
      use_scale=False,
      use_bias=False,
      dtype=self.dtype,
      name='norm',
    )
    expand = lambda y_bd: y_bd[:, None, None, None]
    y_bthwd = norm(x_bthwd) * (1 + expand(scale_bd)) + expand(shift_bd)
    layer = conv.Conv3D(self.features, (1, 3, 3), dtype=self.dtype, name='conv')
    y_bthwd = layer(_double(nn.relu(y_bthwd)))
    skip = nn.Dense(
      self.features, use_bias=False, dtype=self.dtype, name='skip'
    )
    return batch_sharding.constrain(y_bthwd + _double(skip(x_bthwd)))


def _double(x_bthwc: Array) -> Array:
  """Returns pixels repeated along h and w."""
  return x_bthwc.repeat(2, 2).repeat(2, 3)
