"""Conditions of all blocks of a transformer: label, positions, text.

Axis suffixes of this file, in addition to those of core/shapes.py: `m` text
tokens, `p` pairs of rotated numbers.
"""

from collections.abc import Mapping
from typing import NamedTuple

import flax.linen as nn
from jax import lax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core.types import Array
from vgen_jax.nn import batch_sharding
from vgen_jax.nn import embeddings

_POSITIONS = ('absolute', 'rotary')
_small = nn.initializers.normal(0.02)


class Context(NamedTuple):
  """Conditions of all blocks; fields that are not used are None.

  Attributes:
    label_b: Labels, int32; num_classes stands for no label.
    position_nd: Embedding of each position, to add to its token.
    angle_np: Rotation of queries and keys at each position, in radians.
    text_bmd: Embedded text tokens.
    text_mask_bm: Bool, True where there is a text token, False for padding.
  """

  label_b: Array | None = None
  position_nd: Array | None = None
  angle_np: Array | None = None
  text_bmd: Array | None = None
  text_mask_bm: Array | None = None


def at(context: Context, position: Array) -> Context:
  """Returns the context of a single position, for step-by-step decoding.

  Args:
    context: Context of all n positions.
    position: Index of the position, int32, from 0 to n - 1.
  """
  cut = lambda x: (
    None if x is None else lax.dynamic_slice_in_dim(x, position, 1)
  )
  return context._replace(
    position_nd=cut(context.position_nd), angle_np=cut(context.angle_np)
  )


class Conditioning(nn.Module):
  """Maps a condition and a grid of positions to a context.

  Attributes:
    width: Size of a token.
    head_width: Size of an attention head.
    positions: 'absolute': one learned embedding for each time, height and
      width; they are concatenated, each with a third of the width. 'rotary':
      learned embeddings of height and width only, and rotations of queries and
      keys by all three positions, so that time is not bounded.
    num_classes: Number of labels; 0 makes a label an error.
    vocab_size: Number of text tokens; 0 makes text an error.
  """

  width: int
  head_width: int
  positions: str
  num_classes: int = 0
  vocab_size: int = 0

  @nn.compact
  def __call__(
    self,
    condition: Mapping[str, Array],
    num_clips: int,
    grid: tuple[int, int, int],
  ) -> Context:
    """Returns the context of all positions of a grid, last axis fastest.

    Args:
      condition: Condition that may have 'label', where num_classes stands for
        no label, and 'text' with 'text_mask'. Without them the context is
        unconditional.
      num_clips: Number of clips, b.
      grid: Number of positions along t, h and w.

    Raises:
      ValueError: If the condition has a key that the module was not built for.
    """
    for key, size, field in (
      ('label', self.num_classes, 'num_classes'),
      ('text', self.vocab_size, 'vocab_size'),
    ):
      if key in condition and not size:
        raise ValueError(
          f'condition[{key!r}] is given, but {field} is 0; leave it out, or'
          f' build the network with {field}.'
        )
    embed = _Positions(
      self.width, self.head_width, self.positions, name='place'
    )
    position_nd, angle_np = embed(grid)
    context = Context(position_nd=position_nd, angle_np=angle_np)
    if self.num_classes:
      none_b = jnp.full(num_clips, self.num_classes)
      context = context._replace(label_b=condition.get('label', none_b))
    if self.vocab_size:
      embed = Text(self.vocab_size, self.width, name='text')
      text_bmd, mask_bm = embed(condition, num_clips)
      context = context._replace(text_bmd=text_bmd, text_mask_bm=mask_bm)
    return context


class _Positions(nn.Module):
  """Embeds positions of a grid; its fields are those of `Conditioning`."""

  width: int
  head_width: int
  positions: str

  @nn.compact
  def __call__(self, grid: tuple[int, int, int]) -> tuple[Array, Array | None]:
    """Returns (position_nd, angle_np) of `Context`."""
    checks.one_of('positions', self.positions, _POSITIONS)
    is_rotary = self.positions == 'rotary'
    axes = [1, 2] if is_rotary else [0, 1, 2]
    parts, rest = [], self.width
    for number, axis in enumerate(axes):
      width = rest // (len(axes) - number)
      rest -= width
      name = ('time', 'height', 'width')[axis]
      table = self.param(name, _small, (grid[axis], width))
      repeats = [1 if i == axis else n for i, n in enumerate(grid)]
      shape = [n if i == axis else 1 for i, n in enumerate(grid)]
      parts.append(jnp.tile(table.reshape(*shape, width), (*repeats, 1)))
    position_nd = jnp.concatenate(parts, axis=-1).reshape(-1, self.width)
    if not is_rotary:
      return position_nd, None
    return position_nd, embeddings.rotary_grid(grid, self.head_width)


class Text(nn.Module):
  """Embeds text tokens, after one learned token that is always there.

  Attributes:
    vocab_size: Number of text tokens.
    width: Size of an embedding; even.
  """

  vocab_size: int
  width: int

  @nn.compact
  def __call__(
    self, condition: Mapping[str, Array], num_clips: int
  ) -> tuple[Array, Array]:
    """Returns (text_bmd, text_mask_bm) of `Context`.

    Args:
      condition: Condition that may have 'text' and 'text_mask'.
      num_clips: Number of clips, b.
    """
    table = embeddings.Embed(self.vocab_size, self.width, name='word')
    null_d = self.param('nothing', _small, (self.width,))
    null_b1d = jnp.tile(null_d.reshape(1, 1, -1), (num_clips, 1, 1))
    null_mask_b1 = jnp.ones((num_clips, 1), bool)
    text_bn = condition.get('text', jnp.zeros((num_clips, 0), jnp.int32))
    order_nd = embeddings.sincos(jnp.arange(text_bn.shape[1]), self.width)
    text_bnd = batch_sharding.constrain(table(text_bn)) + order_nd[None]
    text_mask_bn = condition.get('text_mask', jnp.ones(text_bn.shape, bool))
    return (
      nn.LayerNorm(name='norm')(
        batch_sharding.constrain(jnp.concatenate([null_b1d, text_bnd], 1))
      ),
      jnp.concatenate([null_mask_b1, text_mask_bn], 1),
    )
