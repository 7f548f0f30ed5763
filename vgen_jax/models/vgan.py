"""VGAN: a moving foreground in front of a static background.

Reference: Vondrick, Pirsiavash and Torralba, "Generating Videos with Scene
Dynamics", 2016, https://arxiv.org/abs/1609.02612. At 64 x 64 pixels and 32
frames, with `kernel_init='normal_0.01'`, layers are those of the released code;
other sizes have more or fewer layers. The critic is `conv_critic.ConvCritic`
with batch norm; it has one logit instead of the two softmax logits of the code.

The paper penalizes the sum of the mask, and the released code its mean, as
here.
"""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Count
from vgen_jax.core.types import Metrics
from vgen_jax.core.types import Size
from vgen_jax.nn import compositing
from vgen_jax.nn import embeddings
from vgen_jax.nn.convolution import conv
from vgen_jax.nn.convolution import pyramids

STREAMS = ('two', 'one')


class Layers(NamedTuple):
  """Layers of which a clip is composed.

  Attributes:
    front_bthwc: Moving foreground, in [-1, 1].
    back_bthwc: Background, in [-1, 1], the same in all frames.
    mask_bthw: Where the foreground is visible, from 0 to 1.
  """

  front_bthwc: Array
  back_bthwc: Array
  mask_bthw: Array


