"""VideoGPT's transformer: it predicts the codes of a clip in raster order.

Yan et al., "VideoGPT: Video Generation using VQ-VAE and Transformers", 2021,
https://arxiv.org/abs/2104.10157. As in the paper, norms are conditioned on
labels, positions are embedded by time, height and width, there is a start
token, and logits are zero before training. This one differs as follows. Codes
have their own embeddings instead of the tokenizer's. Attention weights have no
dropout. Known first frames are codes before the others in the sequence, not
inputs of a separate network. Text and rotary positions are added.
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

_small = nn.initializers.normal(0.02)


class VideoGPT(nn.Module):
  """Maps codes to logits of each code, given the codes before it.

  Attributes:
    num_codes: Size of the codebook.
    width: Size of a token; a multiple of num_heads.
    depth: Number of blocks.
    num_heads: Attention heads of a block.
    positions: 'absolute', for clips of one length; or 'rotary', with which
      clips of any length can be generated.
    num_classes: Number of labels; 0 makes a label an error.
    vocab_size: Number of text tokens; 0 makes text an error.
    mlp_ratio: Hidden size of an MLP divided by width.
    dropout: Dropout rate of the outputs of attention and of the MLP.
    remat: What is kept for the backward pass; see nn/remat.py.
    implementation: Kernel of attention; see nn/attention/attention.py.
    dtype: Dtype of matrix products. Parameters and residual sums are float32.
  """

  num_codes: Size
  width: Size = 576
  depth: Count = 8
  num_heads: Size = 4
  positions: str = 'absolute'
  num_classes: int = 0
  vocab_size: int = 0
  mlp_ratio: Positive = 4.0
  dropout: Rate = 0.2
  remat: str = 'none'
  implementation: str = 'auto'
  dtype: str = 'float32'

  def setup(self):
    self.code = embeddings.Embed(
      self.num_codes, self.width, embedding_init=_small
    )
    self.start = self.param('start', _small, (self.width,))
    # The attribute names are parts of parameter paths.
    self.told = conditioning.Conditioning(
      self.width,
      self.width // self.num_heads,
      self.positions,
      self.num_classes,
      self.vocab_size,
    )
    self.stack = transformer.Blocks(
      self.width,
      self.depth,
      self.num_heads,
      is_causal=True,
      num_classes=self.num_classes,
      has_text=self.vocab_size > 0,
      mlp_ratio=self.mlp_ratio,
      dropout=self.dropout,
      remat=self.remat,
      implementation=self.implementation,
      dtype=self.dtype,
    )
    self.norm = label_norm.Norm(self.num_classes)
    self.out = nn.Dense(
      self.num_codes,
      use_bias=False,
      kernel_init=nn.initializers.zeros_init(),
      dtype=self.dtype,
    )

  def __call__(
    self,
    codes_bthw: Array,
    condition: Condition,
    *,
    train: bool,
    window: int | None = None,
  ) -> Array:
    """Returns logits of all codes, float32 `[b, t, h, w, k]`.

    Args:
      codes_bthw: Codes. Each affects only the logits of later codes.
      condition: Condition that may have 'label', where num_classes stands for
        no label, and 'text' with 'text_mask'.
      train: Whether dropout is on.
      window: Number of earlier tokens that the logits of a code depend on in
        each layer; None for no limit.
    """
    b, t, h, w = shapes.sizes('bthw', codes_bthw=codes_bthw)
    context = self.told(condition, b, (t, h, w))
    code_bnd = batch_sharding.constrain(
      self.code(codes_bthw.reshape(b, -1)[:, :-1])
    )
    start_b1d = jnp.tile(self.start.reshape(1, 1, -1), (b, 1, 1))
    x_bnd = jnp.concatenate([start_b1d, code_bnd], axis=1)
    x_bnd += context.position_nd[None]
    x_bnd = self.stack(x_bnd, context, train=train, window=window)
    return self._logits(x_bnd, context).reshape(b, t, h, w, -1)

  def init_cache(
    self,
    condition: Condition,
    num_clips: int,
    grid: tuple[int, int, int],
    num_frames: int,
    window: int,
  ) -> tuple[conditioning.Context, transformer.KVCache]:
    """Returns the context of clips for `decode_step`, and an empty cache.

    Args:
      condition: As in `__call__`.
      num_clips: Number of clips, b.
      grid: Codes along t, h and w of the clips in training.
      num_frames: Frames of codes to generate.
      window: Number of tokens to keep at most.

    Raises:
      ValueError: If there are more frames than absolute positions.
    """
    if num_frames > grid[0] and self.positions != 'rotary':
      raise ValueError(
        f'{num_frames} frames of codes are requested, but positions are'
        f' {self.positions!r} for {grid[0]} frames; build with positions'
        " 'rotary', or generate several clips, each of which continues the last"
        ' frames of the one before.'
      )
    positions = (max(num_frames, grid[0]), *grid[1:])
    context = self.told(condition, num_clips, positions)
    size = min(window, num_frames * grid[1] * grid[2])
    return context, self.stack.init_cache(num_clips, size, context)

  def decode_step(
    self,
    code_b: Array,
    position: Array,
    context: conditioning.Context,
    kv_cache: transformer.KVCache,
  ) -> tuple[Array, transformer.KVCache]:
    """Returns the logits of the code of a position, and the new cache.

    Logits are float32 `[b, k]`.

    Args:
      code_b: Codes of the position before; ignored at position 0.
      position: Index of a code in its clip, int32; the first is 0.
      context: Context from `init_cache`.
      kv_cache: Cache from the previous position, or from `init_cache`.
    """
    context = conditioning.at(context, position)
    x_bd = jnp.where(position == 0, self.start[None], self.code(code_b))
    x_b1d = x_bd[:, None] + context.position_nd[None]
    x_b1d, kv_cache = self.stack.decode_step(x_b1d, kv_cache, context, position)
    return self._logits(x_b1d, context)[:, 0], kv_cache

  def _logits(self, x_bnd: Array, context: conditioning.Context) -> Array:
    x_bnd = self.norm(batch_sharding.constrain(x_bnd), context.label_b)
    return batch_sharding.constrain(self.out(x_bnd).astype(jnp.float32))
