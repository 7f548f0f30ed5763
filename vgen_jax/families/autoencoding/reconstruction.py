"""Distances between clips and their reconstructions, pixel by pixel."""

import jax.numpy as jnp
import optax

from vgen_jax.core import checks
from vgen_jax.core import pixels
from vgen_jax.core.types import Array

KINDS = ('l1', 'l2', 'huber')

_CLIP = (1, 2, 3, 4)  # Axes of a clip.


def distance(kind: str, video_bthwc: Array, other_bthwc: Array) -> Array:
  """Returns the mean distance over pixels and clips, a float32 scalar.

  Args:
    kind: 'l1', the absolute error; 'l2', the squared error; 'huber', half the
      squared error below 1 and linear above.
    video_bthwc: Clips in [-1, 1].
    other_bthwc: Their reconstructions.

  Raises:
    ValueError: If `kind` is not in KINDS.
  """
  check(kind)
  error_bthwc = jnp.abs(other_bthwc.astype(jnp.float32) - video_bthwc)
  match kind:
    case 'l1':
      return error_bthwc.mean()
    case 'l2':
      return jnp.square(error_bthwc).mean(_CLIP).mean()
    case 'huber':
      return optax.huber_loss(error_bthwc).mean()


def psnr(video_bthwc: Array, other_bthwc: Array) -> Array:
  """Returns the peak signal-to-noise ratio in dB, the mean over clips.

  Args:
    video_bthwc: Clips in [-1, 1], so that the peak is 2.
    other_bthwc: Their reconstructions.
  """
  error_bthwc = other_bthwc.astype(jnp.float32) - video_bthwc
  square_b = jnp.square(error_bthwc).mean(_CLIP)
  return pixels.psnr(square_b, peak=2.0).mean()


def check(kind: str) -> None:
  """Raises ValueError if `kind` is not in KINDS."""
  checks.one_of('model.reconstruction', kind, KINDS)
