"""MoCoGAN: a clip is one content code and a walk of motion codes.

Reference: Tulyakov et al., "MoCoGAN: Decomposing Motion and Content for Video
Generation", 2018, https://arxiv.org/abs/1707.04993. With `norm='batch'` layers
are those of the released code at 64 x 64 pixels and 16 frames, less its noise
layers; other sizes add or drop layers.

In small trials critics with batch norm lost content or motion, and critics
without it but with R1 (families/adversarial/gan.py) kept both: so 'none' is
their default.
"""

import functools
from typing import NamedTuple

from einops import rearrange
from einops import repeat
import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core import random
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Condition
from vgen_jax.nn import spectral
from vgen_jax.nn.convolution import conv

_CONTENT, _START, _NOISE = range(3)  # Streams of a clip's key.


class Codes(NamedTuple):
  """The chance in a clip; mix those of two clips to swap content or motion.

  Attributes:
    content_bd: What all frames of a clip share.
    start_bd: Motion before the first frame.
    noise_btd: What pushes motion on, from frame to frame.
  """

  content_bd: Array
  start_bd: Array
  noise_btd: Array


class Generator(nn.Module):
  """Draws clips frame by frame from a content code and motion codes.

  Parameters do not depend on t: one generator draws clips of any length, and a
  longer clip begins as the shorter one of the same key does.

  Attributes:
    clip_shape: (t, h, w, c); h == w, a power of 2 from 8 on.
    num_classes: Number of categories that a clip can be told; 0 for none.
    category_to: Who hears of the category: 'motion', the walk, which the paper
      found best, or 'frames', their decoder, as in the released code.
    width: Channels of the finest hidden layer; they double towards 4 x 4.
    content_width: Size of the content code.
    motion_width: Size of a motion code, and of the walk's state.
    norm: 'batch' or 'none', after hidden layers.
    kernel_init: 'lecun', or 'dcgan', which is N(0, 0.02^2).
    dtype: Of the frame decoder's products; the walk, small, is float32.
  """

  clip_shape: ClipShape
  num_classes: int = 0
  category_to: str = 'motion'
  width: int = 64
  content_width: int = 50
  motion_width: int = 10
  norm: str = 'batch'
  kernel_init: str = 'lecun'
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    _num_halvings(*self.clip_shape[1:3])
    _check('category_to', self.category_to, ('motion', 'frames'))
    _check('norm', self.norm, ('batch', 'none'))
    _kernel_init(self.kernel_init)

  def __call__(
    self, key_b: Array, condition: Condition, *, train: bool
  ) -> Array:
    return self.from_codes(self.codes(key_b), condition, train=train)

  def codes(self, key_b: Array) -> Codes:
    """Draws the codes of a clip for each key."""
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
    """Returns the clips of these codes, with as many frames as `noise_btd`.

    Args:
      codes: Content and motion.
      condition: `label` if there are classes.
      train: Whether batch norm goes by the batch.
    """
    b, t = shapes.sizes('bt', noise_btd=codes.noise_btd)
    category_btd = self._category(condition, b, t)
    to_walk, to_frames = [category_btd], []
    if self.category_to == 'frames':
      to_walk, to_frames = to_frames, to_walk
    content_btd = repeat(codes.content_bd, 'b d -> b t d', t=t)
    motion_btd = nn.RNN(nn.GRUCell(self.motion_width), name='walk')(
      jnp.concatenate([codes.noise_btd, *to_walk], axis=-1),
      initial_carry=codes.start_bd,
    )
    code_btd = jnp.concatenate([content_btd, motion_btd, *to_frames], axis=-1)
    frames_bhwc = self._decode(rearrange(code_btd, 'b t d -> (b t) d'), train)
    return rearrange(frames_bhwc, '(b t) h w c -> b t h w c', t=t)

  def _category(self, condition: Condition, b: int, t: int) -> Array:
    """One-hot categories `[b, t, num_classes]`; of width 0 without classes."""
    if ('label' in condition) != bool(self.num_classes):
      raise ValueError(
        f'condition has keys {list(condition)}, but mocogan.Generator has'
        f" {self.num_classes} classes; give it 'label' if it has any, and"
        ' build it with num_classes if it should take one.'
      )
    label_b = condition.get('label', jnp.zeros(b, jnp.int32))
    one_hot_bd = jax.nn.one_hot(label_b, self.num_classes)
    return repeat(one_hot_bd, 'b d -> b t d', t=t)

  def _decode(self, code_bd: Array, train: bool) -> Array:
    """Draws frames one by one: 1 x 1 -> 4 x 4 -> 8 x 8 -> ... -> h x h."""
    deconv = functools.partial(
      conv.ConvTranspose2D,
      use_bias=self.norm != 'batch',
      dtype=self.dtype,
    )
    x_bhwc = code_bd[:, None, None, :]
    levels = _num_halvings(*self.clip_shape[1:3])
    for level in reversed(range(levels)):
      first = level == levels - 1
      layer = deconv(
        self.width * 2**level,
        (4, 4),
        strides=(1, 1) if first else (2, 2),
        padding='VALID' if first else 'SAME',
        # Of 16 taps a pixel hears 1 in the first layer, and 4 in the others.
        kernel_init=_kernel_init(self.kernel_init, 16 if first else 4),
      )
      x_bhwc = nn.relu(_normed(layer, x_bhwc, self.norm, train, self.dtype))
    last_init = _kernel_init(self.kernel_init, 4)
    x_bhwc = deconv(self.clip_shape[3], (4, 4), (2, 2), kernel_init=last_init)(
      x_bhwc
    )
    return jnp.tanh(x_bhwc.astype(jnp.float32))


