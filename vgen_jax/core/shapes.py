"""Checks of array shapes against the suffixes of the arrays' names.

  b  batch            n  tokens                      d  width of a token
  t  frames           s  tokens of one frame         k  classes or codes
  h  height, pixels   g  groups (independent of each other)
  w  width, pixels    c  channels

`video_bthwc` is a batch of clips. Einops patterns, einsum strings and errors
use the same letters.
"""

from collections.abc import Sequence

from vgen_jax.core import checks
from vgen_jax.core.types import Array


def check_output(
  part: str, network: object, output: Array, wanted: Sequence[int]
) -> None:
  """Checks the shape that a network has returned.

  Args:
    part: Field of the family that holds the network, such as 'denoiser'.
    network: Network, whose class the message names.
    output: What it has returned.
    wanted: Shape that the family needs.

  Raises:
    ValueError: If the shapes differ.
  """
  if output.shape != tuple(wanted):
    raise ValueError(
      f'config.model.{part}: {type(network).__name__} returned shape'
      f' {output.shape}; the family needs {tuple(wanted)}. Change the network,'
      ' or its fields, to return this shape.'
    )


def sizes(letters: str, **arrays: Array) -> tuple[int, ...]:
  """Checks the shapes of arrays and returns the sizes of some axes.

  `b, t = sizes('bt', video_bthwc=video, time_b=time)` raises unless video has
  5 axes, time has 1 axis, and their first axes have the same size.

  Args:
    letters: Axes whose sizes to return, in this order; '' for none.
    **arrays: Arrays, with names that end in `_` and one letter per axis.

  Raises:
    ValueError: If the rank of an array differs from the length of its suffix,
      or two axes with the same letter have different sizes.
  """
  known: dict[str, int] = {}
  owner: dict[str, str] = {}
  for name, array in arrays.items():
    suffix = name.rpartition('_')[2]
    if len(suffix) != array.ndim:
      raise ValueError(
        f'{name} has shape {array.shape}; its name needs {len(suffix)} axes,'
        f' {", ".join(suffix)}.'
      )
    for letter, size in zip(suffix, array.shape, strict=True):
      if known.setdefault(letter, size) != size:
        raise ValueError(
          f'Axis {letter!r} is {size} in {name} {array.shape}, but'
          f' {known[letter]} in {owner[letter]}; they must be equal.'
        )
      owner.setdefault(letter, name)
  return tuple(known[letter] for letter in letters)


def patches(sides: tuple[int, int], patch: int) -> tuple[int, int]:
  """Returns the number of patches along the height and width of a frame.

  Args:
    sides: Height and width of a frame, in pixels.
    patch: Side of a patch, in pixels.

  Raises:
    ValueError: If patches do not fill the frame.
  """
  checks.multiples_of(
    'The size (h, w) of the frames', sides, (patch, patch), 'the patch size'
  )
  return sides[0] // patch, sides[1] // patch
