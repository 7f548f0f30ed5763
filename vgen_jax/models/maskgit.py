"""MaskGIT's transformer over the codes of a clip, all of which see all.

Chang et al., "MaskGIT: Masked Generative Image Transformer", 2022,
https://arxiv.org/abs/2202.04200. As there: learned places, and logits that are
products with the codes' own embeddings, after one more layer. Different: norms
come first in a block, labels set them instead of being a token, and places are
those of time, height and width. Words are added.
"""

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Condition
from vgen_jax.nn.attention import conditioning as context_lib
from vgen_jax.nn.attention import transformer

TENSOR_RULES = transformer.TENSOR_RULES


class MaskGIT(nn.Module):
  """Gives logits of each code from all that are not hidden.

  Attributes:
    num_codes: Size of the codebook; the code `num_codes` is a hidden one.
    width: Size of a token; a multiple of num_heads.
    depth: Number of blocks.
    num_heads: Attention heads of a block.
    positions: 'absolute' or 'rotary'; see nn/attention/conditioning.py.
    num_classes: Number of labels; 0 makes a label an error.
    vocab_size: Number of text tokens; 0 makes text an error.
    mlp_ratio: Hidden size of an MLP, in widths.
    dropout: Rate of dropout on what each part of a block adds.
    remat: What is kept for the backward pass; see nn/remat.py.
    implementation: Of attention; see nn/attention/attention.py.
    dtype: Of matrix products. Parameters and residual sums stay float32.
  """

  num_codes: int
  width: int = 768
  depth: int = 24
  num_heads: int = 8
  positions: str = 'absolute'
  num_classes: int = 0
  vocab_size: int = 0
  mlp_ratio: float = 4.0
  dropout: float = 0.1
  remat: str = 'none'
  implementation: str = 'auto'
  dtype: str = 'float32'

  @nn.compact
  def __call__(
    self, codes_bthw: Array, condition: Condition, *, train: bool
  ) -> Array:
    """Returns logits of all codes, float32 `[b, t, h, w, k]`.

    Args:
      codes_bthw: Codes, or `num_codes` where they are hidden.
      condition: May hold 'label', num_classes being none, and 'text' with
        'text_mask'.
      train: Whether dropout is on.
    """
    b, t, h, w = shapes.sizes('bthw', codes_bthw=codes_bthw)
    context = context_lib.Conditioning(
      self.width,
      self.width // self.num_heads,
      self.positions,
      self.num_classes,
      self.vocab_size,
      name='told',
    )(condition, b, (t, h, w))
    small = nn.initializers.normal(0.02)
    table = nn.Embed(
      self.num_codes + 1, self.width, embedding_init=small, name='code'
    )
    x_bnd = table(codes_bthw.reshape(b, -1)) + context.place_nd[None]
    x_bnd = transformer.Blocks(
      self.width,
      self.depth,
      self.num_heads,
      is_causal=False,
      num_classes=self.num_classes,
      reads=self.vocab_size > 0,
      mlp_ratio=self.mlp_ratio,
      dropout=self.dropout,
      remat=self.remat,
      implementation=self.implementation,
      dtype=self.dtype,
      name='stack',
    )(x_bnd, context, train=train)
    x_bnd = transformer.Norm(self.num_classes, name='norm')(
      x_bnd, context.label_b
    )
    x_bnd = nn.gelu(nn.Dense(self.width, dtype=self.dtype, name='last')(x_bnd))
    x_bnd = nn.LayerNorm(name='last_norm')(x_bnd.astype(jnp.float32))
    bias_k = self.param('bias', nn.initializers.zeros_init(), (self.num_codes,))
    codes_kd = table.embedding[: self.num_codes].astype(self.dtype)
    logits_bnk = (x_bnd.astype(self.dtype) @ codes_kd.T).astype(jnp.float32)
    return (logits_bnk + bias_k[None, None]).reshape(b, t, h, w, -1)
