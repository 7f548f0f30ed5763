"""Transformer blocks over tokens, as a whole or one by one with a cache.

Blocks are those of GPT-2, norm first; labels set the scale and shift of norms,
as in VideoGPT (Yan et al., "VideoGPT: Video Generation using VQ-VAE and
Transformers", 2021, https://arxiv.org/abs/2104.10157); words are looked at by
cross-attention. `dtype` is that of products; sums stay float32.

Letters of this file, besides those of core/shapes.py: `a` heads, `e` width of a
head, `m` tokens that are looked at, `p` pairs of numbers that turn together.
"""

import functools
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.nn import embeddings
from vgen_jax.nn import remat
from vgen_jax.nn.attention import attention as attention_lib
from vgen_jax.nn.attention import cache
from vgen_jax.nn.attention import conditioning as context_lib

# How to cut parameters over the mesh axis 'tensor'; see models/dit.py.
TENSOR_RULES: tuple[tuple[str, tuple[str | None, ...]], ...] = (
  (r'blocks/(.*/)?(query|key|value)/kernel$', (None, 'tensor')),
  (r'blocks/(.*/)?mlp_in/kernel$', (None, 'tensor')),
  (r'blocks/(.*/)?mlp_in/bias$', ('tensor',)),
  (r'blocks/(.*/)?(out|mlp_out)/kernel$', ('tensor', None)),
)


class KVCache(NamedTuple):
  """What blocks remember of tokens before, `[depth, b, m, a, e]` each.

  Attributes:
    tokens: The last ones, in a ring.
    words: All of them; None if there are none.
  """

  tokens: cache.KeyValues
  words: cache.KeyValues | None


