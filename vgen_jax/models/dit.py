"""Video DiT: a diffusion transformer over patches of space and time.

Blocks are DiT's adaLN-Zero (Peebles and Xie, "Scalable Diffusion Models with
Transformers", 2022, https://arxiv.org/abs/2212.09748). To look by turns in
space and in time is a variant of Latte (Ma et al., "Latte: Latent Diffusion
Transformer for Video Generation", 2024, https://arxiv.org/abs/2401.03048).
Norms of queries and keys are from Dehghani et al., "Scaling Vision Transformers
to 22 Billion Parameters", 2023, https://arxiv.org/abs/2302.05442, RMS here.
"""

from collections.abc import Mapping
import functools

from einops import rearrange
import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Condition
from vgen_jax.nn import embeddings
from vgen_jax.nn import remat
from vgen_jax.nn.attention import attention as attention_lib

# How to cut parameters over the mesh axis 'tensor': a regex that is searched
# for in the '/'-joined path, and the axes of the last dimensions. Heads, and
# what is between the products of an MLP, stay on their device.
TENSOR_RULES: tuple[tuple[str, tuple[str | None, ...]], ...] = (
  (r'blocks/.*/(query|key|value|mlp_in)/kernel$', (None, 'tensor')),
  (r'blocks/.*/(query|key|value|mlp_in)/bias$', ('tensor',)),
  (r'blocks/.*/(out|mlp_out)/kernel$', ('tensor', None)),
)

_ATTENTIONS = ('factorised', 'full')
_POSITIONS = ('rotary', 'absolute', 'both')
_zeros = nn.initializers.zeros_init()


