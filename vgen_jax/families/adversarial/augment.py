"""Differentiable augmentation of real and generated clips for critics.

With few clips a critic overfits to them. Augmentation prevents this if the
augmentations of real and generated clips have the same distribution. Since they
are differentiable, the generator receives gradients through them, and still
learns to generate clips that are not augmented.

The parameters of an augmentation are sampled once for a clip, from the clip's
key, and are the same in all frames: with different parameters in each frame,
the generator would learn to flicker.

Each augmentation is a function of the key and the clip, `[t, h, w, c]` in
[-1, 1], and returns the augmented clip, whose pixels may leave [-1, 1].

Reference: Zhao et al., "Differentiable Augmentation for Data-Efficient GAN
Training", 2020, https://arxiv.org/abs/2006.10738, for images.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import random
from vgen_jax.core import shapes
from vgen_jax.core.types import Array


def augment(key_b: Array, video_bthwc: Array, policy: Sequence[str]) -> Array:
  """Returns clips with the augmentations that `policy` names, in its order.

  Pixels may leave [-1, 1], which does not matter to critics.

  Args:
    key_b: Keys, one for each clip.
    video_bthwc: Clips, in [-1, 1].
    policy: Names in POLICIES; () for no augmentation.

  Raises:
    ValueError: If `policy` is a string, or a name is not in POLICIES.
  """
  check(policy)
  shapes.sizes('', key_b=key_b, video_bthwc=video_bthwc)
  for number, name in enumerate(policy):
    key = random.fold_in(key_b, number)
    video_bthwc = jax.vmap(POLICIES[name])(key, video_bthwc)
  return video_bthwc


def check(policy: Sequence[str]) -> None:
  """Raises ValueError if `policy` is a string or a name is not in POLICIES."""
  if isinstance(policy, str):
    raise ValueError(
      f'model.augment is {policy!r}; it must be a tuple of names in'
      f" {list(POLICIES)}, such as ('translation',)."
    )
  for number, name in enumerate(policy):
    checks.one_of(f'model.augment[{number}]', name, POLICIES)


def brightness(key: Array, video_thwc: Array) -> Array:
  """Adds one number, uniform in [-0.5, 0.5), to all pixels."""
  return video_thwc + jax.random.uniform(key, minval=-0.5, maxval=0.5)


def saturation(key: Array, video_thwc: Array) -> Array:
  """Scales the difference of colours from grey by a factor in [0, 2)."""
  grey_thwc = video_thwc.mean(axis=-1, keepdims=True)
  factor = jax.random.uniform(key, maxval=2.0)
  return grey_thwc + factor * (video_thwc - grey_thwc)


def contrast(key: Array, video_thwc: Array) -> Array:
  """Scales the difference from the clip's mean by a factor in [0.5, 1.5)."""
  mean = video_thwc.mean()
  factor = jax.random.uniform(key, minval=0.5, maxval=1.5)
  return mean + factor * (video_thwc - mean)


def translation(key: Array, video_thwc: Array) -> Array:
  """Shifts all frames by the same number of pixels, padded with 0 (grey).

  The shifts along h and w are up to an eighth of the height and the width.
  """
  t, h, w, c = video_thwc.shape
  most = jnp.array([_pixels(h, 1 / 8), _pixels(w, 1 / 8)])
  corner = jax.random.randint(key, (2,), 0, 2 * most + 1)
  border = [(0, 0), *((_pixels(n, 1 / 8),) * 2 for n in (h, w)), (0, 0)]
  return jax.lax.dynamic_slice(
    jnp.pad(video_thwc, border), (0, corner[0], corner[1], 0), (t, h, w, c)
  )


def cutout(key: Array, video_thwc: Array) -> Array:
  """Sets a box of half the height and half the width to 0 (grey).

  The centre of the box is any pixel, so part of the box may be outside.
  """
  _, h, w, _ = video_thwc.shape
  row, column = jax.random.randint(key, (2,), 0, jnp.array([h, w]))
  inside = lambda n, centre: (
    (jnp.arange(n) - centre >= -(_pixels(n, 0.5) // 2))
    & (jnp.arange(n) - centre < _pixels(n, 0.5) - _pixels(n, 0.5) // 2)
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


def _pixels(size: int, fraction: float) -> int:
  """Returns a fraction of a side in whole pixels, halves rounded up."""
  return int(size * fraction + 0.5)