class Blocks(nn.Module):
  """A stack of blocks: attention, a look at the words, an MLP.

  Attributes:
    width: Size of a token; a multiple of num_heads.
    depth: Number of blocks.
    num_heads: Attention heads of a block.
    is_causal: Whether a token sees only itself and those before it.
    num_classes: Number of labels that norms know; 0 for none.
    reads: Whether there are words to look at.
    mlp_ratio: Hidden size of an MLP, in widths.
    dropout: Rate of dropout on what each part of a block adds.
    remat: What is kept for the backward pass; see nn/remat.py.
    implementation: Of attention; see nn/attention/attention.py.
    dtype: Of matrix products.
  """

  width: int
  depth: int
  num_heads: int
  is_causal: bool
  num_classes: int = 0
  reads: bool = False
  mlp_ratio: float = 4.0
  dropout: float = 0.0
  remat: str = 'none'
  implementation: str = 'auto'
  dtype: str = 'float32'

  def setup(self):
    if self.width % self.num_heads:
      raise ValueError(
        f'width is {self.width}; it must be a multiple of num_heads,'
        f' {self.num_heads}.'
      )
    block = remat.wrap(
      _Block, self.remat, prevent_cse=False, static_argnums=(5, 6)
    )
    lift = dict(
      variable_axes={'params': 0},
      split_rngs={'params': True, 'dropout': True},
      length=self.depth,
    )
    still = nn.broadcast
    scan = nn.scan(
      block,
      methods={
        '__call__': dict(in_axes=(0, *4 * (still,)), **lift),
        'read': dict(in_axes=(still,), **lift),
      },
    )
    fields = {
      field: getattr(self, field)
      for field in _Block.__dataclass_fields__
      if field not in ('parent', 'name')
    }
    self.blocks = scan(**fields)

  def __call__(
    self,
    x_bnd: Array,
    context: context_lib.Context,
    *,
    train: bool,
    window: int | None = None,
  ) -> Array:
    """Returns all tokens; each sees the last `window`, itself among them."""
    x_bnd, _ = self.blocks(x_bnd, None, context, None, window, train)
    return x_bnd

  def begin(
    self, num_clips: int, window: int, context: context_lib.Context
  ) -> KVCache:
    """Returns a memory for `window` tokens that holds only the words."""
    heads = (self.num_heads, self.width // self.num_heads)
    ring = cache.empty(self.depth, num_clips, window, heads, self.dtype)
    if not self.reads:
      return KVCache(ring, None)
    _, words = self.blocks.read((), context.word_bmd)
    return KVCache(ring, words)

  def decode(
    self,
    x_b1d: Array,
    memory: KVCache,
    context: context_lib.Context,
    place: Array,
  ) -> tuple[Array, KVCache]:
    """Returns the token of a place, and a memory that also holds this one."""
    x_b1d, ring = self.blocks(x_b1d, memory, context, place, None, False)
    return x_b1d, memory._replace(tokens=ring)


class _Block(nn.Module):
  """One block; fields are those of `Blocks`."""

  width: int
  depth: int
  num_heads: int
  is_causal: bool
  num_classes: int
  reads: bool
  mlp_ratio: float
  dropout: float
  implementation: str
  dtype: str

  def setup(self):
    norm = functools.partial(Norm, self.num_classes)
    attention = functools.partial(
      _Attention,
      self.width,
      self.num_heads,
      self.depth,
      self.implementation,
      self.dtype,
    )
    self.norm, self.attention = norm(), attention()
    if self.reads:
      self.word_norm, self.word_attention = norm(), attention()
    dense = functools.partial(nn.Dense, dtype=self.dtype)
    self.mlp_norm = norm()
    self.mlp_in = dense(int(self.mlp_ratio * self.width))
    self.mlp_out = dense(self.width)
    self.drop = nn.Dropout(self.dropout)

  def __call__(
    self,
    x_bnd: Array,
    memory: KVCache | None,
    context: context_lib.Context,
    place: Array | None,
    window: int | None,
    train: bool,
  ) -> tuple[Array, cache.KeyValues | None]:
    """Returns tokens, and the ring, if there is one.

    Args:
      x_bnd: All tokens, or that of one place, if there is a memory.
      memory: Of this layer; None if all tokens come at once.
      context: What all blocks are told.
      place: That of the one token, if there is a memory.
      window: How many tokens one sees, if there is none; None for no bound.
      train: Whether dropout is on.
    """
    drop = functools.partial(self.drop, deterministic=not train)
    y_bnd = self.norm(x_bnd, context.label_b)
    seen = self.attention.see(y_bnd, context.angle_np)
    mask_bnm, is_causal = None, self.is_causal
    if memory is not None:
      seen = cache.write(memory.tokens, seen, place)
      mask_bnm, is_causal = cache.filled(seen, place), False
    elif window is not None and window < x_bnd.shape[1]:
      mask_bnm, is_causal = cache.band(x_bnd.shape[1], window), False
    x_bnd += drop(
      self.attention(y_bnd, seen, context.angle_np, mask_bnm, is_causal)
    )
    if self.reads:
      words = self.read((), context.word_bmd)[1] if memory is None else None
      y_bnd = self.word_norm(x_bnd, context.label_b)
      mask_b1m = context.word_mask_bm[:, None]
      words = words or memory.words
      x_bnd += drop(self.word_attention(y_bnd, words, None, mask_b1m, False))
    y_bnd = nn.gelu(self.mlp_in(self.mlp_norm(x_bnd, context.label_b)))
    x_bnd += drop(self.mlp_out(y_bnd).astype(jnp.float32))
    return x_bnd, None if memory is None else seen

  def read(
    self, carry: tuple, word_bmd: Array
  ) -> tuple[tuple, cache.KeyValues]:
    """Returns the words as this block looks at them."""
    return carry, self.word_attention.see(word_bmd, None)


class _Attention(nn.Module):
  """Attention of several heads in two steps: what is seen, and the look."""

  width: int
  num_heads: int
  depth: int
  implementation: str
  dtype: str

  def setup(self):
    # Three products, not one: cut over devices, each keeps whole heads.
    dense = functools.partial(nn.Dense, self.width, dtype=self.dtype)
    self.query, self.key, self.value = (dense(use_bias=False) for _ in 'qkv')
    # Smaller the more blocks there are, whose outputs add up.
    scale = (self.width * self.depth) ** -0.5
    self.out = dense(kernel_init=nn.initializers.normal(scale))

  def see(self, x_bmd: Array, angle_mp: Array | None) -> cache.KeyValues:
    """Returns tokens as they are looked at."""
    return cache.KeyValues(
      self._heads(self.key(x_bmd), angle_mp),
      self._heads(self.value(x_bmd), None),
    )

  def __call__(
    self,
    x_bnd: Array,
    seen: cache.KeyValues,
    angle_np: Array | None,
    mask_bnm: Array | None,
    is_causal: bool,
  ) -> Array:
    y_bnae = attention_lib.attend(
      self._heads(self.query(x_bnd), angle_np),
      *seen,
      mask_bnm=mask_bnm,
      is_causal=is_causal,
      implementation=self.implementation,
    )
    return self.out(y_bnae.reshape(x_bnd.shape)).astype(jnp.float32)

  def _heads(self, x_bnd: Array, angle_np: Array | None) -> Array:
    x_bnae = x_bnd.reshape(*x_bnd.shape[:2], self.num_heads, -1)
    return x_bnae if angle_np is None else embeddings.rotate(x_bnae, angle_np)


class Norm(nn.Module):
  """Layer norm whose scale and shift are a label's own, if there are labels.

  The scale is 1 and the shift 0 before training. Statistics are float32.

  Attributes:
    num_classes: Number of labels K; the table has a row K for none. 0 makes
      one scale and one shift for all.
  """

  num_classes: int = 0

  @nn.compact
  def __call__(self, x_bnd: Array, label_b: Array | None) -> Array:
    has_labels = self.num_classes > 0
    plain = nn.LayerNorm(use_scale=not has_labels, use_bias=not has_labels)
    x_bnd = plain(x_bnd.astype(jnp.float32))
    if not has_labels:
      return x_bnd
    table = nn.Embed(
      self.num_classes + 1,
      2 * x_bnd.shape[-1],
      embedding_init=nn.initializers.zeros_init(),
      name='label',
    )
    gain_b1d, shift_b1d = jnp.split(table(label_b)[:, None], 2, axis=-1)
    return x_bnd * (1 + gain_b1d) + shift_b1d
