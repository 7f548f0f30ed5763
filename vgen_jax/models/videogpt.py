"""VideoGPT's transformer: codes of a clip one after the other, in raster order.

Yan et al., "VideoGPT: Video Generation using VQ-VAE and Transformers", 2021,
https://arxiv.org/abs/2104.10157. As there: norms set by labels, embeddings of
time, height and width, a start token, and logits that are zero before training.
Different: codes have embeddings of their own, not the tokenizer's; there is no
dropout of attention's weights; first frames condition by being there, without
a network of their own. Words and rotary positions are added.
"""

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Condition
from vgen_jax.nn.attention import conditioning as context_lib
from vgen_jax.nn.attention import transformer

TENSOR_RULES = transformer.TENSOR_RULES

_small = nn.initializers.normal(0.02)


class VideoGPT(nn.Module):
  """Gives logits of each code from those before it.

  Attributes:
    num_codes: Size of the codebook.
    width: Size of a token; a multiple of num_heads.
    depth: Number of blocks.
    num_heads: Attention heads of a block.
    positions: 'absolute', for clips of one length; or 'rotary', with which a
      clip can be drawn on and on.
    num_classes: Number of labels; 0 makes a label an error.
    vocab_size: Number of text tokens; 0 makes text an error.
    mlp_ratio: Hidden size of an MLP, in widths.
    dropout: Rate of dropout on what each part of a block adds.
    remat: What is kept for the backward pass; see nn/remat.py.
    implementation: Of attention; see nn/attention/attention.py.
    dtype: Of matrix products. Parameters and residual sums stay float32.
  """

  num_codes: int
  width: int = 576
  depth: int = 8
  num_heads: int = 4
  positions: str = 'absolute'
  num_classes: int = 0
  vocab_size: int = 0
  mlp_ratio: float = 4.0
  dropout: float = 0.2
  remat: str = 'none'
  implementation: str = 'auto'
  dtype: str = 'float32'

  def setup(self):
    self.code = nn.Embed(self.num_codes, self.width, embedding_init=_small)
    self.start = self.param('start', _small, (self.width,))
    self.told = context_lib.Conditioning(
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
      reads=self.vocab_size > 0,
      mlp_ratio=self.mlp_ratio,
      dropout=self.dropout,
      remat=self.remat,
      implementation=self.implementation,
      dtype=self.dtype,
    )
    self.norm = transformer.Norm(self.num_classes)
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
      codes_bthw: Codes; those of a place tell the logits of later ones only.
      condition: May hold 'label', num_classes being none, and 'text' with
        'text_mask'.
      train: Whether dropout is on.
      window: Codes that one sees at most; None is all before it.
    """
    b, t, h, w = shapes.sizes('bthw', codes_bthw=codes_bthw)
    context = self.told(condition, b, (t, h, w))
    code_bnd = self.code(codes_bthw.reshape(b, -1)[:, :-1])
    start_b1d = jnp.tile(self.start.reshape(1, 1, -1), (b, 1, 1))
    x_bnd = jnp.concatenate([start_b1d, code_bnd], axis=1)
    x_bnd += context.place_nd[None]
    x_bnd = self.stack(x_bnd, context, train=train, window=window)
    return self._logits(x_bnd, context).reshape(b, t, h, w, -1)

  def begin(
    self,
    condition: Condition,
    num_clips: int,
    grid: tuple[int, int, int],
    num_frames: int,
    window: int,
  ) -> tuple[context_lib.Context, transformer.KVCache]:
    """Returns what `decode` is told of clips, and a memory with no code in it.

    Args:
      condition: As in `__call__`.
      num_clips: Number of clips, b.
      grid: Codes along t, h and w of the clips it has learned from.
      num_frames: Frames of codes to come.
      window: Codes that one sees at most; no more are kept.

    Raises:
      ValueError: If there are more frames to come than have a position.
    """
    if num_frames > grid[0] and self.positions != 'rotary':
      raise ValueError(
        f'{num_frames} frames of codes are asked for, but positions are'
        f" {self.positions!r}, of {grid[0]}; build with positions 'rotary', or"
        ' draw by parts, the end of one being known in the next.'
      )
    places = (max(num_frames, grid[0]), *grid[1:])
    context = self.told(condition, num_clips, places)
    size = min(window, num_frames * grid[1] * grid[2])
    return context, self.stack.begin(num_clips, size, context)

  def decode(
    self,
    code_b: Array,
    place: Array,
    context: context_lib.Context,
    memory: transformer.KVCache,
  ) -> tuple[Array, transformer.KVCache]:
    """Returns logits `[b, k]` of the codes of a place, and a memory to go on.

    Args:
      code_b: Codes of the place before; of no meaning at place 0.
      place: Number of a code in its clip, int32; 0 is the first.
      context: From `begin`.
      memory: From the place before, or from `begin`.
    """
    context = context_lib.at(context, place)
    x_bd = jnp.where(place == 0, self.start[None], self.code(code_b))
    x_b1d = x_bd[:, None] + context.place_nd[None]
    x_b1d, memory = self.stack.decode(x_b1d, memory, context, place)
    return self._logits(x_b1d, context)[:, 0], memory

  def _logits(self, x_bnd: Array, context: context_lib.Context) -> Array:
    x_bnd = self.norm(x_bnd, context.label_b)
    return self.out(x_bnd).astype(jnp.float32)
