"""Numbers of zeros around the input of a convolution."""

from collections.abc import Sequence

from jax import lax

Pairs = tuple[tuple[int, int], ...]
Padding = str | Sequence[tuple[int, int]]


def plain(
  padding: Padding,
  sizes: tuple[int, ...],
  taps: tuple[int, ...],
  strides: tuple[int, ...],
) -> Pairs:
  """Returns numbers of zeros (low, high) for each axis of a convolution.

  Args:
    padding: 'SAME' (the size is divided by the stride and rounded up), 'VALID'
      (no zeros), 'CAUSAL' for the axes t, h, w ('SAME' in h and w; in t all
      zeros come first), or the pairs (low, high).
    sizes: Sizes of the input.
    taps: Sides of the kernel.
    strides: Strides of the kernel.

  Raises:
    ValueError: If padding is none of these.
  """
  if not isinstance(padding, str):
    return _pairs(padding, len(taps))
  if padding == 'CAUSAL' and len(taps) == 3:
    in_space = lax.padtype_to_pads(sizes[1:], taps[1:], strides[1:], 'SAME')
    return ((taps[0] - 1, 0), *in_space)
  if padding in ('SAME', 'VALID'):
    return tuple(lax.padtype_to_pads(sizes, taps, strides, padding))
  raise ValueError(
    f"padding is {padding!r}; it must be 'SAME', 'VALID', pairs of numbers, or"
    " 'CAUSAL' (only for clips)."
  )


def transposed(
  padding: Padding, taps: tuple[int, ...], strides: tuple[int, ...]
) -> Pairs:
  """Returns numbers of zeros (low, high) around a dilated input.

  Args:
    padding: 'SAME' (size times stride), 'VALID' (all positions that an input
      pixel affects), or the pairs (low, high).
    taps: Sides of the kernel.
    strides: Factors by which the axes grow.

  Raises:
    ValueError: If padding is none of these.
  """
  if not isinstance(padding, str):
    return _pairs(padding, len(taps))
  if padding == 'VALID':
    return tuple(
      (k - 1, max(k, s) - 1) for k, s in zip(taps, strides, strict=True)
    )
  if padding == 'SAME':
    pairs = []
    for k, s in zip(taps, strides, strict=True):
      low = k - 1 if s > k - 1 else -(-(k + s - 2) // 2)
      pairs.append((low, k + s - 2 - low))
    return tuple(pairs)
  raise ValueError(
    f"padding is {padding!r}; a transposed convolution needs 'SAME', 'VALID' or"
    ' pairs of numbers.'
  )


def _pairs(padding: Sequence[tuple[int, int]], num_axes: int) -> Pairs:
  if len(padding) != num_axes:
    raise ValueError(
      f'padding is {padding}; it must have {num_axes} pairs (low, high), one'
      ' for each axis of the kernel.'
    )
  return tuple((low, high) for low, high in padding)
