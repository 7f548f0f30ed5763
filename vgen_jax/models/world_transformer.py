"""A transformer that predicts the next frame of a clip, given actions.

Each block attends in space, within a frame, and then in time, over the same
position in earlier frames. So a frame can be generated with a cache of fixed
size at constant cost, while training predicts all frames in parallel.

Axis suffixes of this file, in addition to those of core/shapes.py: `a` heads
or, in names of actions, the size of an action; `e` width of a head; `p` pairs
of rotated numbers.
"""

import functools
import math

from einops import rearrange
import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Positive
from vgen_jax.core.types import Size
from vgen_jax.nn import batch_sharding
from vgen_jax.nn import embeddings
from vgen_jax.nn import remat
from vgen_jax.nn.attention import cache
from vgen_jax.nn.attention import multi_head
from vgen_jax.nn.attention import transformer
from vgen_jax.nn.convolution import recurrent

TENSOR_RULES = transformer.TENSOR_RULES

# Cached keys and values of all blocks; index of the next frame, int32.
Carry = tuple[cache.KeyValues, Array]


class WorldTransformer(recurrent.Predictor):
  """A causal space-time transformer over patches of frames.

  The network is a predictor for families/prediction/recurrent.py. Patches of a
  frame are predicted independently of each other: where several futures are
  possible, the patches of a sampled frame may belong to different ones.

  Attributes:
    width: Size of a token; a multiple of num_heads.
    depth: Number of blocks.
    num_heads: Attention heads of a block.
    patch: Side of a patch in pixels; it must divide the frame.
    window: Frames that a block attends to, the current one included.
    mlp_ratio: Hidden size of an MLP divided by width.
    remat: What is kept for the backward pass; see nn/remat.py.
    implementation: Kernel of attention; see nn/attention/attention.py.
    dtype: Dtype of matrix products. Parameters and residual sums are float32.

  Reference: alternating attention in space and causal attention in time are
  those of Bruce et al., "Genie: Generative Interactive Environments", 2024,
  https://arxiv.org/abs/2402.15391; here actions are given, not learned.
  """

  has_predict_all = True

  width: Size
  depth: Size
  num_heads: Size
  patch: Size = 4
  window: Size = 16
  mlp_ratio: Positive = 4.0
  remat: str = 'none'
  implementation: str = 'auto'
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    for field in ('width', 'depth', 'num_heads', 'patch', 'window'):
      checks.at_least(field, getattr(self, field), 1)

  def initial_carry(self, shape_bhw: tuple[int, int, int]) -> Carry:
    """Returns the carry before the first frame.

    Args:
      shape_bhw: Number of clips, and height and width of frames in pixels.

    Raises:
      ValueError: If patches do not fill the frame.
    """
    b, *sides = shape_bhw
    num_positions = b * math.prod(shapes.patches(sides, self.patch))
    heads = (self.num_heads, self.width // self.num_heads)
    cached = cache.empty(
      self.depth, num_positions, self.window, heads, self.dtype
    )
    return cached, jnp.zeros((), jnp.int32)

  def __call__(
    self,
    carry: Carry,
    frame_bhwc: Array,
    action_ba: Array | None = None,
    *,
    num_outputs: int,
    train: bool = False,
  ) -> tuple[Carry, Array]:
    """Returns the new carry, and `num_outputs` numbers for each pixel.

    Args:
      carry: Carry from `initial_carry` or from the previous call.
      frame_bhwc: Current frame, in [-1, 1].
      action_ba: Action taken at the current frame; None for no action.
      num_outputs: Channels of the result.
      train: Not used, because the network has no dropout.
    """
    action_bta = None if action_ba is None else action_ba[:, None]
    out_bthwp, cached = self._run(
      frame_bhwc[:, None], action_bta, num_outputs, *carry
    )
    return (cached, carry[1] + 1), out_bthwp[:, 0]

  def predict_all(
    self,
    video_bthwc: Array,
    action_bta: Array | None = None,
    *,
    num_outputs: int,
    train: bool = False,
  ) -> Array:
    """Returns the outputs of `__call__` after each frame, in one pass.

    Args:
      video_bthwc: Clips, in [-1, 1].
      action_bta: Action taken at each frame; None for no actions.
      num_outputs: Channels of the result.
      train: Not used, because the network has no dropout.
    """
    return self._run(video_bthwc, action_bta, num_outputs, None, 0)[0]

  @nn.compact
  def _run(
    self,
    video_bthwc: Array,
    action_bta: Array | None,
    num_outputs: int,
    cached: cache.KeyValues | None,
    time: Array | int,
  ) -> tuple[Array, cache.KeyValues | None]:
    """Returns outputs after frames `time`, `time + 1`, ..., and the cache."""
    checks.multiple_of('width', self.width, self.num_heads, 'num_heads')
    t, h, w = shapes.sizes('thw', video_bthwc=video_bthwc)
    sides = dict(p=self.patch, q=self.patch)
    grid = shapes.patches((h, w), self.patch)
    dense = functools.partial(nn.Dense, dtype=self.dtype)
    x_btsd = dense(self.width, name='in')(
      rearrange(video_bthwc, 'b t (h p) (w q) c -> b t (h w) (p q c)', **sides)
    ).astype(jnp.float32)
    x_btsd = batch_sharding.constrain(x_btsd)
    x_btsd += embeddings.sincos_grid(grid, self.width)[None, None]
    if action_bta is not None:
      action_btd = batch_sharding.constrain(
        dense(self.width, name='action')(action_bta)
      )
      x_btsd += action_btd[:, :, None]

    speed_p = embeddings.rotary_grid((2,), self.width // self.num_heads)[1]
    angle_tp = (time + jnp.arange(t))[:, None] * speed_p[None]
    block = remat.wrap(_Block, self.remat, prevent_cse=False)
    scan = nn.scan(
      block,
      variable_axes={'params': 0},
      split_rngs={'params': True},
      in_axes=(0, nn.broadcast, nn.broadcast),
      length=self.depth,
    )
    fields = {
      field: getattr(self, field)
      for field in _Block.__dataclass_fields__
      if field not in ('parent', 'name')
    }
    x_btsd, cached = scan(**fields, name='blocks')(
      x_btsd, cached, angle_tp, time
    )

    x_btsd = nn.LayerNorm(name='norm')(batch_sharding.constrain(x_btsd))
    out = dense(self.patch**2 * num_outputs, name='head')(x_btsd)
    pixels = 'b t (h w) (p q c) -> b t (h p) (w q) c'
    video = rearrange(out, pixels, h=grid[0], **sides)
    return video.astype(jnp.float32), cached


class _Block(nn.Module):
  """Attention in space, then in time, then an MLP.

  Its fields are those of `WorldTransformer`.
  """

  width: int
  depth: int
  num_heads: int
  window: int
  mlp_ratio: float
  implementation: str
  dtype: str

  @nn.compact
  def __call__(
    self,
    x_btsd: Array,
    cached: cache.KeyValues | None,
    angle_tp: Array,
    time: Array | int,
  ) -> tuple[Array, cache.KeyValues | None]:
    """Returns tokens, and the updated cache of this layer if there is one."""
    b, s = shapes.sizes('bs', x_btsd=x_btsd)
    small = transformer.depth_scaled(self.width, self.depth)
    attention = functools.partial(
      multi_head.MultiHeadAttention,
      self.width,
      self.num_heads,
      output_init=small,
      implementation=self.implementation,
      dtype=self.dtype,
    )
    norm = lambda name: nn.LayerNorm(name=name)
    x_btsd = batch_sharding.constrain(x_btsd)

    x_bnd = rearrange(norm('space_norm')(x_btsd), 'b t s d -> (b t) s d')
    y_bnd = attention(name='space')(x_bnd).astype(jnp.float32)
    x_btsd += y_bnd.reshape(x_btsd.shape)

    x_bnd = rearrange(norm('time_norm')(x_btsd), 'b t s d -> (b s) t d')
    in_time = attention(name='time')
    if cached is None:
      y_bnd = in_time(
        x_bnd, angle_np=angle_tp, is_causal=True, window=self.window
      )
    else:
      y_bnd, cached = in_time.decode_step(
        x_bnd, cached, time, angle_1p=angle_tp
      )
    y_bnd = y_bnd.astype(jnp.float32)
    x_btsd += rearrange(y_bnd, '(b s) t d -> b t s d', b=b, s=s)

    dense = functools.partial(nn.Dense, dtype=self.dtype)
    x_btsd = batch_sharding.constrain(x_btsd)
    y_btsd = norm('mlp_norm')(x_btsd)
    y_btsd = nn.gelu(
      dense(int(self.mlp_ratio * self.width), name='mlp_in')(y_btsd)
    )
    out = dense(self.width, kernel_init=small, name='mlp_out')
    y_btsd = out(batch_sharding.constrain(y_btsd)).astype(jnp.float32)
    return batch_sharding.constrain(x_btsd + y_btsd), cached
