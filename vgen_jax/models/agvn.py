"""AGVN, an attention-guided video network: a frame, animated by conditions.

No publication of a video generator with this name was found; the definition
here is our own. Tokens of the conditions enter the features of the first frame
by cross-attention, and a mask states where the frame changes: there, pixels are
a mixture of warped pixels of the first frame and of new colours, and elsewhere
they are those of the first frame.

Related: Pumarola et al., "GANimation: Anatomically-aware Facial Animation from
a Single Image", 2018, https://arxiv.org/abs/1807.09251, with a mask between the
given image and new colours.
"""

from typing import NamedTuple

from einops import rearrange
from einops import repeat
import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Count
from vgen_jax.core.types import Metrics
from vgen_jax.core.types import Rate
from vgen_jax.core.types import Size
from vgen_jax.nn import batch_sharding
from vgen_jax.nn import compositing
from vgen_jax.nn import embeddings
from vgen_jax.nn import warp
from vgen_jax.nn.attention import conditioning
from vgen_jax.nn.attention import multi_head
from vgen_jax.nn.convolution import conv
from vgen_jax.nn.convolution import pyramids

# Logit of the proportion of new colours before training: mostly warped pixels.
_NEW_LOGIT = -3.0
_MOTION, _OPEN = range(2)  # Purposes of a clip's key.
# Log mel powers (data/files/audio.py) are from -18.4 to about 0; as they are,
# they would saturate the gates of the recurrent network. Other audio features,
# such as the loudness of synthetic/face, are scaled in the same way.
_AUDIO_CENTER, _AUDIO_SCALE = -8.0, 4.0


class Layers(NamedTuple):
  """Layers that change the first frame.

  Attributes:
    mask_bthw: Where the frame changes, from 0 to 1; 0 in the first frame.
    new_bthw: Proportion of new colours in the change, from 0 to 1; the rest are
      warped pixels.
    color_bthwc: New colours, in [-1, 1].
    flow_bthwx: Flow (x, y) in pixels from each frame to the first one, as in
      nn/warp.py.
  """

  mask_bthw: Array
  new_bthw: Array
  color_bthwc: Array
  flow_bthwx: Array


def animate(first_b1hwc: Array, layers: Layers) -> Array:
  """Returns the clip `(1 - mask) first + mask (new color + (1 - new) warped)`.

  Where the mask is 0, the clip equals the first frame exactly.

  Args:
    first_b1hwc: First frames, in [-1, 1].
    layers: Layers that change the first frames.
  """
  still_bthwc = jnp.broadcast_to(first_b1hwc, layers.color_bthwc.shape)
  warped_bthwc = warp.backward(still_bthwc, layers.flow_bthwx)
  changed_bthwc = compositing.blend(
    layers.color_bthwc, warped_bthwc, layers.new_bthw
  )
  return compositing.blend(changed_bthwc, still_bthwc, layers.mask_bthw)


def _later(t: int) -> Array:
  """Returns 0 for the first frame and 1 for all others, `[1, t, 1, 1]`."""
  return (jnp.arange(t) > 0).astype(jnp.float32)[None, :, None, None]


