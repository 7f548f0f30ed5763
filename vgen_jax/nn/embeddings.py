"""Embeddings of positions, times and labels.

Letters of this file, besides those of core/shapes.py: `a` heads of attention,
`e` width of a head, `p` pairs of numbers that turn together, `e` = 2 `p`.
"""

from collections.abc import Mapping, Sequence
import functools

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core.types import Array

_TIME_WIDTH = 256  # Sines and cosines of a time, as in DiT.


class TimeAndLabel(nn.Module):
  """Embeds when in the process a clip is, and what it should show.

  Attributes:
    width: Size of the embedding.
    num_classes: Number of labels K; 0 makes a label an error. Row K of the
      table stands for "no label" and is used when none is given.
    dtype: Of matrix products.
    label_scale: Standard deviation of the table at first. Labels of a scale
      like that of times are heeded sooner, in hundreds of steps.
  """

  width: int
  num_classes: int = 0
  dtype: str = 'float32'
  label_scale: float = 0.02

  @nn.compact
  def __call__(self, time_b: Array, condition: Mapping[str, Array]) -> Array:
    """Returns `[b, width]`.

    Args:
      time_b: Times in about [0, 1].
      condition: May hold `label`, int32 `[b]` in [0, K].

    Raises:
      ValueError: If there is a label, but num_classes is 0.
    """
    dense = functools.partial(nn.Dense, dtype=self.dtype)
    # Times in [0, 1] are stretched to the range that sinusoids tell apart.
    time_bd = sincos(1e3 * time_b, _TIME_WIDTH)
    time_bd = nn.silu(dense(self.width, name='time_in')(time_bd))
    time_bd = dense(self.width, name='time_out')(time_bd)
    label_b = condition.get('label')
    if not self.num_classes:
      if label_b is not None:
        raise ValueError(
          "condition['label'] is given, but num_classes is 0; leave it out, or"
          ' build the network with num_classes.'
        )
      return time_bd
    if label_b is None:
      label_b = jnp.full(time_b.shape, self.num_classes)
    small = nn.initializers.normal(self.label_scale)
    table = nn.Embed(
      self.num_classes + 1, self.width, embedding_init=small, name='label'
    )
    return time_bd + table(label_b).astype(time_bd.dtype)


def sincos(position_n: Array, width: int, max_period: float = 1e4) -> Array:
  """Embeds each position as sines and cosines; returns float32 `[n, width]`.

  Wavelengths grow geometrically from 2 pi to `2 pi * max_period` positions.

  Args:
    position_n: Positions, in any unit; need not be whole numbers.
    width: Size of an embedding; even.
    max_period: Longest wavelength, in units of 2 pi positions.

  Reference: Vaswani et al., "Attention Is All You Need", 2017,
  https://arxiv.org/abs/1706.03762
  """
  if width % 2:
    raise ValueError(f'A sine/cosine embedding is of even width, not {width}.')
  exponent = jnp.linspace(0.0, 1.0, width // 2)
  angle = jnp.outer(position_n.astype(jnp.float32), max_period**-exponent)
  return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)


def sincos_grid(sizes: Sequence[int], width: int) -> Array:
  """Embeds the cells of a grid, last axis fastest; float32 `[n, width]`.

  Each axis has an even share of the numbers, the first what is left over.
  """
  shares = [2 * pairs for pairs in _shares(width, len(sizes))]
  places = jnp.meshgrid(*map(jnp.arange, sizes), indexing='ij')
  parts = [
    sincos(place.ravel(), share)
    for place, share in zip(places, shares, strict=True)
  ]
  return jnp.concatenate(parts, axis=-1)


def rotary_grid(
  sizes: Sequence[int], head_width: int, max_period: float = 1e4
) -> Array:
  """Returns how far `rotate` turns each pair in each cell, `[n, p]` radians.

  The pairs of a head are shared out to the axes of the grid, the first has what
  is left over; within an axis they turn at geometric speeds, 1 radian a cell
  and slower.

  Args:
    sizes: Cells along each axis; the last is the fastest in `n`.
    head_width: Numbers in a head; even, and at least 2 for each axis.
    max_period: Reciprocal of the slowest speed, not itself reached.

  Reference: Su et al., "RoFormer: Enhanced Transformer with Rotary Position
  Embedding", 2021, https://arxiv.org/abs/2104.09864; several axes are our own
  straightforward extension.
  """
  places = jnp.meshgrid(*map(jnp.arange, sizes), indexing='ij')
  angles = []
  for place, pairs in zip(places, _shares(head_width, len(sizes)), strict=True):
    speed_p = max_period ** -(jnp.arange(pairs) / pairs)
    angles.append(jnp.outer(place.ravel(), speed_p))
  return jnp.concatenate(angles, axis=-1)


def rotate(x_bnae: Array, angle_np: Array) -> Array:
  """Turns number i and number i + e / 2 of each head as one vector in a plane.

  A product of two heads so turned depends on the difference of their angles
  only. Computed in float32; returned in the dtype of the input.
  """
  dtype = x_bnae.dtype
  cos = jnp.cos(angle_np)[None, :, None]
  sin = jnp.sin(angle_np)[None, :, None]
  x, y = jnp.split(x_bnae.astype(jnp.float32), 2, axis=-1)
  turned = jnp.concatenate([x * cos - y * sin, x * sin + y * cos], axis=-1)
  return turned.astype(dtype)


def _shares(width: int, num_axes: int) -> list[int]:
  """Shares out `width / 2` pairs to the axes."""
  pairs = width // 2
  if width % 2 or pairs < num_axes:
    raise ValueError(
      f'A width of {width} has no pair of numbers for each of {num_axes} axes;'
      f' it must be even, and at least {2 * num_axes}.'
    )
  share = pairs // num_axes
  return [pairs - share * (num_axes - 1)] + [share] * (num_axes - 1)
