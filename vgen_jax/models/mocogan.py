"""MoCoGAN: a clip has one content code and a sequence of motion codes.

Reference: Tulyakov et al., "MoCoGAN: Decomposing Motion and Content for Video
Generation", 2018, https://arxiv.org/abs/1707.04993. With `norm='batch'` layers
are those of the released code at 64 x 64 pixels and 16 frames, without its
noise layers; other sizes have more or fewer layers.

The default norm of critics is 'none': in small experiments, batch norm lost
content or motion, and R1 (families/adversarial/gan.py) kept both.
"""

import functools
from typing import NamedTuple

from einops import rearrange
from einops import repeat
import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import random
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Count
from vgen_jax.core.types import Size
from vgen_jax.nn import batch_sharding
from vgen_jax.nn import embeddings
from vgen_jax.nn import spectral
from vgen_jax.nn.convolution import conv
from vgen_jax.nn.convolution import pyramids

_NAME = 'MoCoGAN'  # In errors.
_CONTENT, _START, _NOISE = range(3)  # Purposes of a clip's key.


class Codes(NamedTuple):
  """Random codes of clips; mix those of two clips to swap content or motion.

  Attributes:
    content_bd: Content code, the same for all frames of a clip.
    start_bd: Initial state of the motion.
    noise_btd: Noise that drives the motion at each frame.
  """

  content_bd: Array
  start_bd: Array
  noise_btd: Array