class _Critic(nn.Module):
  """What both critics share.

  Attributes:
    width: Channels of the first layer; the next layers double them.
    norm: 'none', 'spectral', or 'batch', which spares the first and last layer.
    kernel_init: 'lecun', or 'dcgan', which is N(0, 0.02^2).
    dtype: Of products.
  """

  width: int = 64
  norm: str = 'none'
  kernel_init: str = 'lecun'
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    _check('norm', self.norm, ('none', 'batch', 'spectral'))
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
  """Judges a random frame of each clip, patch by patch; `[b, h, w, 1]`."""

  @nn.compact
  def __call__(
    self, video_bthwc: Array, condition: Condition, key_b: Array, *, train: bool
  ) -> Array:
    del condition
    t, h, w = shapes.sizes('thw', video_bthwc=video_bthwc, key_b=key_b)
    pick = lambda key, video_thwc: jax.lax.dynamic_index_in_dim(
      video_thwc, jax.random.randint(key, (), 0, t), keepdims=False
    )
    x_bhwc = jax.vmap(pick)(key_b, video_bthwc)
    halve = functools.partial(
      self._make,
      conv.Conv2D,
      kernel_size=(4, 4),
      strides=(2, 2),
      padding=((1, 1), (1, 1)),
    )
    # 8 x 8 pixels have room for two hidden layers only.
    for level in range(min(3, _num_halvings(h, w) + 1)):
      layer = halve(features=self.width * 2**level)
      x_bhwc = self._apply(layer, x_bhwc, inner=level > 0, train=train)
      x_bhwc = nn.leaky_relu(x_bhwc, 0.2)
    logit = self._apply(halve(features=1), x_bhwc, inner=False, train=train)
    return logit.astype(jnp.float32)


class VideoCritic(_Critic):
  """Judges clips as wholes, and may tell their categories.

  Each layer looks at 4 frames, or at as many as layers before have left, so
  that logits are `[b, t, 1, 1, 1]`, one for each run of frames that all layers
  together see: just one at 64 pixels and 16 frames. With classes, it returns
  `(logits, class_logits_bk)`, the latter being means over that t.

  Attributes:
    num_classes: Categories to tell; 0 for none.
  """

  num_classes: int = 0

  @nn.compact
  def __call__(
    self, video_bthwc: Array, condition: Condition, key_b: Array, *, train: bool
  ) -> Array | tuple[Array, Array]:
    del condition  # Categories are for it to tell, not to be told.
    h, w = shapes.sizes('hw', video_bthwc=video_bthwc, key_b=key_b)
    x_bthwc = video_bthwc
    for level in range(_num_halvings(h, w)):
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


def _num_halvings(h: int, w: int) -> int:
  """Returns how often frames are halved until they are 4 x 4."""
  if h != w or h < 8 or h & (h - 1):
    raise ValueError(
      f'Frames are {h} x {w}; MoCoGAN needs squares with a side of 8, 16, 32,'
      ' ...: crop or resize the data.'
    )
  return h.bit_length() - 3


def _check(field: str, value: str, choices: tuple[str, ...]) -> None:
  if value not in choices:
    raise ValueError(f'{field} is {value!r}; it must be one of {choices}.')


def _kernel_init(name: str, share: int = 1) -> nn.initializers.Initializer:
  """Returns an initializer, of kernels of whose taps one in `share` counts."""
  _check('kernel_init', name, ('lecun', 'dcgan'))
  if name == 'dcgan':
    return nn.initializers.normal(0.02)
  return nn.initializers.variance_scaling(share, 'fan_in', 'truncated_normal')
