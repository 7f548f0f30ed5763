"""What all blocks of a transformer are told: labels, places and words.

Letters of this file, besides those of core/shapes.py: `m` words, `p` pairs of
numbers that turn together.
"""

from collections.abc import Mapping
from typing import NamedTuple

import flax.linen as nn
from jax import lax
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.nn import embeddings

_POSITIONS = ('absolute', 'rotary')
_small = nn.initializers.normal(0.02)


class Context(NamedTuple):
  """What all blocks are told; None where there is nothing to tell.

  Attributes:
    label_b: int32; the number of classes stands for none.
    place_nd: What is added to the token of each place.
    angle_np: How far heads turn at each place.
    word_bmd: Embedded words.
    word_mask_bm: True where there is a word.
  """

  label_b: Array | None = None
  place_nd: Array | None = None
  angle_np: Array | None = None
  word_bmd: Array | None = None
  word_mask_bm: Array | None = None


def at(context: Context, place: Array) -> Context:
  """Returns the context of the token of one place."""
  cut = lambda x: None if x is None else lax.dynamic_slice_in_dim(x, place, 1)
  return context._replace(
    place_nd=cut(context.place_nd), angle_np=cut(context.angle_np)
  )


class Conditioning(nn.Module):
  """Makes a context of a condition and a grid of places.

  Attributes:
    width: Size of a token.
    head_width: Size of a head of attention.
    positions: 'absolute': an embedding for each time, height and width, of a
      third of the numbers each, side by side. 'rotary': embeddings of height
      and width only, and heads that turn by all three, so that time has no
      end.
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
    """Returns the context of all places of a grid, the last axis fastest.

    Args:
      condition: May hold 'label', num_classes being none, and 'text' with
        'text_mask'; without them, nothing is told.
      num_clips: Number of clips, b.
      grid: Places along t, h and w.

    Raises:
      ValueError: If it is told what it was not built for.
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
    places = _Places(self.width, self.head_width, self.positions, name='place')
    place_nd, angle_np = places(grid)
    context = Context(place_nd=place_nd, angle_np=angle_np)
    if self.num_classes:
      none_b = jnp.full(num_clips, self.num_classes)
      context = context._replace(label_b=condition.get('label', none_b))
    if self.vocab_size:
      words = _Words(self.vocab_size, self.width, name='text')
      word_bmd, mask_bm = words(condition, num_clips)
      context = context._replace(word_bmd=word_bmd, word_mask_bm=mask_bm)
    return context


class _Places(nn.Module):
  """Embeds positions of a grid; its fields are those of `Conditioning`."""

  width: int
  head_width: int
  positions: str

  @nn.compact
  def __call__(self, grid: tuple[int, int, int]) -> tuple[Array, Array | None]:
    """Returns (place_nd, angle_np), of `Context`."""
    if self.positions not in _POSITIONS:
      raise ValueError(
        f'positions is {self.positions!r}; it must be one of {_POSITIONS}.'
      )
    is_rotary = self.positions == 'rotary'
    axes = [1, 2] if is_rotary else [0, 1, 2]
    parts, left = [], self.width
    for number, axis in enumerate(axes):
      share = left // (len(axes) - number)
      left -= share
      name = ('time', 'height', 'width')[axis]
      table = self.param(name, _small, (grid[axis], share))
      around = [1 if i == axis else n for i, n in enumerate(grid)]
      shape = [n if i == axis else 1 for i, n in enumerate(grid)]
      parts.append(jnp.tile(table.reshape(*shape, share), (*around, 1)))
    place_nd = jnp.concatenate(parts, axis=-1).reshape(-1, self.width)
    if not is_rotary:
      return place_nd, None
    return place_nd, embeddings.rotary_grid(grid, self.head_width)


class _Words(nn.Module):
  """Embeds tokens of text, after one that stands for nothing said."""

  vocab_size: int
  width: int

  @nn.compact
  def __call__(
    self, condition: Mapping[str, Array], num_clips: int
  ) -> tuple[Array, Array]:
    """Returns (word_bmd, word_mask_bm), of `Context`."""
    table = nn.Embed(self.vocab_size, self.width, name='word')
    nothing_d = self.param('nothing', _small, (self.width,))
    word_bmd = jnp.tile(nothing_d.reshape(1, 1, -1), (num_clips, 1, 1))
    mask_bm = jnp.ones((num_clips, 1), bool)
    text_bn = condition.get('text', jnp.zeros((num_clips, 0), jnp.int32))
    order_nd = embeddings.sincos(jnp.arange(text_bn.shape[1]), self.width)
    text_bnd = table(text_bn) + order_nd[None]
    text_mask_bn = condition.get('text_mask', jnp.ones(text_bn.shape, bool))
    return (
      nn.LayerNorm(name='norm')(jnp.concatenate([word_bmd, text_bnd], 1)),
      jnp.concatenate([mask_bm, text_mask_bn], 1),
    )