class Generator(nn.Module):
  """Generates each frame of a clip from a content code and a motion code.

  Parameters do not depend on t: one generator generates clips of any length,
  and a longer clip starts with the shorter clip of the same key.

  Attributes:
    clip_shape: (t, h, w, c); h == w, a power of 2, at least 8.
    num_classes: Number of classes that clips are conditioned on; 0 for none.
    category_to: Part that is conditioned on the class: 'motion', the recurrent
      network, best in the paper, or 'frames', as in the released code.
    width: Channels of the finest hidden layer; each coarser layer has twice as
      many, up to the one with 4 x 4 pixels.
    content_width: Size of the content code.
    motion_width: Size of a motion code, and of the recurrent state.
    norm: 'batch' or 'none', after hidden layers.
    kernel_init: 'lecun', or 'dcgan', which is N(0, 0.02^2).
    dtype: Dtype of the products of the frame decoder. The recurrent network is
      small, and float32.
  """

  uses_known_frames = False

  clip_shape: ClipShape
  num_classes: int = 0
  category_to: str = 'motion'
  width: Size = 64
  content_width: Count = 50
  motion_width: Size = 10
  norm: str = 'batch'
  kernel_init: str = 'lecun'
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    pyramids.num_halvings(self.clip_shape, _NAME)
    checks.one_of('category_to', self.category_to, ('motion', 'frames'))
    checks.one_of('norm', self.norm, ('batch', 'none'))
    _kernel_init(self.kernel_init)

  def __call__(
    self, key_b: Array, condition: Condition, *, train: bool
  ) -> Array:
    """Returns a clip for each key, float32 `[b, t, h, w, c]` in [-1, 1]."""
    return self.from_codes(self.codes(key_b), condition, train=train)

  def codes(self, key_b: Array) -> Codes:
    """Returns random codes of a clip for each key."""
    t = self.clip_shape[0]
    noise_key_b = random.fold_in(key_b, _NOISE)
    at_frame = lambda i: random.normal(
      random.fold_in(noise_key_b, i), (self.motion_width,)
    )
    return Codes(
      random.normal(random.fold_in(key_b, _CONTENT), (self.content_width,)),
      random.normal(random.fold_in(key_b, _START), (self.motion_width,)),
      jax.vmap(at_frame, out_axes=1)(jnp.arange(t)),
    )

  @nn.compact
  def from_codes(
    self, codes: Codes, condition: Condition, *, train: bool
  ) -> Array:
    """Returns clips generated from codes, with a frame for each motion code.

    Args:
      codes: Content and motion codes; t may differ from `clip_shape`.
      condition: Condition with 'label' if there are classes.
      train: Whether batch norm uses and updates statistics of the batch.
    """
    b, t = shapes.sizes('bt', noise_btd=codes.noise_btd)
    category_btd = self._category(condition, b, t)
    to_motion, to_frames = [category_btd], []
    if self.category_to == 'frames':
      to_motion, to_frames = to_frames, to_motion
    content_btd = repeat(codes.content_bd, 'b d -> b t d', t=t)
    motion_btd = nn.RNN(nn.GRUCell(self.motion_width), name='walk')(
      jnp.concatenate([codes.noise_btd, *to_motion], axis=-1),
      initial_carry=codes.start_bd,
    )
    code_btd = batch_sharding.constrain(
      jnp.concatenate([content_btd, motion_btd, *to_frames], axis=-1)
    )
    frames_bhwc = self._decode(rearrange(code_btd, 'b t d -> (b t) d'), train)
    return rearrange(frames_bhwc, '(b t) h w c -> b t h w c', t=t)

  def _category(self, condition: Condition, b: int, t: int) -> Array:
    """Returns one-hot classes `[b, t, num_classes]`."""
    one_hot_bd = embeddings.one_hot_label(
      condition, self.num_classes, b, 'mocogan.Generator'
    )
    return repeat(one_hot_bd, 'b d -> b t d', t=t)

  def _decode(self, code_bd: Array, train: bool) -> Array:
    """Returns frames: 1 x 1 -> 4 x 4 -> 8 x 8 -> ... -> h x h pixels."""
    deconv = functools.partial(
      conv.ConvTranspose2D,
      use_bias=self.norm != 'batch',
      dtype=self.dtype,
    )
    x_bhwc = code_bd[:, None, None, :]
    levels = pyramids.num_halvings(self.clip_shape, _NAME)
    for level in reversed(range(levels)):
      first = level == levels - 1
      layer = deconv(
        self.width * 2**level,
        (4, 4),
        strides=(1, 1) if first else (2, 2),
        padding='VALID' if first else 'SAME',
        # An output pixel depends on 1 of 16 taps in the first layer, and on 4
        # of 16 in the others.
        kernel_init=_kernel_init(self.kernel_init, 16 if first else 4),
      )
      x_bhwc = nn.relu(_normed(layer, x_bhwc, self.norm, train, self.dtype))
    last_init = _kernel_init(self.kernel_init, 4)
    x_bhwc = deconv(self.clip_shape[3], (4, 4), (2, 2), kernel_init=last_init)(
      x_bhwc
    )
    return jnp.tanh(x_bhwc.astype(jnp.float32))


class _Critic(nn.Module):
  """Base class of both critics.

  Attributes:
    width: Channels of the first layer; they double in each following layer.
    norm: 'none', 'spectral', or 'batch' (not in the first and last layer).
    kernel_init: 'lecun', or 'dcgan', which is N(0, 0.02^2).
    dtype: Dtype of the computation; parameters are float32.
  """

  width: Size = 64
  norm: str = 'none'
  kernel_init: str = 'lecun'
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('norm', self.norm, ('none', 'batch', 'spectral'))
    _kernel_init(self.kernel_init)

  def _make(self, layer: type[nn.Module], *args, **kwargs) -> nn.Module:
    return layer(
      *args,
      use_bias=self.norm != 'batch',
      kernel_init=_kernel_init(self.kernel_init),
      dtype=self.dtype,
      **kwargs,
    )

  def _apply(self, layer, x: Array, *, inner: bool, train: bool) -> Array:
    norm = 'none' if self.norm == 'batch' and not inner else self.norm
    return _normed(layer, x, norm, train, self.dtype)


