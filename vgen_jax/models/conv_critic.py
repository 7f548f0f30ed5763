"""Convolutional critics of clips, random frames or stacked frames."""

import functools

from einops import rearrange
import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Count
from vgen_jax.core.types import Size
from vgen_jax.nn.attention import space_time
from vgen_jax.nn.convolution import conv
from vgen_jax.nn.convolution import pyramids

VIEWS = ('clip', 'frames', 'stack')
CONDITIONINGS = ('none', 'concat', 'projection', 'classes')
ATTENTIONS = ('none', 'additive', *space_time.SELF_KINDS)


class ConvCritic(nn.Module):
  """A DCGAN critic; its fields state its input and how it is conditioned.

  Layers halve the sides until frames have 4 x 4 pixels, or with `patches` 8 x 8
  pixels, but there is always one such layer. Each has twice as many channels as
  the one before. The kernel of the last layer has 4 x 4 pixels and all frames.
  Logits are `[b, n]`, one for each clip, frame or window of frames, or with
  `patches` `[b, n, h, w]`.

  Several critics at different scales are several entries of a GAN's `critic`.

  Attributes:
    view: What one logit depends on: 'clip', the whole clip, by 3-D
      convolutions; 'frames', one of `num_frames` random frames, by 2-D
      convolutions; 'stack', `num_frames` consecutive frames, stacked as
      channels of 2-D convolutions, for every such window.
    num_frames: Number of frames that the views 'frames' and 'stack' select.
    time_rate: Period of the frames that are used: 2 skips every other frame.
    space_scale: Factor by which frames are first downsampled, by averaging.
    width: Channels of the first layer.
    conditioning: How the label enters: 'none'; 'concat', as channels of the
      input that are constant over the clip (Saito et al., TGAN, 2017);
      'projection', as a product of its embedding with the mean of the last
      features (Miyato and Koyama, "cGANs with Projection Discriminator", 2018,
      https://arxiv.org/abs/1802.05637); 'classes', which is not given the label
      but also returns logits of classes (Odena et al., "Conditional Image
      Synthesis with Auxiliary Classifier GANs", 2016,
      https://arxiv.org/abs/1610.09585).
    num_classes: Number of classes; 0 without labels.
    norm: As in `pyramids.Down`; batch norm is not applied to the first layer.
    patches: Whether logits are those of patches.
    num_layers: Number of layers that halve the sides, before the last one, for
      critics with `patches`; 0 for the number that is stated above. If it is
      not 0, frames need not be squares.
    attention: Attention between positions of the features before the last
      layer: 'none'; 'additive', `space_time.AdditiveGate`; or a kind of
      `space_time.SelfAttention`. It has no spectral norm.
    kernel_init: One of `pyramids.INITS`.
    dtype: Dtype of the computation; parameters are float32.
  """

  view: str = 'clip'
  num_frames: Size = 1
  time_rate: Size = 1
  space_scale: Size = 1
  width: Size = 64
  conditioning: str = 'none'
  num_classes: int = 0
  norm: str = 'none'
  patches: bool = False
  num_layers: Count = 0
  attention: str = 'none'
  kernel_init: str = 'lecun'
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('view', self.view, VIEWS)
    checks.one_of('conditioning', self.conditioning, CONDITIONINGS)
    checks.one_of('attention', self.attention, ATTENTIONS)
    checks.one_of('norm', self.norm, pyramids.NORMS)
    for field in ('num_frames', 'time_rate', 'space_scale', 'width'):
      checks.at_least(field, getattr(self, field), 1)
    checks.at_least('num_layers', self.num_layers, 0)
    if self.num_layers and not self.patches:
      raise ValueError(
        f'num_layers is {self.num_layers}, but patches is False; the number of'
        ' layers of a critic of whole frames follows from their size: leave'
        ' num_layers out, or set patches to True.'
      )

  @property
  def uses_labels(self) -> bool:
    """Whether it is given labels or predicts them."""
    return self.conditioning != 'none'

  @nn.compact
  def __call__(
    self, video_bthwc: Array, condition: Condition, key_b: Array, *, train: bool
  ) -> Array | tuple[Array, Array]:
    """Returns logits, or `(logits, class_logits_bk)` for 'classes'.

    Args:
      video_bthwc: Clips.
      condition: Condition with 'label', int32 `[b]`, for 'concat' and
        'projection'.
      key_b: Keys, one for each clip, for the choice of frames.
      train: Whether batch norm uses and updates statistics of the batch.

    Raises:
      ValueError: If the number or the size of frames does not fit, or the label
        is missing.
    """
    b = shapes.sizes('b', video_bthwc=video_bthwc, key_b=key_b)[0]
    x_bthwc = self._windows(self._scaled(video_bthwc), key_b)
    label_b = self._label(condition)
    if self.conditioning == 'concat':
      one_hot = jax.nn.one_hot(label_b, self.num_classes, dtype=x_bthwc.dtype)
      one_hot = jnp.repeat(one_hot, len(x_bthwc) // b, axis=0)
      one_hot = jnp.broadcast_to(
        one_hot[:, None, None, None], (*x_bthwc.shape[:4], self.num_classes)
      )
      x_bthwc = jnp.concatenate([x_bthwc, one_hot], axis=-1)

    levels = self.num_layers
    if not levels:
      levels = pyramids.num_halvings(x_bthwc.shape[1:], type(self).__name__)
      levels = max(levels - self.patches, 1)
    time_side = 4 if self.view == 'clip' else 1
    if self.view == 'clip' and x_bthwc.shape[1] % 2**levels:
      raise ValueError(
        f'{type(self).__name__} gets {x_bthwc.shape[1]} frames of a clip; its'
        f' {levels} layers for frames of {x_bthwc.shape[2]} x'
        f' {x_bthwc.shape[3]} pixels need a multiple of {2**levels}: change'
        ' config.clip_shape, time_rate or num_layers.'
      )
    x_bthwc = pyramids.Down(
      tuple(self.width * 2**i for i in range(levels)),
      (time_side, 4, 4),
      self.norm,
      self.kernel_init,
      self.dtype,
      first_norm=False,
    )(x_bthwc, train=train)
    x_bthwc = self._attended(x_bthwc)
    features_bd = x_bthwc.mean(axis=(1, 2, 3)).astype(jnp.float32)
    classifies = self.conditioning == 'classes'
    out = conv.Conv3D(
      1 + (self.num_classes if classifies else 0),
      (x_bthwc.shape[1], 4, 4),
      padding='VALID',
      kernel_init=pyramids.initializer(self.kernel_init),
      dtype=self.dtype,
    )
    norm = 'spectral' if self.norm == 'spectral' else 'none'
    y_bthwc = pyramids.normed(out, x_bthwc, norm, train).astype(jnp.float32)
    logit = rearrange(y_bthwc[..., 0], '(b n) 1 h w -> b n h w', b=b)
    if not self.patches:
      logit = logit.reshape(b, -1)
    if self.conditioning == 'projection':
      table = nn.Embed(self.num_classes, features_bd.shape[-1], name='label')
      embedding_bd = jnp.repeat(table(label_b), len(x_bthwc) // b, axis=0)
      extra = (embedding_bd * features_bd).sum(axis=-1).reshape(b, -1)
      logit += extra.reshape(*extra.shape, *(1,) * (logit.ndim - 2))
    if not classifies:
      return logit
    class_logit = rearrange(
      y_bthwc[..., 1:], '(b n) t h w k -> b n t h w k', b=b
    )
    return logit, class_logit.mean(axis=(1, 2, 3, 4))

  def _attended(self, x_bthwc: Array) -> Array:
    """Returns features after attention; call it in a compact method."""
    if self.attention == 'none':
      return x_bthwc
    if self.attention == 'additive':
      block = space_time.AdditiveGate(self.dtype, name='attention')
    else:
      block = space_time.SelfAttention(
        self.attention, dtype=self.dtype, name='attention'
      )
    return block(x_bthwc)

  def _label(self, condition: Condition) -> Array | None:
    needed = self.conditioning in ('concat', 'projection')
    if needed and ('label' not in condition or not self.num_classes):
      raise ValueError(
        f'conditioning of {type(self).__name__} is {self.conditioning!r}, but'
        f' num_classes is {self.num_classes} and the condition has'
        f' {sorted(condition)}; it needs labels: set num_classes, and give'
        " 'label'."
      )
    return condition.get('label') if needed else None

  def _scaled(self, video_bthwc: Array) -> Array:
    """Returns every `time_rate`-th frame, with sides divided by a factor."""
    x_bthwc = video_bthwc[:, :: self.time_rate]
    scale = self.space_scale
    if scale == 1:
      return x_bthwc
    sides = x_bthwc.shape[2:4]
    checks.multiples_of('The size (h, w) of the frames', sides, (scale, scale),
                        'space_scale')  # fmt: skip
    return rearrange(
      x_bthwc, 'b t (h i) (w j) c -> b t h w (i j) c', i=scale, j=scale
    ).mean(axis=4)

  def _windows(self, x_bthwc: Array, key_b: Array) -> Array:
    """Returns the part of a clip for each logit, `[b * n, t, h, w, c]`."""
    if self.view == 'clip':
      return x_bthwc
    t, size = x_bthwc.shape[1], self.num_frames
    if t < size:
      raise ValueError(
        f'num_frames of {type(self).__name__} is {size}, but it gets clips of'
        f' {t} frames; take at most {t}.'
      )
    if self.view == 'stack':
      windows = [x_bthwc[:, i : t - size + 1 + i] for i in range(size)]
      x_bthwc = jnp.concatenate(windows, axis=-1)
    else:
      pick = functools.partial(jax.random.choice, shape=(size,), replace=False)
      frame_bn = jax.vmap(lambda key: pick(key, t))(key_b)
      x_bthwc = jnp.take_along_axis(
        x_bthwc, frame_bn[:, :, None, None, None], axis=1
      )
    return rearrange(x_bthwc, 'b t h w c -> (b t) 1 h w c')
