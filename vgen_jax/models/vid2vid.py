"""vid2vid: layouts are translated to frames, one after another.

Reference: Wang, Liu, Zhu, Liu, Tao, Kautz and Catanzaro, "Video-to-Video
Synthesis", 2018, https://arxiv.org/abs/1808.06601, with the layers of the
released code. The training is in families/translation/video_to_video.py.

Deviations from the code: group norm of each frame instead of batch norm with
one clip in a batch; all spatial scales are trained together; the kernel of the
flow is initialised near 0.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core.types import Array
from vgen_jax.core.types import Count
from vgen_jax.core.types import Size
from vgen_jax.nn import translation
from vgen_jax.nn.convolution import images
from vgen_jax.nn.convolution import residual_coders

_FLOW_INIT = nn.initializers.variance_scaling(1e-4, 'fan_in', 'normal')


class Generator(translation.Translator):
  """Generates a frame from its layout and the previous frames.

  Two encoders, of layouts and of previous frames, halve height and width; their
  features are added. From the sum, an image branch generates new pixels, and a
  flow branch predicts the flow to the previous frame and a mask, by which new
  and warped pixels are composed.

  With local enhancers, these encoders and branches work on downsampled frames.
  Each enhancer works on frames of twice the size: it adds features of the
  smaller frames to its own, and has half as many channels.

  Attributes:
    width: Channels at the full resolution of the first scale; each halving
      doubles them.
    num_halvings: Number of times that encoders halve height and width.
    num_blocks: Number of residual blocks: half of them, rounded up, in each
      encoder, and the others in each branch.
    kernel_size: Side of the kernels at full resolution; odd.
    flow_scale: Flow in pixels for an output of 1; each enhancer doubles it.
    foreground: Whether a third branch, whose only inputs are layouts, generates
      the new pixels of all classes but 0, the background.
    num_enhancers: Number of local enhancers; 0 for none.
    enhancer_blocks: Number of residual blocks in each branch of an enhancer.
    dtype: Dtype of the computation; parameters are float32.
  """

  width: Size = 32
  num_halvings: Size = 2
  num_blocks: Count = 4
  kernel_size: Size = 7
  flow_scale: float = 20.0
  foreground: bool = False
  num_enhancers: Count = 0
  enhancer_blocks: Count = 3
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    for field, least in (
      ('width', 1), ('num_halvings', 1), ('num_blocks', 0),
      ('num_enhancers', 0), ('enhancer_blocks', 0),
    ):  # fmt: skip
      checks.at_least(field, getattr(self, field), least)
    if self.kernel_size % 2 == 0:
      raise ValueError(
        f'kernel_size is {self.kernel_size}; it must be odd, such as 7.'
      )
    factor = 2 ** (self.num_halvings + self.num_enhancers)
    what = 'two to the power of num_halvings + num_enhancers'
    checks.multiples_of(
      'The size of frames', self.clip_shape[1:3], (factor, factor), what
    )
    checks.multiple_of('width', self.width, 2**self.num_enhancers,
                       'two to the power of num_enhancers')  # fmt: skip

  @nn.compact
  def __call__(
    self, window: translation.Window, encoded: Any, *, train: bool
  ) -> translation.Frame:
    """Returns the next frame; `encoded` and `train` are not used."""
    del encoded, train
    b, _, h, w, c = window.previous_bmhwc.shape
    layout_bhwk = translation.one_hot(window.layout_blhw, self.num_segments)
    previous_bhwk = jnp.moveaxis(window.previous_bmhwc, 1, 3)
    previous_bhwk = previous_bhwk.reshape(b, h, w, -1)
    features = {}  # Features of each branch at the previous scale.
    for scale in range(self.num_enhancers + 1):
      factor = 2 ** (self.num_enhancers - scale)
      features = self._scale(
        scale,
        images.downsampled(layout_bhwk, factor),
        images.downsampled(previous_bhwk, factor),
        features,
      )
    out = lambda name, size, **options: residual_coders.Conv(
      size, self.kernel_size, dtype=self.dtype, name=name, **options
    )
    new_bhwc = jnp.tanh(out('image', c)(features['image']))
    if self.foreground:
      is_front = window.layout_blhw[:, -1, :, :, None] > 0
      front_bhwc = jnp.tanh(out('front', c)(features['front']))
      new_bhwc = jnp.where(is_front, front_bhwc, new_bhwc)
    flow_bhwx = out('flow', 2, kernel_init=_FLOW_INIT)(features['flow'])
    mask_bhw = nn.sigmoid(out('mask', 1)(features['flow']))[..., 0]
    flow_scale = self.flow_scale * 2**self.num_enhancers
    warped = translation.warp_previous(window, flow_scale * flow_bhwx, mask_bhw)
    return translation.Frame(
      translation.compose(new_bhwc, warped), new_bhwc, warped
    )

  def _scale(
    self,
    scale: int,
    layout_bhwk: Array,
    previous_bhwk: Array,
    coarse: dict[str, Array],
  ) -> dict[str, Array]:
    """Returns the features of each branch at one spatial scale.

    Args:
      scale: Index of the scale; 0 is that of the smallest frames.
      layout_bhwk: Layouts of the window, as channels.
      previous_bhwk: Previous frames, as channels.
      coarse: Features of each branch at the previous scale; empty at scale 0.
    """
    width = self.width // 2**scale
    halvings = 1 if scale else self.num_halvings
    half = self.num_blocks // 2
    encode = lambda x, name, blocks, width=width: residual_coders.Encoder(
      width, halvings, blocks, self.kernel_size, self.dtype,
      name=f'{name}_encoder_{scale}',
    )(x)  # fmt: skip
    decode = lambda x, name, blocks: residual_coders.Decoder(
      halvings, blocks, self.dtype, name=f'{name}_decoder_{scale}'
    )(x + coarse[name] if scale else x)
    before = 0 if scale else self.num_blocks - half
    after = self.enhancer_blocks if scale else half
    x = encode(layout_bhwk, 'layout', before)
    x += encode(previous_bhwk, 'previous', before)
    features = {name: decode(x, name, after) for name in ('image', 'flow')}
    if self.foreground:
      # As in the code, this branch has half as many channels if it is deep.
      narrow = width // 2 if self.num_halvings > 2 else width
      front = encode(layout_bhwk, 'front', before, narrow)
      features['front'] = decode(front, 'front', after)
    return features
