"""Video DiT: a diffusion transformer over patches of space and time.

Blocks are DiT's adaLN-Zero (Peebles and Xie, "Scalable Diffusion Models with
Transformers", 2022, https://arxiv.org/abs/2212.09748). Alternating between
attention in space and attention in time is a variant of Latte (Ma et al.,
"Latte: Latent Diffusion Transformer for Video Generation", 2024,
https://arxiv.org/abs/2401.03048).
"""

from collections.abc import Mapping
import functools

from einops import rearrange
import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Count
from vgen_jax.core.types import Positive
from vgen_jax.core.types import Rate
from vgen_jax.core.types import Size
from vgen_jax.nn import batch_sharding
from vgen_jax.nn import embeddings
from vgen_jax.nn import remat
from vgen_jax.nn.attention import multi_head
from vgen_jax.nn.attention import transformer

TENSOR_RULES = transformer.TENSOR_RULES

_ATTENTIONS = ('factorised', 'full')
_POSITIONS = ('rotary', 'absolute', 'both')
_zeros = nn.initializers.zeros_init()


class VideoDiT(nn.Module):
  """Maps a noisy clip and its time to an array of the clip's shape.

  The output is exactly zero before training.

  A patch should hold no more numbers (frames * side * side * channels) than
  `width`. Information that the first layer drops cannot be recovered, and a
  network that predicts noise, or a velocity, which is half noise, then does not
  train. A network that predicts the clean clip is affected less.

  Attributes:
    width: Size of a token; a multiple of num_heads.
    depth: Number of blocks; even, if attention is factorised.
    num_heads: Attention heads of a block.
    patch_size: Frames, height and width of a patch.
    attention: 'factorised': blocks alternate between attention over the patches
      of a frame and attention over the frames at the position of a patch.
      'full': blocks attend to all patches.
    positions: 'rotary' rotates queries and keys by their positions, 'absolute'
      adds sines and cosines of the positions to the tokens, 'both' does both.
    qk_norm: Whether queries and keys are normalized by their root mean square,
      which bounds the logits; see nn/attention/multi_head.py.
    mlp_ratio: Hidden size of an MLP divided by width.
    num_classes: Number of labels; 0 makes a label an error.
    dropout: Dropout rate of the outputs of attention and of the MLP.
    remat: What is kept for the backward pass; see nn/remat.py.
    implementation: Kernel of attention; see nn/attention/attention.py.
    dtype: Dtype of matrix products. Parameters and residual sums are float32.
  """

  width: Size
  depth: Count
  num_heads: Size
  patch_size: tuple[Size, Size, Size] = (1, 2, 2)
  attention: str = 'factorised'
  positions: str = 'rotary'
  qk_norm: bool = True
  mlp_ratio: Positive = 4.0
  num_classes: int = 0
  dropout: Rate = 0.0
  remat: str = 'none'
  implementation: str = 'auto'
  dtype: str = 'float32'

  @nn.compact
  def __call__(
    self,
    video_bthwc: Array,
    time_b: Array,
    condition: Condition,
    *,
    train: bool,
  ) -> Array:
    """Returns the output of the denoiser, float32 `[b, t, h, w, c]`.

    Args:
      video_bthwc: Noisy clips.
      time_b: Times in [0, 1], from 0 (noise) to 1 (data).
      condition: Condition that may have 'label', int32 `[b]`; num_classes
        stands for no label.
      train: Whether dropout is on.

    Raises:
      ValueError: If clips do not divide into patches, or there is a
        label and num_classes is 0.
    """
    shapes.sizes('b', video_bthwc=video_bthwc, time_b=time_b)
    grid = self._grid(video_bthwc)
    cond_bd = nn.silu(
      embeddings.TimeAndLabel(
        self.width, self.num_classes, self.dtype, name='condition'
      )(time_b, condition)
    )
    sides = dict(zip('rpq', self.patch_size, strict=True))
    patches = 'b (t r) (h p) (w q) c -> b t (h w) (r p q c)'
    x_btsd = rearrange(video_bthwc, patches, **sides)
    x_btsd = nn.Dense(self.width, dtype=self.dtype, name='in')(x_btsd)
    x_btsd = batch_sharding.constrain(x_btsd.astype(jnp.float32))
    if self.positions != 'rotary':
      position_nd = embeddings.sincos_grid(grid, self.width)
      x_btsd += position_nd.reshape(1, grid[0], -1, self.width)

    x_btsd = self._blocks(x_btsd, cond_bd, self._angles(grid), train)

    shift, scale = _modulation(cond_bd, 2, self.width, self.dtype)
    x_btsd = _norm(x_btsd) * (1 + scale) + shift
    patch_numbers = video_bthwc[0].size // (grid[0] * grid[1] * grid[2])
    out = nn.Dense(
      patch_numbers, kernel_init=_zeros, dtype=self.dtype, name='out'
    )
    pixels = 'b t (h w) (r p q c) -> b (t r) (h p) (w q) c'
    x_btsd = out(batch_sharding.constrain(x_btsd))
    video = rearrange(
      batch_sharding.constrain(x_btsd), pixels, h=grid[1], **sides
    )
    return video.astype(jnp.float32)

  def _blocks(self, x_btsd, cond_bd, angles, train: bool) -> Array:
    """Returns the tokens after all blocks, in a scan, which compiles faster."""
    axes = ('space', 'time') if self.attention == 'factorised' else ('all',)
    if self.depth % len(axes):
      raise ValueError(
        f'depth is {self.depth}; it must be even, because blocks alternate'
        " between space and time; or set attention to 'full'."
      )
    group = remat.wrap(_BlockGroup, self.remat, prevent_cse=False)
    scan = nn.scan(
      group,
      variable_axes={'params': 0},
      split_rngs={'params': True, 'dropout': True},
      in_axes=(nn.broadcast, nn.broadcast),
      length=self.depth // len(axes),
    )
    block = dict(
      num_heads=self.num_heads,
      qk_norm=self.qk_norm,
      mlp_ratio=self.mlp_ratio,
      dropout=self.dropout,
      train=train,
      implementation=self.implementation,
      dtype=self.dtype,
    )
    x_btsd, _ = scan(axes, block, name='blocks')(x_btsd, cond_bd, angles)
    return x_btsd

  def _angles(self, grid: tuple[int, int, int]) -> dict[str, Array]:
    """Returns rotations at each position; {} without rotary positions."""
    if self.positions == 'absolute':
      return {}
    grids = {'all': grid}
    if self.attention == 'factorised':
      grids = {'space': grid[1:], 'time': grid[:1]}
    head_width = self.width // self.num_heads
    return {
      axis: embeddings.rotary_grid(sizes, head_width)
      for axis, sizes in grids.items()
    }

  def _grid(self, video_bthwc: Array) -> tuple[int, int, int]:
    """Returns the number of patches along t, h and w; raises ValueError."""
    clip = shapes.sizes('thw', video_bthwc=video_bthwc)
    checks.multiples_of(
      'The size (t, h, w) of the clips', clip, self.patch_size, 'patch_size'
    )
    checks.multiple_of('width', self.width, self.num_heads, 'num_heads')
    checks.one_of('attention', self.attention, _ATTENTIONS)
    checks.one_of('positions', self.positions, _POSITIONS)
    return tuple(n // p for n, p in zip(clip, self.patch_size, strict=True))


class _BlockGroup(nn.Module):
  """One block for each axis of attention; `nn.scan` repeats the group."""

  axes: tuple[str, ...]
  block: Mapping[str, object]

  @nn.compact
  def __call__(
    self, x_btsd: Array, cond_bd: Array, angles: Mapping[str, Array]
  ) -> tuple[Array, None]:
    t, s = shapes.sizes('ts', x_btsd=x_btsd)
    for axis in self.axes:
      block = functools.partial(
        _Block(**self.block, name=axis), cond_bd=cond_bd
      )
      angle_np = angles.get(axis)
      if axis == 'space':  # A group is a frame.
        x_btsd = block(x_btsd, angle_np=angle_np)
      elif axis == 'time':  # A group is a position within the frames.
        x_bstd = block(x_btsd.swapaxes(1, 2), angle_np=angle_np)
        x_btsd = x_bstd.swapaxes(1, 2)
      else:
        x_bgnd = rearrange(x_btsd, 'b t s d -> b 1 (t s) d')
        x_bgnd = block(x_bgnd, angle_np=angle_np)
        x_btsd = rearrange(x_bgnd, 'b 1 (t s) d -> b t s d', t=t, s=s)
    return x_btsd, None


class _Block(nn.Module):
  """Attention within each of g groups of n tokens, then an MLP."""

  num_heads: int
  qk_norm: bool
  mlp_ratio: float
  dropout: float
  train: bool
  implementation: str
  dtype: str

  @nn.compact
  def __call__(
    self, x_bgnd: Array, cond_bd: Array, angle_np: Array | None
  ) -> Array:
    (d,) = shapes.sizes('d', x_bgnd=x_bgnd, cond_bd=cond_bd)
    dense = functools.partial(nn.Dense, dtype=self.dtype)
    drop = nn.Dropout(self.dropout, deterministic=not self.train)
    attention = multi_head.MultiHeadAttention(
      d,
      self.num_heads,
      qk_norm=self.qk_norm,
      implementation=self.implementation,
      dtype=self.dtype,
    )
    nn.share_scope(self, attention)
    shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = _modulation(
      cond_bd, 6, d, self.dtype
    )
    x_bgnd = batch_sharding.constrain(x_bgnd)
    y_bgnd = _norm(x_bgnd) * (1 + scale_a) + shift_a
    x_bgnd += gate_a * drop(attention(y_bgnd, angle_np=angle_np))
    x_bgnd = batch_sharding.constrain(x_bgnd)
    y_bgnd = _norm(x_bgnd) * (1 + scale_m) + shift_m
    y_bgnd = nn.gelu(dense(int(self.mlp_ratio * d), name='mlp_in')(y_bgnd))
    y_bgnd = dense(d, name='mlp_out')(batch_sharding.constrain(y_bgnd))
    return batch_sharding.constrain(
      x_bgnd + gate_m * drop(batch_sharding.constrain(y_bgnd))
    )


def _norm(x_bgnd: Array) -> Array:
  """Returns layer norm without learned scale and shift."""
  return nn.LayerNorm(epsilon=1e-6, use_bias=False, use_scale=False)(x_bgnd)


def _modulation(cond_bd: Array, count: int, d: int, dtype: str) -> list[Array]:
  """Returns `count` arrays [b, 1, 1, d], all zero before training."""
  dense = nn.Dense(
    count * d, kernel_init=_zeros, dtype=dtype, name='modulation'
  )
  out = batch_sharding.constrain(
    dense(batch_sharding.constrain(cond_bd)).astype(jnp.float32)
  )
  parts = jnp.split(out[:, None, None], count, axis=-1)
  return [batch_sharding.constrain(part) for part in parts]