class ImageCritic(_Critic):
  """A critic of patches of a random frame; its logits are `[b, h, w, 1]`."""

  uses_labels = False

  @nn.compact
  def __call__(
    self, video_bthwc: Array, condition: Condition, key_b: Array, *, train: bool
  ) -> Array:
    """Returns logits; the frame is drawn with `key_b`."""
    del condition
    t = shapes.sizes('t', video_bthwc=video_bthwc, key_b=key_b)[0]
    num_halvings = pyramids.num_halvings(video_bthwc.shape[1:], _NAME)
    pick = lambda key, video_thwc: jax.lax.dynamic_index_in_dim(
      video_thwc, jax.random.randint(key, (), 0, t), keepdims=False
    )
    x_bhwc = batch_sharding.constrain(jax.vmap(pick)(key_b, video_bthwc))
    halve = functools.partial(
      self._make,
      conv.Conv2D,
      kernel_size=(4, 4),
      strides=(2, 2),
      padding=((1, 1), (1, 1)),
    )
    # For 8 x 8 pixels there are only two hidden layers.
    for level in range(min(3, num_halvings + 1)):
      layer = halve(features=self.width * 2**level)
      x_bhwc = self._apply(layer, x_bhwc, inner=level > 0, train=train)
      x_bhwc = nn.leaky_relu(x_bhwc, 0.2)
    logit = self._apply(halve(features=1), x_bhwc, inner=False, train=train)
    return logit.astype(jnp.float32)


class VideoCritic(_Critic):
  """A critic of clips, and optionally a classifier of them.

  The kernel of each layer has 4 frames, or fewer if its input has fewer. So
  logits are `[b, t, 1, 1, 1]`, one for each position in time of the receptive
  field: just one at 64 pixels and 16 frames. With classes, it returns
  `(logits, class_logits_bk)`; logits of classes are means over t.

  Attributes:
    num_classes: Number of classes; 0 for none.
  """

  num_classes: int = 0

  @nn.compact
  def __call__(
    self, video_bthwc: Array, condition: Condition, key_b: Array, *, train: bool
  ) -> Array | tuple[Array, Array]:
    """Returns logits and, with `num_classes`, logits of classes."""
    del condition  # It predicts classes and is not conditioned on them.
    shapes.sizes('', video_bthwc=video_bthwc, key_b=key_b)
    num_halvings = pyramids.num_halvings(video_bthwc.shape[1:], _NAME)
    x_bthwc = video_bthwc
    for level in range(num_halvings):
      layer = self._make(
        conv.Conv3D,
        self.width * 2**level,
        kernel_size=(min(4, x_bthwc.shape[1]), 4, 4),
        strides=(1, 2, 2),
        padding=((0, 0), (1, 1), (1, 1)),
      )
      x_bthwc = self._apply(layer, x_bthwc, inner=level > 0, train=train)
      x_bthwc = nn.leaky_relu(x_bthwc, 0.2)
    layer = self._make(
      conv.Conv3D,
      1 + self.num_classes,
      kernel_size=(min(4, x_bthwc.shape[1]), 4, 4),
      padding='VALID',
    )
    x_bthwc = self._apply(layer, x_bthwc, inner=False, train=train)
    x_bthwc = x_bthwc.astype(jnp.float32)
    if not self.num_classes:
      return x_bthwc
    return x_bthwc[..., :1], x_bthwc[..., 1:].mean(axis=(1, 2, 3))


def _normed(layer, x: Array, norm: str, train: bool, dtype: str) -> Array:
  x = spectral.apply(layer, x, normed=norm == 'spectral', train=train)
  if norm == 'batch':
    x = nn.BatchNorm(not train, momentum=0.9, dtype=dtype)(x)
  return x


def _kernel_init(name: str, scale: int = 1) -> nn.initializers.Initializer:
  """Returns an initializer of kernels; `scale` multiplies LeCun's variance."""
  checks.one_of('kernel_init', name, ('lecun', 'dcgan'))
  if name == 'dcgan':
    return nn.initializers.normal(0.02)
  return nn.initializers.variance_scaling(scale, 'fan_in', 'truncated_normal')
