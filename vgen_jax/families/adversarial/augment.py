"""Random changes that critics see in data and fakes alike.

With few clips a critic learns them by heart. If it sees only changed ones, data
and fakes changed by the same law, it cannot; and as the changes can be
differentiated, the generator learns through them, and unchanged clips are what
it learns to draw.

A change is drawn once for a clip, from the clip's key, and is the same in all
frames: one drawn anew for each frame would teach flicker.

Reference: Zhao et al., "Differentiable Augmentation for Data-Efficient GAN
Training", 2020, https://arxiv.org/abs/2006.10738, for images.
"""

from collections.abc import Sequence
import difflib

import jax
import jax.numpy as jnp

from vgen_jax.core import random
from vgen_jax.core import shapes
from vgen_jax.core.types import Array


def augment(key_b: Array, video_bthwc: Array, policy: Sequence[str]) -> Array:
  """Returns clips under the changes that `policy` names, in its order.

  Pixels may leave [-1, 1]; critics do not mind.

  Args:
    key_b: Keys, one for each clip.
    video_bthwc: Clips, in [-1, 1].
    policy: Some of POLICIES; () changes nothing.

  Raises:
    ValueError: If a name is not in POLICIES.
  """
  check(policy)
  shapes.sizes('', key_b=key_b, video_bthwc=video_bthwc)
  for number, name in enumerate(policy):
    key = random.fold_in(key_b, number)
    video_bthwc = jax.vmap(POLICIES[name])(key, video_bthwc)
  return video_bthwc


def check(policy: Sequence[str]) -> None:
  """Raises ValueError if a name of `policy` is not in POLICIES."""
  if isinstance(policy, str):
    raise ValueError(f'augment is {policy!r}; it must be a tuple of names.')
  for name in policy:
    if name not in POLICIES:
      close = difflib.get_close_matches(name, POLICIES, n=1)
      hint = f' Did you mean {close[0]!r}?' if close else ''
      raise ValueError(
        f'augment names {name!r}; it can name {list(POLICIES)}.{hint}'
      )


def brightness(key: Array, video_thwc: Array) -> Array:
  """Adds a number from [-0.5, 0.5) to all pixels."""
  return video_thwc + jax.random.uniform(key, minval=-0.5, maxval=0.5)


def saturation(key: Array, video_thwc: Array) -> Array:
  """Scales the distance of colours from their grey by a number in [0, 2)."""
  grey_thwc = video_thwc.mean(axis=-1, keepdims=True)
  factor = jax.random.uniform(key, maxval=2.0)
  return grey_thwc + factor * (video_thwc - grey_thwc)


def contrast(key: Array, video_thwc: Array) -> Array:
  """Scales the distance from the clip's mean by a number in [0.5, 1.5)."""
  mean = video_thwc.mean()
  factor = jax.random.uniform(key, minval=0.5, maxval=1.5)
  return mean + factor * (video_thwc - mean)


def translation(key: Array, video_thwc: Array) -> Array:
  """Shifts frames by up to an eighth of a side; grey, zero, comes in."""
  t, h, w, c = video_thwc.shape
  most = jnp.array([_part(h, 1 / 8), _part(w, 1 / 8)])
  corner = jax.random.randint(key, (2,), 0, 2 * most + 1)
  border = [(0, 0), *((_part(n, 1 / 8),) * 2 for n in (h, w)), (0, 0)]
  return jax.lax.dynamic_slice(
    jnp.pad(video_thwc, border), (0, corner[0], corner[1], 0), (t, h, w, c)
  )


def cutout(key: Array, video_thwc: Array) -> Array:
  """Greys a box of half the sides, wherever its centre falls in a frame."""
  _, h, w, _ = video_thwc.shape
  row, column = jax.random.randint(key, (2,), 0, jnp.array([h, w]))
  inside = lambda n, centre: (
    (jnp.arange(n) - centre >= -(_part(n, 0.5) // 2))
    & (jnp.arange(n) - centre < _part(n, 0.5) - _part(n, 0.5) // 2)
  )
  box_hw = inside(h, row)[:, None] & inside(w, column)[None, :]
  return jnp.where(box_hw[None, :, :, None], 0.0, video_thwc)


POLICIES = {
  'brightness': brightness,
  'saturation': saturation,
  'contrast': contrast,
  'translation': translation,
  'cutout': cutout,
}


def _part(size: int, ratio: float) -> int:
  """Rounds a part of a side to whole pixels, halves upwards."""
  return int(size * ratio + 0.5)
