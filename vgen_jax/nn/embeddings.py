"""Embeddings of positions, times and labels.

Axis suffixes of this file, in addition to those of core/shapes.py: `a` heads of
attention, `e` width of a head, `p` pairs of rotated numbers, `e` = 2 `p`.
"""

from collections.abc import Mapping, Sequence
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.nn import batch_sharding

_TIME_WIDTH = 256  # Sines and cosines of a time, as in DiT.


class Embed(nn.Embed):
  """A table of embeddings; see `nn.Embed` for its fields.

  Under FSDP, devices gather the table and look up the rows of their own clips.
  """

  def setup(self):
    super().setup()
    self.embedding = batch_sharding.gather(self.embedding)


class TimeAndLabel(nn.Module):
  """Embeds the time of the diffusion process and the label of a clip.

  Attributes:
    width: Size of the embedding.
    num_classes: Number of labels K; 0 makes a label an error. Row K of the
      table stands for "no label" and is used when none is given.
    dtype: Dtype of matrix products.
    label_scale: Initial standard deviation of the table of labels. With a scale
      like that of the time embedding, networks use labels earlier in training,
      within hundreds of steps.
  """

  width: int
  num_classes: int = 0
  dtype: str = 'float32'
  label_scale: float = 0.02

  @nn.compact
  def __call__(self, time_b: Array, condition: Mapping[str, Array]) -> Array:
    """Returns the sum of both embeddings, `[b, width]`, in `dtype`.

    Args:
      time_b: Times in about [0, 1].
      condition: Condition that may have 'label', int32 `[b]` in [0, K].

    Raises:
      ValueError: If there is a label, but num_classes is 0.
    """
    dense = functools.partial(nn.Dense, dtype=self.dtype)
    # Times in [0, 1] are scaled to a range that the sinusoids resolve.
    time_bd = sincos(1e3 * time_b, _TIME_WIDTH)
    time_bd = nn.silu(dense(self.width, name='time_in')(time_bd))
    time_bd = batch_sharding.constrain(
      dense(self.width, name='time_out')(batch_sharding.constrain(time_bd))
    )
    label_b = condition.get('label')
    if not self.num_classes:
      if label_b is not None:
        raise ValueError(
          "condition['label'] is given, but num_classes is 0; leave the label"
          ' out (config.model.num_classes=0), or build the network with'
          ' num_classes.'
        )
      return time_bd
    if label_b is None:
      label_b = jnp.full(time_b.shape, self.num_classes)
    small = nn.initializers.normal(self.label_scale)
    table = Embed(
      self.num_classes + 1, self.width, embedding_init=small, name='label'
    )
    label_bd = batch_sharding.constrain(table(label_b))
    return time_bd + label_bd.astype(time_bd.dtype)


def one_hot_label(
  condition: Mapping[str, Array], num_classes: int, num_clips: int, owner: str
) -> Array:
  """Returns labels as one-hot vectors, float32 `[b, num_classes]`.

  Args:
    condition: Condition with 'label', int32 `[b]`, if there are classes.
    num_classes: Number of classes; 0 gives vectors of width 0.
    num_clips: Number of clips, b.
    owner: Network that has num_classes, for the error.

  Raises:
    ValueError: If there is a label and there are no classes, or the other way
      round.
  """
  if ('label' in condition) != bool(num_classes):
    raise ValueError(
      f'condition has the keys {list(condition)}, and num_classes of {owner} is'
      f" {num_classes}; 'label' is needed if there are classes, and not allowed"
      ' if num_classes is 0.'
    )
  label_b = condition.get('label', jnp.zeros(num_clips, jnp.int32))
  return jax.nn.one_hot(label_b, num_classes)