class Generator(nn.Module):
  """Animates the first frame of a clip; needs a GAN with `num_context=1`.

  At the start of training, a mask of zeros gives the smallest error, and where
  the mask is 0, changed pixels have no effect and are hardly trained. Therefore
  a part of the training clips has a mask of ones (`open_rate`), and changed
  pixels are nearly those of the first frame before training.

  Attributes:
    clip_shape: (t, h, w, c); h == w, a power of 2, at least 8.
    num_classes: Number of classes that clips are conditioned on; 0 for none.
    audio_bands: Size of the audio of a frame; 0 for no audio.
    vocab_size: Number of text tokens; 0 for no text.
    latent_width: Size of the noise of each frame; 0 for none.
    motion_width: Size of the state of the recurrent network that reads audio
      and noise, frame after frame.
    width: Channels of the finest features; each coarser level has twice as
      many, up to the one with 4 x 4 pixels.
    num_heads: Number of heads of attention.
    mask_weight: Weight of the mean of the mask in the generator's loss.
    open_rate: Probability, in [0, 1), that the mask of a training clip is
      replaced by ones after the first frame, independently for each clip. In
      these clips the errors do not train the mask. The penalty of the mask
      trains it in all clips.
    max_flow: Largest flow along x and y, as a fraction of the side of a frame.
    dtype: Dtype of products; the recurrent network is float32.
  """

  clip_shape: ClipShape
  num_classes: int = 0
  audio_bands: int = 0
  vocab_size: int = 0
  latent_width: Count = 8
  motion_width: Size = 64
  width: Size = 32
  num_heads: Size = 1
  mask_weight: float = 0.1
  open_rate: Rate = 0.5
  max_flow: float = 0.25
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    pyramids.num_halvings(self.clip_shape, 'AGVN')
    checks.at_least('motion_width', self.motion_width, 1)
    # The mask is only trained in the other clips.
    checks.rate('open_rate', self.open_rate)
    if not (self.latent_width or self.audio_bands):
      raise ValueError(
        'latent_width and audio_bands are both 0; nothing would differ between'
        ' frames. Give one of them.'
      )

  def __call__(
    self, key_b: Array, condition: Condition, *, train: bool
  ) -> tuple[Array, Metrics]:
    """Returns clips in [-1, 1], and `{'mask': penalty_b}`.

    Args:
      key_b: Keys, one for each clip.
      condition: Condition with 'known_video', the first frame `[b, 1, h, w,
        c]`, and 'label', 'audio' `[b, t, f]`, and 'text' with 'text_mask', as
        far as the network is built for them.
      train: Whether some masks are replaced by ones; see `open_rate`.

    Raises:
      ValueError: If a condition is missing, or the network is not built for it.
    """
    layers = self.layers(key_b, condition)
    penalty_b = self.mask_weight * layers.mask_bthw.mean(axis=(1, 2, 3))
    if train and self.open_rate:
      layers = self._opened(key_b, layers)
    video_bthwc = animate(condition['known_video'], layers)
    return video_bthwc, {'mask': penalty_b}

  def _opened(self, key_b: Array, layers: Layers) -> Layers:
    """Returns layers whose masks are ones in a part of the clips."""
    draw_b = random.uniform(random.fold_in(key_b, _OPEN))
    is_open_b111 = (draw_b < self.open_rate)[:, None, None, None]
    ones_1t11 = _later(self.clip_shape[0])
    mask_bthw = jnp.where(is_open_b111, ones_1t11, layers.mask_bthw)
    return layers._replace(mask_bthw=mask_bthw)

  @nn.compact
  def layers(self, key_b: Array, condition: Condition) -> Layers:
    """Returns the layers of clips; see `__call__` for the arguments."""
    self._check(condition)
    t, side, _, c = self.clip_shape
    skips = []
    x_bthwd = condition['known_video']
    for level in range(pyramids.num_halvings(self.clip_shape, 'AGVN')):
      x_bthwd = self._level(pyramids.Down, level, 'down')(x_bthwd, train=False)
      skips.append(repeat(x_bthwd, 'b 1 h w d -> b t h w d', t=t))

    x_bthwd = self._attended(skips.pop(), key_b, condition)
    while skips:
      level = len(skips) - 1
      x_bthwd = self._level(pyramids.Up, level, 'up')(x_bthwd, train=False)
      x_bthwd = jnp.concatenate([x_bthwd, skips.pop()], axis=-1)
    head = conv.ConvTranspose3D(
      c + 4,
      (1, 4, 4),
      (1, 2, 2),
      kernel_init=pyramids.initializer('lecun', 0.01),
      dtype=self.dtype,
      name='head',
    )
    y_bthwd = head(x_bthwd).astype(jnp.float32)
    return Layers(
      mask_bthw=nn.sigmoid(y_bthwd[..., 0]) * _later(t),
      new_bthw=nn.sigmoid(y_bthwd[..., 1] + _NEW_LOGIT),
      color_bthwc=jnp.tanh(y_bthwd[..., 4:]),
      flow_bthwx=self.max_flow * side * jnp.tanh(y_bthwd[..., 2:4]),
    )

  def _level(self, stack: type[nn.Module], level: int, name: str) -> nn.Module:
    return stack(
      (self.width * 2**level,),
      (1, 4, 4),
      'none',
      dtype=self.dtype,
      name=f'{name}_{level}',
    )

  def _attended(
    self, x_bthwd: Array, key_b: Array, condition: Condition
  ) -> Array:
    """Returns features of frames after attention to tokens.

    The tokens of a frame are those of its motion, the label and the text.
    """
    b, t, h, _, d = x_bthwd.shape
    token_btmd = [self._motion(key_b, condition, d)[:, :, None]]
    spread = lambda token_bmd: repeat(token_bmd, 'b m d -> b t m d', t=t)
    if self.num_classes:
      one_hot_bk = embeddings.one_hot_label(
        condition, self.num_classes, b, 'agvn.Generator'
      )
      label_bd = nn.Dense(d, dtype=self.dtype, name='label')(one_hot_bk)
      token_btmd.append(spread(label_bd[:, None]))
    mask_bm = jnp.ones((b, len(token_btmd)), bool)
    if self.vocab_size:
      text = conditioning.Text(self.vocab_size, d, name='text')
      text_bmd, text_mask_bm = text(condition, b)
      token_btmd.append(spread(text_bmd.astype(self.dtype)))
      mask_bm = jnp.concatenate([mask_bm, text_mask_bm], axis=1)
    cross = multi_head.MultiHeadAttention(
      d, self.num_heads, dtype=self.dtype, name='cross'
    )
    token_bmd = rearrange(
      jnp.concatenate(token_btmd, axis=2), 'b t m d -> (b t) m d'
    )
    y_bnd = cross(
      rearrange(x_bthwd, 'b t h w d -> (b t) (h w) d'),
      cross.key_values(token_bmd),
      mask_bnm=repeat(mask_bm, 'b m -> (b t) 1 m', t=t),
    )
    return x_bthwd + rearrange(y_bnd, '(b t) (h w) d -> b t h w d', t=t, h=h)

  def _motion(self, key_b: Array, condition: Condition, width: int) -> Array:
    """Returns a token of each frame from audio and noise, `[b, t, d]`."""
    t = self.clip_shape[0]
    noise_btd = random.normal(
      random.fold_in(key_b, _MOTION), (t, self.latent_width)
    )
    inputs = [noise_btd]
    if self.audio_bands:
      inputs.append((condition['audio'] - _AUDIO_CENTER) / _AUDIO_SCALE)
    state_btd = nn.RNN(nn.GRUCell(self.motion_width), name='motion')(
      batch_sharding.constrain(jnp.concatenate(inputs, axis=-1)),
      initial_carry=jnp.zeros((len(key_b), self.motion_width)),
    )
    token_btd = nn.Dense(width, dtype=self.dtype, name='token')(state_btd)
    return batch_sharding.constrain(token_btd)

  def _check(self, condition: Condition) -> None:
    needed = {'known_video'}
    needed |= {'audio'} if self.audio_bands else set()
    needed |= {'text'} if self.vocab_size else set()
    for key in ('known_video', 'audio', 'text'):
      if (key in condition) != (key in needed):
        raise ValueError(
          f'condition has the keys {sorted(condition)}; agvn.Generator with'
          f' audio_bands {self.audio_bands} and vocab_size {self.vocab_size}'
          f' needs {sorted(needed)}. Give exactly these, and the label if'
          ' num_classes is not 0.'
        )
    shape = condition['known_video'].shape
    if shape[1:] != (1, *self.clip_shape[1:]):
      raise ValueError(
        f"condition['known_video'] has shape {shape}; agvn.Generator needs one"
        f' frame of {self.clip_shape[1:]}: set model.num_context to 1.'
      )
