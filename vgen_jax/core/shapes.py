"""Names that check themselves: the suffix of an array's name is its shape.

  b  batch            n  tokens                      d  width of a token
  t  frames           s  tokens of one frame         k  classes or codes
  h  height, pixels   g  groups that see no other
  w  width, pixels    c  channels

`video_bthwc` is a batch of clips. The same letters serve in einops patterns and
einsum strings, so a name, a rearrangement and an error all read alike.
"""

from vgen_jax.core.types import Array


def sizes(letters: str, **arrays: Array) -> tuple[int, ...]:
  """Returns the sizes of the axes `letters`, once all arrays agree on them.

  `b, t = sizes('bt', video_bthwc=video, time_b=time)` raises unless video has
  5 axes, time has 1, and their first axes are of one size.

  Args:
    letters: Axes whose sizes to return, in this order; '' only checks.
    **arrays: Arrays, under names that end in `_` and one letter per axis.

  Raises:
    ValueError: If a rank differs from its suffix, or sizes of one letter do.
  """
  known: dict[str, int] = {}
  owner: dict[str, str] = {}
  for name, array in arrays.items():
    suffix = name.rpartition('_')[2]
    if len(suffix) != array.ndim:
      raise ValueError(
        f'{name} names {len(suffix)} axes, but has shape {array.shape}.'
      )
    for letter, size in zip(suffix, array.shape, strict=True):
      if known.setdefault(letter, size) != size:
        raise ValueError(
          f'Axis {letter!r} is {size} in {name} {array.shape}, but'
          f' {known[letter]} in {owner[letter]}.'
        )
      owner.setdefault(letter, name)
  return tuple(known[letter] for letter in letters)


def patches(sides: tuple[int, int], patch: int) -> tuple[int, int]:
  """Returns how many patches there are along the sides of a frame.

  Args:
    sides: Height and width of a frame, in pixels.
    patch: Side of a patch, in pixels.

  Raises:
    ValueError: If patches do not fill the frame.
  """
  if any(side % patch for side in sides):
    raise ValueError(
      f'Frames are {sides[0]} x {sides[1]} pixels; both sides must be multiples'
      f' of {patch}, as the model is built: crop or resize, or change its'
      ' patches.'
    )
  return sides[0] // patch, sides[1] // patch
