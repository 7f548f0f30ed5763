"""Few-shot vid2vid: video from layouts, with the appearance of references.

Reference: Wang, Liu, Tao, Liu, Kautz and Catanzaro, "Few-shot Video-to-Video
Synthesis", 2019, https://arxiv.org/abs/1910.12713. The training is in
families/translation/.

The kernels of the SPADE layers of the finest levels are generated from the
references, so that the network can generate subjects that it was not trained
on. References are combined by attention, and the pixels of the reference with
the largest attention weight are also warped to the frame by optical flow.

Deviations from the released code: queries and keys of attention also contain
the classes of pixels; segments, over which features are averaged, are parts of
classes; attention is also used for one reference; kernels of all generated
layers come from features of one resolution, and are 1 x 1; the reference that
is warped is selected by a differentiable choice; warped pixels are blended
linearly only; kernels have no spectral norm.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Size
from vgen_jax.nn import translation
from vgen_jax.nn import warp
from vgen_jax.nn.attention import references
from vgen_jax.nn.convolution import conv
from vgen_jax.nn.convolution import generated_kernels
from vgen_jax.nn.convolution import images
from vgen_jax.nn.convolution import spade

# Kernels of the two SPADE layers of a block.
Kernels = tuple[generated_kernels.Pointwise, ...]


class Appearance(NamedTuple):
  """The result of attention from a frame to the references.

  Attributes:
    kernels: Generated kernels of each level, from the finest.
    weight_bhwr: Weight of each reference at each position; the sum over
      references is 1.
  """

  kernels: tuple[Kernels, ...]
  weight_bhwr: Array


class FewShotVid2Vid(translation.Translator):
  """Generates the next frame from its layout, previous frames and references.

  Attributes:
    width: Channels of the finest level; each coarser level has twice as many.
    max_width: Largest number of channels of a level.
    num_levels: Number of levels in addition to the finest; each halves height
      and width.
    num_adaptive: Number of levels with generated kernels, from the finest; 0
      for a network without references, as an ablation.
    attention_level: Level at whose resolution attention is computed: 0 is full
      resolution, 2 a quarter of height and width.
    spade_width: Hidden channels of SPADE layers with learned kernels, and
      hidden width of the networks that generate kernels.
    sharpness: Initial factor of the cosine similarities of attention, at least
      1.
    moves_reference: Whether pixels of a reference are warped to the frame.
    flow_levels: Number of levels, in addition to the finest, of the networks
      that predict optical flow.
    flow_scale: Flow in pixels for an output of 1 of the flow networks.
    dtype: Dtype of the computation of convolutions.
  """

  width: Size = 32
  max_width: Size = 1024
  num_levels: Size = 3
  num_adaptive: int = 3
  attention_level: int = 2
  spade_width: Size = 64
  sharpness: float = 2 * references.SHARPNESS
  moves_reference: bool = True
  flow_levels: int = 2
  flow_scale: float = 20.0
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    for field in ('width', 'num_levels', 'spade_width', 'sharpness'):
      checks.at_least(field, getattr(self, field), 1)
    checks.in_range('num_adaptive', self.num_adaptive, 0, self.num_levels + 1)
    for field in ('attention_level', 'flow_levels'):
      checks.in_range(field, getattr(self, field), 0, self.num_levels)
    sides, factor = self.clip_shape[1:3], 2**self.num_levels
    what = 'two to the power of num_levels'
    checks.multiples_of('The size of frames', sides, (factor, factor), what)

  @property
  def condition_keys(self) -> tuple[str, ...]:
    keys = ('reference', 'reference_layout') if self.num_adaptive else ()
    return ('layout', *keys)

  @property
  def _widths(self) -> tuple[int, ...]:
    """Channels of the levels, from the finest to the coarsest."""
    widths = (self.width * 2**i for i in range(self.num_levels + 1))
    return tuple(min(width, self.max_width) for width in widths)

  def setup(self):
    widths = self._widths
    self.embedding = images.UNet(widths, self.dtype)
    self.first = conv.Conv2D(widths[-1], (3, 3), dtype=self.dtype)
    self.blocks = [
      spade.ResidualBlock(x, self.spade_width, self.dtype) for x in widths
    ]
    # Pixels start near grey, where tanh is not saturated.
    init = nn.initializers.variance_scaling(0.01, 'fan_in', 'truncated_normal')
    channels = self.clip_shape[3]
    self.last = conv.Conv2D(
      channels, (3, 3), kernel_init=init, dtype=self.dtype
    )
    flow = lambda: images.Flow(
      widths[: self.flow_levels + 1], self.flow_scale, self.dtype
    )
    self.previous_flow = flow()
    if not self.num_adaptive:
      return
    if self.moves_reference:
      self.reference_flow = flow()
    widths = widths[: self.attention_level + 1]
    self.layout_encoder = images.Encoder(widths, 'group', self.dtype)
    # Without a norm, so that colours are kept.
    self.image_encoder = images.Encoder(widths, 'none', self.dtype)
    self.attention = references.ReferenceAttention(
      widths[-1] + self.num_segments, self.sharpness
    )
    adaptive = range(self.num_adaptive)
    self.segments = [nn.Dense(self._widths[i]) for i in adaptive]
    self.kernel_generators = [
      [
        generated_kernels.KernelGenerator(2 * width, self.spade_width)
        for width in self.block_inputs(level)
      ]
      for level in adaptive
    ]

  def block_inputs(self, level: int) -> tuple[int, int]:
    """Returns the channels of the inputs of the two SPADE layers of a level."""
    coarser = min(level + 1, self.num_levels)
    return self._widths[coarser], self._widths[level]

  def encode(
    self, condition: Batch | Condition, *, train: bool = False
  ) -> references.Encoded | tuple[()]:
    """Returns features of references; () if the network has no references.

    Args:
      condition: Condition with 'reference', float `[b, r, t, h, w, c]` in [-1,
        1], and 'reference_layout', int32 `[b, r, t, h, w]`; t may be any number
        of frames, of which the first is used.
      train: Not used; training and inference are the same.

    Raises:
      ValueError: If shapes do not agree, or there is no reference.
    """
    del train
    if not self.num_adaptive:
      return ()
    frame_brhwc, layout_brhw = references.first_frames(
      condition, self.clip_shape[1:], type(self).__name__
    )
    b, r = layout_brhw.shape[:2]
    merged = layout_brhw.reshape(b * r, 1, *layout_brhw.shape[2:])
    layout_bhwk = translation.one_hot(merged, self.num_segments)
    frame_bhwc = frame_brhwc.reshape(b * r, *frame_brhwc.shape[2:])
    split = lambda x: x.reshape(b, r, *x.shape[1:])
    both_bhwc = jnp.concatenate([frame_bhwc, layout_bhwk], axis=-1)
    return references.Encoded(
      frame_brhwc,
      split(layout_bhwk),
      split(self._layout_features(layout_bhwk)),
      split(self.image_encoder(both_bhwc)),
    )

  def appearance(
    self, layout_bhw: Array, encoded: references.Encoded
  ) -> Appearance:
    """Returns generated kernels and attention weights for one frame per clip.

    Args:
      layout_bhw: Layouts of the frames, int32.
      encoded: Result of `encode` for the references of the clips.
    """
    layout_bhwk = translation.one_hot(layout_bhw[:, None], self.num_segments)
    features_bhwd = self._layout_features(layout_bhwk)
    attended_bhwd, weight_bhwr = self.attention(
      features_bhwd, encoded.key_brhwd, encoded.value_brhwd
    )
    class_bhwk = images.downsampled(layout_bhwk, 2**self.attention_level)
    kernels = []
    for segments, generators in zip(
      self.segments, self.kernel_generators, strict=True
    ):
      pooled_bic = generated_kernels.pool_segments(
        attended_bhwd, segments(features_bhwd), class_bhwk
      )
      kernels.append(tuple(generate(pooled_bic) for generate in generators))
    return Appearance(tuple(kernels), weight_bhwr)

  def __call__(
    self, window: translation.Window, encoded: Any, *, train: bool = False
  ) -> translation.Frame:
    """Returns the next frame.

    With references, its `extra['attention']` are the weights `[b, h, w, r]` of
    the references, at the resolution of `attention_level`.

    Args:
      window: Layouts and previous frames.
      encoded: Result of `encode`.
      train: Not used; training and inference are the same.
    """
    del train  # Training and inference are the same.
    one_hot = lambda x_blhw: translation.one_hot(x_blhw, self.num_segments)
    layout_bhwk = one_hot(window.layout_blhw[:, -1:])
    appearance = Appearance((), jnp.zeros((0, 0, 0, 0)))
    if self.num_adaptive:
      appearance = self.appearance(window.layout_blhw[:, -1], encoded)
    new_bhwc = self._new_pixels(layout_bhwk, appearance.kernels)

    past = jnp.concatenate(
      [
        one_hot(window.layout_blhw),
        *jnp.unstack(window.previous_bmhwc, axis=1),
      ],
      axis=-1,
    )
    flow_bhwx, mask_bhw = self.previous_flow(past)
    previous = translation.warp_previous(window, flow_bhwx, mask_bhw)
    if not self.num_adaptive:
      frame_bhwc = translation.compose(new_bhwc, previous)
      return translation.Frame(frame_bhwc, new_bhwc, previous)
    reference, frame_bhwc = None, new_bhwc
    if self.moves_reference:
      reference = self._warped_reference(
        layout_bhwk, encoded, appearance.weight_bhwr
      )
      frame_bhwc = translation.compose(new_bhwc, reference)
    frame_bhwc = translation.compose(frame_bhwc, previous)
    extra = {'attention': appearance.weight_bhwr}
    return translation.Frame(frame_bhwc, new_bhwc, previous, reference, extra)

  def _new_pixels(
    self, layout_bhwk: Array, kernels: tuple[Kernels, ...]
  ) -> Array:
    """Returns new pixels in [-1, 1], with generated kernels at fine levels."""
    maps = self.embedding(layout_bhwk)
    x_bhwc = self.first(maps[-1])
    for level in reversed(range(self.num_levels + 1)):
      generated = kernels[level] if level < len(kernels) else None
      x_bhwc = self.blocks[level](x_bhwc, maps[level], generated)
      if level:
        x_bhwc = x_bhwc.repeat(2, 1).repeat(2, 2)
    x_bhwc = self.last(nn.leaky_relu(x_bhwc, 0.2))
    return jnp.tanh(x_bhwc.astype(jnp.float32))

  def _warped_reference(
    self, layout_bhwk: Array, encoded: references.Encoded, weight_bhwr: Array
  ) -> translation.Warped:
    """Returns the most attended reference, warped to the new frame."""
    both_brhwc = jnp.concatenate(
      [encoded.frame_brhwc, encoded.layout_brhwk], axis=-1
    )
    chosen_bhwc = references.select(weight_bhwr, both_brhwc)
    inputs = jnp.concatenate([layout_bhwk, chosen_bhwc], axis=-1)
    flow_bhwx, mask_bhw = self.reference_flow(inputs)
    warped_bhwc = warp.backward(
      chosen_bhwc[..., : self.clip_shape[3]], flow_bhwx
    )
    return translation.Warped(flow_bhwx, warped_bhwc, mask_bhw)

  def _layout_features(self, layout_bhwk: Array) -> Array:
    """Returns features of layouts, of positions and of classes, `[b, h, w, d]`.

    A cosine similarity is the mean of that of the encoder's features and that
    of classes, so attention is between equal classes before training.
    """
    features_bhwd = self.layout_encoder(images.with_positions(layout_bhwk))
    class_bhwk = images.downsampled(layout_bhwk, 2**self.attention_level)
    parts = references.unit(features_bhwd), references.of_classes(class_bhwk)
    return jnp.concatenate(parts, axis=-1)
