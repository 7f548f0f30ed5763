"""Transformer blocks over tokens, for whole sequences or with a KV cache.

Blocks are those of GPT-2, with norms before attention and MLP. Labels set the
scale and shift of norms, as in VideoGPT (Yan et al., "VideoGPT: Video
Generation using VQ-VAE and Transformers", 2021,
https://arxiv.org/abs/2104.10157). Blocks attend to text by cross-attention.
`dtype` is that of matrix products; residual sums are float32.

Axis suffixes of this file, in addition to those of core/shapes.py: `a` heads,
`e` width of a head, `m` tokens attended to, `p` pairs of rotated numbers.
"""

import functools
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core.types import Array
from vgen_jax.nn import batch_sharding
from vgen_jax.nn import remat
from vgen_jax.nn.attention import cache
from vgen_jax.nn.attention import conditioning
from vgen_jax.nn.attention import label_norm
from vgen_jax.nn.attention import multi_head

# How to shard parameters of blocks over the mesh axis 'tensor'; each device
# keeps whole heads, and its part of the hidden features of an MLP.
TENSOR_RULES: tuple[tuple[str, tuple[str | None, ...]], ...] = (
  *multi_head.TENSOR_RULES,
  (r'blocks/(.*/)?mlp_in/kernel$', (None, 'tensor')),
  (r'blocks/(.*/)?mlp_in/bias$', ('tensor',)),
  (r'blocks/(.*/)?mlp_out/kernel$', ('tensor', None)),
)


class KVCache(NamedTuple):
  """Cached keys and values of all blocks, `[depth, b, m, a, e]` each.

  Attributes:
    tokens: The last tokens, in a ring buffer.
    text: All text tokens; None without text.
  """

  tokens: cache.KeyValues
  text: cache.KeyValues | None