def sincos(position_n: Array, width: int, max_period: float = 1e4) -> Array:
  """Returns sines and cosines of each position, float32 `[n, width]`.

  Wavelengths grow geometrically from 2 pi to `2 pi * max_period` positions.

  Args:
    position_n: Positions, in any unit; they need not be whole numbers.
    width: Size of an embedding; even.
    max_period: Longest wavelength, in units of 2 pi positions.

  Raises:
    ValueError: If the width is odd.

  Reference: Vaswani et al., "Attention Is All You Need", 2017,
  https://arxiv.org/abs/1706.03762
  """
  if width % 2:
    raise ValueError(f'width is {width}; sines and cosines need an even width.')
  exponent = jnp.linspace(0.0, 1.0, width // 2)
  angle = jnp.outer(position_n.astype(jnp.float32), max_period**-exponent)
  return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)


def sincos_grid(sizes: Sequence[int], width: int) -> Array:
  """Returns sines and cosines of the cells of a grid, float32 `[n, width]`.

  The width is split evenly among the axes; the first axis gets the remainder.

  Args:
    sizes: Number of cells along each axis; the last is the fastest in `n`.
    width: Size of an embedding; even, and at least 2 for each axis.

  Raises:
    ValueError: If the width is odd or too small.
  """
  positions = jnp.meshgrid(*map(jnp.arange, sizes), indexing='ij')
  parts = [
    sincos(position.ravel(), 2 * pairs)
    for position, pairs in zip(
      positions, _split(width, len(sizes)), strict=True
    )
  ]
  return jnp.concatenate(parts, axis=-1)


def rotary_grid(
  sizes: Sequence[int], head_width: int, max_period: float = 1e4
) -> Array:
  """Returns the angle of each pair in each cell for `rotate`, `[n, p]` radians.

  The pairs of a head are split evenly among the axes of the grid; the first
  axis gets the remainder. The frequencies of an axis are geometric, from 1
  radian per cell down.

  Args:
    sizes: Number of cells along each axis; the last is the fastest in `n`.
    head_width: Width of a head; even, and at least 2 for each axis.
    max_period: Reciprocal of a lower bound of the frequencies.

  Raises:
    ValueError: If the width is odd or too small.

  Reference: Su et al., "RoFormer: Enhanced Transformer with Rotary Position
  Embedding", 2021, https://arxiv.org/abs/2104.09864, extended here to several
  axes.
  """
  positions = jnp.meshgrid(*map(jnp.arange, sizes), indexing='ij')
  pairs_per_axis = _split(head_width, len(sizes))
  angles = []
  for position, pairs in zip(positions, pairs_per_axis, strict=True):
    frequency_p = max_period ** -(jnp.arange(pairs) / pairs)
    angles.append(jnp.outer(position.ravel(), frequency_p))
  return jnp.concatenate(angles, axis=-1)


def rotate(x_bnae: Array, angle_np: Array) -> Array:
  """Rotates each pair of numbers, i and i + e / 2, of each head by its angle.

  The dot product of two rotated heads depends only on the difference of their
  angles. The result is computed in float32 and has the dtype of the input.

  Args:
    x_bnae: Queries or keys.
    angle_np: Angles in radians, from `rotary_grid`.
  """
  dtype = x_bnae.dtype
  cos = jnp.cos(angle_np)[None, :, None]
  sin = jnp.sin(angle_np)[None, :, None]
  x, y = jnp.split(x_bnae.astype(jnp.float32), 2, axis=-1)
  rotated = jnp.concatenate([x * cos - y * sin, x * sin + y * cos], axis=-1)
  return rotated.astype(dtype)


def _split(width: int, num_axes: int) -> list[int]:
  """Returns how many of the `width / 2` pairs of numbers each axis gets."""
  pairs = width // 2
  if width % 2 or pairs < num_axes:
    raise ValueError(
      f'The width is {width}; for {num_axes} axes it must be even and at least'
      f' {2 * num_axes}, so that each axis gets a pair of numbers.'
    )
  per_axis = pairs // num_axes
  return [pairs - per_axis * (num_axes - 1)] + [per_axis] * (num_axes - 1)