class Generator(nn.Module):
  """Generates clips as `mask * foreground + (1 - mask) * background`.

  Attributes:
    clip_shape: (t, h, w, c); h == w, a power of 2, at least 8, and t a multiple
      of h / 4.
    num_classes: Number of classes that clips are conditioned on, by a one-hot
      vector that is concatenated to the latent code; 0 for none.
    streams: 'two' for foreground and background, or 'one' for only the
      foreground.
    num_context: 1 to generate from the first frame, which is encoded; 0 to
      generate from noise only.
    latent_width: Size of the latent code, from N(0, 1); with `num_context`, 0
      in the paper.
    width: Channels of the finest hidden layer; each coarser layer has twice as
      many, up to the one with 4 x 4 pixels.
    mask_weight: Weight of the mean of the mask in the generator's loss; 0.1 in
      the paper.
    norm: 'batch' or 'none', after hidden layers.
    kernel_init: One of `pyramids.INITS`.
    dtype: Dtype of the computation; parameters are float32.
  """

  clip_shape: ClipShape
  num_classes: int = 0
  streams: str = 'two'
  num_context: int = 0
  latent_width: Count = 100
  width: Size = 64
  mask_weight: float = 0.1
  norm: str = 'batch'
  kernel_init: str = 'lecun'
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('streams', self.streams, STREAMS)
    checks.one_of('num_context', self.num_context, (0, 1))
    checks.one_of('norm', self.norm, ('batch', 'none'))
    checks.at_least('latent_width', self.latent_width, 1 - self.num_context)
    factor = 2**self._levels
    checks.multiple_of('The number of frames', self.clip_shape[0], factor)

  @property
  def _levels(self) -> int:
    return pyramids.num_halvings(self.clip_shape, 'VGAN')

  def __call__(
    self, key_b: Array, condition: Condition, *, train: bool
  ) -> Array | tuple[Array, Metrics]:
    """Returns clips, and `{'mask': penalty_b}` if there is a mask.

    Args:
      key_b: Keys, one for each clip.
      condition: Condition with 'label' if there are classes, and 'known_video',
        the first frame `[b, 1, h, w, c]`, with `num_context`.
      train: Whether batch norm uses and updates statistics of the batch.
    """
    latent_bd = random.normal(key_b, (self.latent_width,))
    layers = self.layers(latent_bd, condition, train=train)
    if self.streams == 'one':
      return layers.front_bthwc
    video_bthwc = compositing.blend(*layers)
    if not self.mask_weight:
      return video_bthwc
    # The mask is not negative, so its mean is the mean of its absolute value.
    return video_bthwc, {
      'mask': self.mask_weight * layers.mask_bthw.mean(axis=(1, 2, 3))
    }

  @nn.compact
  def layers(
    self, latent_bd: Array, condition: Condition, *, train: bool
  ) -> Layers:
    """Returns the layers of clips with latent codes `latent_bd`.

    With `streams='one'` the mask is 1, and the background 0.
    """
    code_bthwd = self._code(latent_bd, condition, train)
    t, _, _, c = self.clip_shape
    start = t // 2**self._levels
    front_bthwd = self._hidden(code_bthwd, (start, 4, 4), (4, 4, 4), train)
    front_bthwc = jnp.tanh(self._head(c, front_bthwd, (4, 4, 4)))
    if self.streams == 'one':
      ones_bthw = jnp.ones(front_bthwc.shape[:4])
      return Layers(front_bthwc, jnp.zeros_like(front_bthwc), ones_bthw)
    mask_bthw = nn.sigmoid(self._head(1, front_bthwd, (4, 4, 4)))[..., 0]
    back_bthwd = self._hidden(code_bthwd, (1, 4, 4), (1, 4, 4), train)
    back_bthwc = jnp.tanh(self._head(c, back_bthwd, (1, 4, 4)))
    back_bthwc = jnp.broadcast_to(back_bthwc, front_bthwc.shape)
    return Layers(front_bthwc, back_bthwc, mask_bthw)

  def _code(self, latent_bd: Array, condition: Condition, train: bool) -> Array:
    """Returns the input of both streams: `[b, 1, 1, 1, d]` or 4 x 4 pixels."""
    one_hot_bk = embeddings.one_hot_label(
      condition, self.num_classes, len(latent_bd), 'vgan.Generator'
    )
    code_bd = jnp.concatenate([latent_bd, one_hot_bk], axis=-1)
    code_bthwd = code_bd[:, None, None, None, :]
    if ('known_video' in condition) != bool(self.num_context):
      raise ValueError(
        f'condition has the keys {sorted(condition)}, and num_context of'
        f' vgan.Generator is {self.num_context}: set model.num_context and'
        ' model.generator.num_context both to 0, or both to 1.'
      )
    if not self.num_context:
      return code_bthwd
    if condition['known_video'].shape[1] != 1:
      raise ValueError(
        f"condition['known_video'] has shape {condition['known_video'].shape};"
        ' vgan.Generator needs one frame: set model.num_context to 1.'
      )
    widths = (2 * self.width * 2**i for i in range(self._levels))
    encoded_bthwd = pyramids.Down(
      tuple(widths), (1, 4, 4), self.norm, self.kernel_init, self.dtype,
      name='encoder',
    )(condition['known_video'], train=train)  # fmt: skip
    code_bthwd = jnp.broadcast_to(
      code_bthwd, (*encoded_bthwd.shape[:4], code_bthwd.shape[-1])
    )
    return jnp.concatenate(
      [encoded_bthwd, code_bthwd.astype(encoded_bthwd.dtype)], axis=-1
    )

  def _hidden(
    self,
    code_bthwd: Array,
    start: pyramids.Sides,
    kernel: pyramids.Sides,
    train: bool,
  ) -> Array:
    """Returns the hidden features of a stream at half of its size."""
    common = (self.norm, self.kernel_init, self.dtype)
    widths = [self.width * 2**i for i in reversed(range(self._levels))]
    if self.num_context:
      # The code has 4 x 4 pixels already, so the first layer only adds frames.
      first = conv.ConvTranspose3D(
        code_bthwd.shape[-1],
        (start[0], 1, 1),
        padding='VALID',
        kernel_init=pyramids.initializer(self.kernel_init, start[0]),
        dtype=self.dtype,
      )
      x_bthwd = nn.relu(
        pyramids.normed(first, code_bthwd, self.norm, train, self.kernel_init)
      )
      return pyramids.Up(tuple(widths[1:]), kernel, *common)(
        x_bthwd, train=train
      )
    return pyramids.Up(tuple(widths), kernel, *common, start=start)(
      code_bthwd, train=train
    )

  def _head(
    self, channels: int, x_bthwd: Array, kernel: pyramids.Sides
  ) -> Array:
    """Returns the output of a stream before its activation, float32."""
    strides = tuple(2 if side == 4 else 1 for side in kernel)
    taps = 8 if kernel[0] == 4 else 4
    head = conv.ConvTranspose3D(
      channels,
      kernel,
      strides,
      kernel_init=pyramids.initializer(self.kernel_init, taps),
      dtype=self.dtype,
    )
    return head(x_bthwd).astype(jnp.float32)
