"""A transformer that says the next frame of a world that is acted in.

Blocks look in space, within a frame, and then in time, at the same place in the
frames before: so a frame can be made from a memory of fixed size, at a cost
that does not grow, while in training all frames are learned at once.

Letters of this file, besides those of core/shapes.py: `a` in an action's name
numbers of an action, else heads; `e` width of a head; `p` pairs that turn.
"""

import functools
import math

from einops import rearrange
import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.nn import embeddings
from vgen_jax.nn import remat
from vgen_jax.nn.attention import attention as attention_lib
from vgen_jax.nn.attention import cache

# How to cut parameters over the mesh axis 'tensor'; see models/dit.py.
TENSOR_RULES: tuple[tuple[str, tuple[str | None, ...]], ...] = (
  (r'blocks/.*/(query|key|value)/kernel$', (None, 'tensor')),
  (r'blocks/.*/(query|key|value)/bias$', ('tensor',)),
  (r'blocks/.*/mlp_in/kernel$', (None, 'tensor')),
  (r'blocks/.*/mlp_in/bias$', ('tensor',)),
  (r'blocks/.*/(out|mlp_out)/kernel$', ('tensor', None)),
)

Carry = tuple[
  cache.KeyValues, Array
]  # Keys and values of all blocks; the time.


class WorldTransformer(nn.Module):
  """A causal space-time transformer over patches of frames.

  It is a predictor of families/prediction/recurrent.py. Patches of a frame are
  said side by side: where futures differ they may each choose another, unless
  the frames are those of a tokenizer that leaves them no choice.

  Attributes:
    width: Size of a token; a multiple of num_heads.
    depth: Number of blocks.
    num_heads: Attention heads of a block.
    patch: Side of a patch in pixels; it must divide the frame.
    window: Frames, the present one among them, that a block sees.
    mlp_ratio: Hidden size of an MLP, in widths.
    remat: What is kept for the backward pass; see nn/remat.py.
    implementation: Of attention; see nn/attention/attention.py.
    dtype: Of matrix products. Parameters and residual sums stay float32.

  Reference: space and time by turns, causal in time, are those of Bruce et al.,
  "Genie: Generative Interactive Environments", 2024,
  https://arxiv.org/abs/2402.15391; actions here are given, and not learned.
  """

  width: int
  depth: int
  num_heads: int
  patch: int = 4
  window: int = 16
  mlp_ratio: float = 4.0
  remat: str = 'none'
  implementation: str = 'auto'
  dtype: str = 'float32'

  def start(self, shape_bhw: tuple[int, int, int]) -> Carry:
    """Returns what it remembers of nothing, for frames of a shape.

    Raises:
      ValueError: If patches do not fill the frame.
    """
    b, *sides = shape_bhw
    places = b * math.prod(shapes.patches(sides, self.patch))
    heads = (self.num_heads, self.width // self.num_heads)
    ring = cache.empty(self.depth, places, self.window, heads, self.dtype)
    return ring, jnp.zeros((), jnp.int32)

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
      carry: Of `start`, or of the call before.
      frame_bhwc: The frame that is there, in [-1, 1].
      action_ba: What is done at it; None is nothing.
      num_outputs: Channels of the result.
      train: Not used: it has no dropout.
    """
    action_bta = None if action_ba is None else action_ba[:, None]
    out_bthwp, ring = self._run(
      frame_bhwc[:, None], action_bta, num_outputs, *carry
    )
    return (ring, carry[1] + 1), out_bthwp[:, 0]

  def predict_all(
    self,
    video_bthwc: Array,
    action_bta: Array | None = None,
    *,
    num_outputs: int,
    train: bool = False,
  ) -> Array:
    """Returns what `__call__` says after each of many frames, all at once."""
    return self._run(video_bthwc, action_bta, num_outputs, None, 0)[0]

  @nn.compact
  def _run(
    self,
    video_bthwc: Array,
    action_bta: Array | None,
    num_outputs: int,
    ring: cache.KeyValues | None,
    time: Array | int,
  ) -> tuple[Array, cache.KeyValues | None]:
    """Returns what is said after frames `time`, `time + 1`, ..., and a ring."""
    if self.width % self.num_heads:
      raise ValueError(
        f'width is {self.width}; it must be a multiple of num_heads,'
        f' {self.num_heads}.'
      )
    t, h, w = shapes.sizes('thw', video_bthwc=video_bthwc)
    sides = dict(p=self.patch, q=self.patch)
    grid = (h // self.patch, w // self.patch)
    dense = functools.partial(nn.Dense, dtype=self.dtype)
    x_btsd = dense(self.width, name='in')(
      rearrange(video_bthwc, 'b t (h p) (w q) c -> b t (h w) (p q c)', **sides)
    ).astype(jnp.float32)
    x_btsd += embeddings.sincos_grid(grid, self.width)[None, None]
    if action_bta is not None:
      x_btsd += dense(self.width, name='action')(action_bta)[:, :, None]

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
    x_btsd, ring = scan(**fields, name='blocks')(x_btsd, ring, angle_tp, time)

    x_btsd = nn.LayerNorm(name='norm')(x_btsd)
    out = dense(self.patch**2 * num_outputs, name='head')(x_btsd)
    pixels = 'b t (h w) (p q c) -> b t (h p) (w q) c'
    video = rearrange(out, pixels, h=grid[0], **sides)
    return video.astype(jnp.float32), ring


class _Block(nn.Module):
  """Attention in space, then in time, then an MLP; fields as above."""

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
    ring: cache.KeyValues | None,
    angle_tp: Array,
    time: Array | int,
  ) -> tuple[Array, cache.KeyValues | None]:
    b, t, s = shapes.sizes('bts', x_btsd=x_btsd)
    attention = functools.partial(
      _Attention,
      self.width,
      self.depth,
      self.num_heads,
      self.implementation,
      self.dtype,
    )
    norm = lambda name: nn.LayerNorm(name=name)

    x_bnd = rearrange(norm('space_norm')(x_btsd), 'b t s d -> (b t) s d')
    y_bnd, _ = attention(name='space')(x_bnd, None, None, None, 0)
    x_btsd += y_bnd.reshape(x_btsd.shape)

    x_bnd = rearrange(norm('time_norm')(x_btsd), 'b t s d -> (b s) t d')
    band_btt = cache.band(t, self.window)
    y_bnd, ring = attention(name='time')(x_bnd, ring, angle_tp, band_btt, time)
    x_btsd += rearrange(y_bnd, '(b s) t d -> b t s d', b=b, s=s)

    dense = functools.partial(nn.Dense, dtype=self.dtype)
    y_btsd = norm('mlp_norm')(x_btsd)
    y_btsd = nn.gelu(
      dense(int(self.mlp_ratio * self.width), name='mlp_in')(y_btsd)
    )
    out = dense(self.width, kernel_init=_small(self), name='mlp_out')
    return x_btsd + out(y_btsd).astype(jnp.float32), ring


class _Attention(nn.Module):
  """Attention of several heads, to all that is given or to a ring."""

  width: int
  depth: int
  num_heads: int
  implementation: str
  dtype: str

  @nn.compact
  def __call__(
    self,
    x_bnd: Array,
    ring: cache.KeyValues | None,
    angle_np: Array | None,
    mask_bnn: Array | None,
    time: Array | int,
  ) -> tuple[Array, cache.KeyValues | None]:
    """Returns what is seen, and the ring with the tokens of `time` in it."""
    dense = functools.partial(nn.Dense, self.width, dtype=self.dtype)
    # Three products, not one: cut over devices, each keeps whole heads.
    query, key, value = (
      dense(name=name)(x_bnd).reshape(*x_bnd.shape[:2], self.num_heads, -1)
      for name in ('query', 'key', 'value')
    )
    if angle_np is not None:
      query = embeddings.rotate(query, angle_np)
      key = embeddings.rotate(key, angle_np)
    seen = cache.KeyValues(key, value)
    if ring is not None:
      ring = seen = cache.write(ring, seen, time)
      mask_bnn = cache.filled(seen, time)
    y_bnae = attention_lib.attend(
      query, *seen, mask_bnm=mask_bnn, implementation=self.implementation
    )
    out = dense(kernel_init=_small(self), name='out')
    return out(y_bnae.reshape(x_bnd.shape)).astype(jnp.float32), ring


def _small(module: _Block | _Attention) -> nn.initializers.Initializer:
  """Starts smaller the more blocks there are, whose outputs add up."""
  return nn.initializers.normal((module.width * module.depth) ** -0.5)