class Blocks(nn.Module):
  """A stack of blocks: self-attention, cross-attention to text, and an MLP.

  Attributes:
    width: Size of a token; a multiple of num_heads.
    depth: Number of blocks.
    num_heads: Attention heads of a block.
    is_causal: Whether a token attends only to itself and earlier tokens.
    num_classes: Number of labels that norms are conditioned on; 0 for none.
    has_text: Whether blocks have cross-attention to text.
    mlp_ratio: Hidden size of an MLP divided by width.
    dropout: Dropout rate of the outputs of attention and of the MLP.
    remat: What is kept for the backward pass; see nn/remat.py.
    implementation: Kernel of attention; see nn/attention/attention.py.
    dtype: Dtype of matrix products.
  """

  width: int
  depth: int
  num_heads: int
  is_causal: bool
  num_classes: int = 0
  has_text: bool = False
  mlp_ratio: float = 4.0
  dropout: float = 0.0
  remat: str = 'none'
  implementation: str = 'auto'
  dtype: str = 'float32'

  def setup(self):
    checks.multiple_of('width', self.width, self.num_heads, 'num_heads')
    block = remat.wrap(
      _Block, self.remat, prevent_cse=False, static_argnums=(5, 6)
    )
    lift = dict(
      variable_axes={'params': 0},
      split_rngs={'params': True, 'dropout': True},
      length=self.depth,
    )
    same = nn.broadcast
    scan = nn.scan(
      block,
      methods={
        '__call__': dict(in_axes=(0, *4 * (same,)), **lift),
        'text_key_values': dict(in_axes=(same,), **lift),
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
    context: conditioning.Context,
    *,
    train: bool,
    window: int | None = None,
  ) -> Array:
    """Returns all tokens after the blocks, float32 `[b, n, d]`.

    Args:
      x_bnd: Tokens.
      context: What all blocks are conditioned on.
      train: Whether dropout is on.
      window: Number of tokens that a causal token attends to at most, itself
        included; None for no limit.
    """
    x_bnd, _ = self.blocks(
      batch_sharding.constrain(x_bnd), None, context, None, window, train
    )
    return x_bnd

  def init_cache(
    self, num_clips: int, window: int, context: conditioning.Context
  ) -> KVCache:
    """Returns a cache without tokens; the keys and values of text are in it.

    Args:
      num_clips: Number of clips, b.
      window: Largest number of tokens in the cache.
      context: Conditions, from `conditioning.Conditioning`.
    """
    heads = (self.num_heads, self.width // self.num_heads)
    tokens = cache.empty(self.depth, num_clips, window, heads, self.dtype)
    if not self.has_text:
      return KVCache(tokens, None)
    _, text = self.blocks.text_key_values((), context.text_bmd)
    return KVCache(tokens, text)

  def decode_step(
    self,
    x_b1d: Array,
    kv_cache: KVCache,
    context: conditioning.Context,
    position: Array,
  ) -> tuple[Array, KVCache]:
    """Returns the token at a position after all blocks, and the new cache.

    Args:
      x_b1d: Token at the position.
      kv_cache: Cache from `init_cache` or from the previous call.
      context: Conditions, from `conditioning.Conditioning`.
      position: Index of the token in its sequence, int32; the first is 0.
    """
    x_b1d, tokens = self.blocks(x_b1d, kv_cache, context, position, None, False)
    return x_b1d, kv_cache._replace(tokens=tokens)


class _Block(nn.Module):
  """One block; its fields are those of `Blocks`."""

  width: int
  depth: int
  num_heads: int
  is_causal: bool
  num_classes: int
  has_text: bool
  mlp_ratio: float
  dropout: float
  implementation: str
  dtype: str

  def setup(self):
    norm = functools.partial(label_norm.Norm, self.num_classes)
    attention = functools.partial(
      multi_head.MultiHeadAttention,
      self.width,
      self.num_heads,
      input_bias=False,
      output_init=depth_scaled(self.width, self.depth),
      implementation=self.implementation,
      dtype=self.dtype,
    )
    self.norm, self.attention = norm(), attention()
    if self.has_text:
      self.word_norm, self.word_attention = norm(), attention()
    dense = functools.partial(nn.Dense, dtype=self.dtype)
    self.mlp_norm = norm()
    self.mlp_in = dense(int(self.mlp_ratio * self.width))
    self.mlp_out = dense(self.width)
    self.drop = nn.Dropout(self.dropout)

  def __call__(
    self,
    x_bnd: Array,
    kv_cache: KVCache | None,
    context: conditioning.Context,
    position: Array | None,
    window: int | None,
    train: bool,
  ) -> tuple[Array, cache.KeyValues | None]:
    """Returns tokens, and their cached keys and values if there is a cache.

    Args:
      x_bnd: All tokens; with a cache, the token of one position.
      kv_cache: Cache of this layer; None if all tokens are given at once.
      context: What all blocks are conditioned on.
      position: With a cache, position of the token.
      window: Without a cache, number of tokens that a causal token attends to
        at most; None for no limit.
      train: Whether dropout is on.
    """
    drop = functools.partial(self.drop, deterministic=not train)
    y_bnd, cached = self.norm(x_bnd, context.label_b), None
    if kv_cache is None:
      # Keys and values before queries: the order of these products sets the
      # order, and so the rounding, in which their gradients are added.
      key_values = self.attention.key_values(y_bnd, context.angle_np)
      y_bnd = self.attention(
        y_bnd,
        key_values,
        angle_np=context.angle_np,
        is_causal=self.is_causal,
        window=window,
      )
    else:
      y_bnd, cached = self.attention.decode_step(
        y_bnd, kv_cache.tokens, position, angle_1p=context.angle_np
      )
    x_bnd += drop(y_bnd.astype(jnp.float32))
    if self.has_text:
      text = kv_cache and kv_cache.text
      y_bnd = self.word_attention(
        self.word_norm(x_bnd, context.label_b),
        text or self.word_attention.key_values(context.text_bmd),
        mask_bnm=context.text_mask_bm[:, None],
      )
      x_bnd += drop(y_bnd.astype(jnp.float32))
    x_bnd = batch_sharding.constrain(x_bnd)
    y_bnd = self.mlp_in(self.mlp_norm(x_bnd, context.label_b))
    y_bnd = batch_sharding.constrain(
      self.mlp_out(batch_sharding.constrain(nn.gelu(y_bnd)))
    )
    x_bnd += drop(y_bnd.astype(jnp.float32))
    return batch_sharding.constrain(x_bnd), cached

  def text_key_values(
    self, carry: tuple, text_bmd: Array
  ) -> tuple[tuple, cache.KeyValues]:
    """Returns the carry, and this block's keys and values of the text."""
    return carry, self.word_attention.key_values(text_bmd)


def depth_scaled(width: int, depth: int) -> nn.initializers.Initializer:
  """Returns an initializer of kernels whose outputs are summed over blocks.

  The standard deviation is (width * depth) ** -0.5, so that the sum does not
  grow with the number of blocks.

  Args:
    width: Input channels of a kernel.
    depth: Number of blocks.
  """
  return nn.initializers.normal((width * depth) ** -0.5)