class VideoDiT(nn.Module):
  """Maps a noisy clip and its time to a field of the clip's shape.

  The output is exactly zero before training.

  A patch should hold no more numbers (frames * side * side * channels) than
  `width`: what the first layer drops, it cannot give back, and a network that
  is to predict noise, or a velocity, which is half noise, then fails to learn.
  A prediction of the clean clip suffers less.

  Attributes:
    width: Size of a token; a multiple of num_heads.
    depth: Number of blocks; even, if attention is factorised.
    num_heads: Attention heads of a block.
    patch_size: Frames, height and width of a patch.
    attention: 'factorised' blocks look across the patches of a frame and, next,
      across the frames of a patch; 'full' blocks look at all patches.
    positions: 'rotary' turns queries and keys by their places, 'absolute' adds
      sines and cosines of them to the tokens, 'both' does both.
    qk_norm: Whether queries and keys are of unit mean square before they meet,
      up to a learned scale: logits then cannot explode.
    mlp_ratio: Hidden size of an MLP, in widths.
    num_classes: Number of labels; 0 makes a label an error.
    dropout: Rate of dropout on what each half of a block adds.
    remat: What is kept for the backward pass; see nn/remat.py.
    implementation: Of attention; see nn/attention/attention.py.
    dtype: Of matrix products. Parameters and residual sums stay float32.
  """

  width: int
  depth: int
  num_heads: int
  patch_size: tuple[int, int, int] = (1, 2, 2)
  attention: str = 'factorised'
  positions: str = 'rotary'
  qk_norm: bool = True
  mlp_ratio: float = 4.0
  num_classes: int = 0
  dropout: float = 0.0
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
    x_btsd = x_btsd.astype(jnp.float32)
    if self.positions != 'rotary':
      place_nd = embeddings.sincos_grid(grid, self.width)
      x_btsd += place_nd.reshape(1, grid[0], -1, self.width)

    x_btsd = self._blocks(x_btsd, cond_bd, self._angles(grid), train)

    shift, scale = _modulation(cond_bd, 2, self.width, self.dtype)
    x_btsd = _norm(x_btsd) * (1 + scale) + shift
    numbers = video_bthwc[0].size // (grid[0] * grid[1] * grid[2])
    out = nn.Dense(numbers, kernel_init=_zeros, dtype=self.dtype, name='out')
    pixels = 'b t (h w) (r p q c) -> b (t r) (h p) (w q) c'
    video = rearrange(out(x_btsd), pixels, h=grid[1], **sides)
    return video.astype(jnp.float32)

  def _blocks(self, x_btsd, cond_bd, angles, train: bool) -> Array:
    """Scans over the blocks: they are traced and compiled once."""
    looks = ('space', 'time') if self.attention == 'factorised' else ('all',)
    if self.depth % len(looks):
      raise ValueError(
        f'depth is {self.depth}; it must be even, since blocks look in space'
        " and in time by turns; or set attention to 'full'."
      )
    turn = remat.wrap(_Turn, self.remat, prevent_cse=False)
    scan = nn.scan(
      turn,
      variable_axes={'params': 0},
      split_rngs={'params': True, 'dropout': True},
      in_axes=(nn.broadcast, nn.broadcast),
      length=self.depth // len(looks),
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
    x_btsd, _ = scan(looks, block, name='blocks')(x_btsd, cond_bd, angles)
    return x_btsd

  def _angles(self, grid: tuple[int, int, int]) -> dict[str, Array]:
    """Returns how far heads turn at each place; {} without rotary positions."""
    if self.positions == 'absolute':
      return {}
    axes = {'all': grid}
    if self.attention == 'factorised':
      axes = {'space': grid[1:], 'time': grid[:1]}
    head_width = self.width // self.num_heads
    return {
      look: embeddings.rotary_grid(sizes, head_width)
      for look, sizes in axes.items()
    }

  def _grid(self, video_bthwc: Array) -> tuple[int, int, int]:
    """Returns the number of patches along t, h and w, once all is in order."""
    clip = shapes.sizes('thw', video_bthwc=video_bthwc)
    if any(n % p for n, p in zip(clip, self.patch_size, strict=True)):
      raise ValueError(
        f'Patches of {_by(self.patch_size)} do not tile a clip of {_by(clip)};'
        ' each side must divide that of the clip.'
      )
    if self.width % self.num_heads:
      raise ValueError(
        f'width is {self.width}; it must be a multiple of num_heads,'
        f' {self.num_heads}.'
      )
    for field, known in (('attention', _ATTENTIONS), ('positions', _POSITIONS)):
      if getattr(self, field) not in known:
        raise ValueError(
          f'{field} is {getattr(self, field)!r}; it must be one of {known}.'
        )
    return tuple(n // p for n, p in zip(clip, self.patch_size, strict=True))


class _Turn(nn.Module):
  """One block for each way to look; what `nn.scan` repeats."""

  looks: tuple[str, ...]
  block: Mapping[str, object]

  @nn.compact
  def __call__(
    self, x_btsd: Array, cond_bd: Array, angles: Mapping[str, Array]
  ) -> tuple[Array, None]:
    t, s = shapes.sizes('ts', x_btsd=x_btsd)
    for look in self.looks:
      block = functools.partial(
        _Block(**self.block, name=look), cond_bd=cond_bd
      )
      angle_np = angles.get(look)
      if look == 'space':  # Groups are frames.
        x_btsd = block(x_btsd, angle_np=angle_np)
      elif look == 'time':  # Groups are places.
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
    shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = _modulation(
      cond_bd, 6, d, self.dtype
    )
    y_bgnd = _norm(x_bgnd) * (1 + scale_a) + shift_a
    x_bgnd += gate_a * drop(self._attention(y_bgnd, angle_np))
    y_bgnd = _norm(x_bgnd) * (1 + scale_m) + shift_m
    y_bgnd = nn.gelu(dense(int(self.mlp_ratio * d), name='mlp_in')(y_bgnd))
    return x_bgnd + gate_m * drop(dense(d, name='mlp_out')(y_bgnd))

  def _attention(self, x_bgnd: Array, angle_np: Array | None) -> Array:
    b, g, n, d = x_bgnd.shape
    # Three products, not one: cut over devices, each keeps whole heads.
    dense = functools.partial(nn.Dense, d, dtype=self.dtype)
    query, key, value = (
      dense(name=name)(x_bgnd).reshape(b * g, n, self.num_heads, -1)
      for name in ('query', 'key', 'value')
    )
    if self.qk_norm:
      query = nn.RMSNorm(dtype=self.dtype, name='query_norm')(query)
      key = nn.RMSNorm(dtype=self.dtype, name='key_norm')(key)
    if angle_np is not None:
      query = embeddings.rotate(query, angle_np)
      key = embeddings.rotate(key, angle_np)
    y = attention_lib.attend(
      query, key, value, implementation=self.implementation
    )
    return dense(name='out')(y.reshape(b, g, n, d))


def _norm(x_bgnd: Array) -> Array:
  return nn.LayerNorm(epsilon=1e-6, use_bias=False, use_scale=False)(x_bgnd)


def _modulation(cond_bd: Array, count: int, d: int, dtype: str) -> list[Array]:
  """Returns `count` arrays [b, 1, 1, d], all zero before training."""
  dense = nn.Dense(
    count * d, kernel_init=_zeros, dtype=dtype, name='modulation'
  )
  out = dense(cond_bd).astype(jnp.float32)
  return jnp.split(out[:, None, None], count, axis=-1)


def _by(sizes: tuple[int, ...]) -> str:
  return ' x '.join(map(str, sizes))
