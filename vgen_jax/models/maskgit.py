"""MaskGIT's bidirectional transformer over the codes of a clip.

Chang et al., "MaskGIT: Masked Generative Image Transformer", 2022,
https://arxiv.org/abs/2202.04200. As in the paper, position embeddings are
learned, and logits are products with the embeddings of the codes, after one
more layer. This one differs as follows. Norms come first in a block and are
conditioned on labels, which are not tokens. Positions are those of time, height
and width. Text is added.
"""

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Count
from vgen_jax.core.types import Positive
from vgen_jax.core.types import Rate
from vgen_jax.core.types import Size
from vgen_jax.nn import batch_sharding
from vgen_jax.nn import embeddings
from vgen_jax.nn.attention import conditioning
from vgen_jax.nn.attention import label_norm
from vgen_jax.nn.attention import transformer

TENSOR_RULES = transformer.TENSOR_RULES


class MaskGIT(nn.Module):
  """Maps codes, some of them masked, to logits of each code.

  Attributes:
    num_codes: Size of the codebook; the code `num_codes` is the mask.
    width: Size of a token; a multiple of num_heads.
    depth: Number of blocks.
    num_heads: Attention heads of a block.
    positions: 'absolute' or 'rotary'; see nn/attention/conditioning.py.
    num_classes: Number of labels; 0 makes a label an error.
    vocab_size: Number of text tokens; 0 makes text an error.
    mlp_ratio: Hidden size of an MLP divided by width.
    dropout: Dropout rate of the outputs of attention and of the MLP.
    remat: What is kept for the backward pass; see nn/remat.py.
    implementation: Kernel of attention; see nn/attention/attention.py.
    dtype: Dtype of matrix products. Parameters and residual sums are float32.
  """

  num_codes: Size
  width: Size = 768
  depth: Count = 24
  num_heads: Size = 8
  positions: str = 'absolute'
  num_classes: int = 0
  vocab_size: int = 0
  mlp_ratio: Positive = 4.0
  dropout: Rate = 0.1
  remat: str = 'none'
  implementation: str = 'auto'
  dtype: str = 'float32'

  @nn.compact
  def __call__(
    self, codes_bthw: Array, condition: Condition, *, train: bool
  ) -> Array:
    """Returns logits of all codes, float32 `[b, t, h, w, k]`.

    Args:
      codes_bthw: Codes, or `num_codes` where they are masked.
      condition: Condition that may have 'label', where num_classes stands for
        no label, and 'text' with 'text_mask'.
      train: Whether dropout is on.
    """
    b, t, h, w = shapes.sizes('bthw', codes_bthw=codes_bthw)
    context = conditioning.Conditioning(
      self.width,
      self.width // self.num_heads,
      self.positions,
      self.num_classes,
      self.vocab_size,
      name='told',
    )(condition, b, (t, h, w))
    small = nn.initializers.normal(0.02)
    table = embeddings.Embed(
      self.num_codes + 1, self.width, embedding_init=small, name='code'
    )
    code_bnd = batch_sharding.constrain(table(codes_bthw.reshape(b, -1)))
    x_bnd = code_bnd + context.position_nd[None]
    x_bnd = transformer.Blocks(
      self.width,
      self.depth,
      self.num_heads,
      is_causal=False,
      num_classes=self.num_classes,
      has_text=self.vocab_size > 0,
      mlp_ratio=self.mlp_ratio,
      dropout=self.dropout,
      remat=self.remat,
      implementation=self.implementation,
      dtype=self.dtype,
      name='stack',
    )(x_bnd, context, train=train)
    x_bnd = label_norm.Norm(self.num_classes, name='norm')(
      x_bnd, context.label_b
    )
    x_bnd = nn.gelu(nn.Dense(self.width, dtype=self.dtype, name='last')(x_bnd))
    x_bnd = batch_sharding.constrain(x_bnd.astype(jnp.float32))
    x_bnd = nn.LayerNorm(name='last_norm')(x_bnd)
    bias_k = self.param('bias', nn.initializers.zeros_init(), (self.num_codes,))
    codes_kd = table.embedding[: self.num_codes].astype(self.dtype)
    logits_bnk = batch_sharding.constrain(x_bnd.astype(self.dtype) @ codes_kd.T)
    logits_bnk = logits_bnk.astype(jnp.float32) + bias_k[None, None]
    return logits_bnk.reshape(b, t, h, w, -1)
