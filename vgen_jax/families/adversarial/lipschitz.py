"""Penalties on the gradient of a critic with respect to its input.

Each takes `score(video_bthwc) -> score_b`, one number for each clip that
depends on that clip only (so the critic must not use batch norm). The score is
differentiated with respect to pixels, and the penalty then with respect to the
critic's parameters.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.nn import frame_convolution

# Penalties that a GAN can name; 'r1+r2' is the sum of both.
KINDS = ('none', 'r1', 'r2', 'r1+r2', 'gp')

Score = Callable[[Array], Array]


def squared_gradient_norm(score: Score, video_bthwc: Array) -> Array:
  """Returns the squared norm of the gradient of each clip's score, `[b]`.

  The result can be differentiated in reverse mode.
  """
  with frame_convolution.second_derivatives():
    gradient = jax.grad(lambda x: score(x).astype(jnp.float32).sum())(
      video_bthwc
    )
  axes = tuple(range(1, gradient.ndim))
  return jnp.square(gradient.astype(jnp.float32)).sum(axis=axes)


def zero_centred(score: Score, video_bthwc: Array) -> Array:
  """Returns half the squared gradient norm, `[b]`.

  On real clips this is R1, on generated ones R2. With weight gamma it is the
  regularizer `gamma / 2 E |grad D|^2` of Mescheder et al., "Which Training
  Methods for GANs do actually Converge?", 2018,
  https://arxiv.org/abs/1801.04406
  """
  return 0.5 * squared_gradient_norm(score, video_bthwc)


def one_centred(score: Score, video_bthwc: Array) -> Array:
  """Returns the squared distance of the gradient norm from 1, `[b]`.

  As a penalty on points between real and generated clips (`interpolate`), this
  distance makes a Wasserstein critic 1-Lipschitz between both sets: Gulrajani
  et al., "Improved Training of Wasserstein GANs", 2017,
  https://arxiv.org/abs/1704.00028, whose weight is 10.
  """
  # The square root has no derivative at 0, which a new critic may reach.
  norm_b = jnp.sqrt(squared_gradient_norm(score, video_bthwc) + 1e-12)
  return jnp.square(norm_b - 1)


def interpolate(key_b: Array, real_bthwc: Array, fake_bthwc: Array) -> Array:
  """Returns a random point on the line from each real clip to a generated one.

  Args:
    key_b: Keys, one for each clip, for the position on the line.
    real_bthwc: Real clips, where the lines start.
    fake_bthwc: Generated clips, where the lines end.
  """
  fraction_b = random.uniform(key_b)
  fraction = fraction_b.reshape(-1, *(1,) * (real_bthwc.ndim - 1))
  return real_bthwc + fraction * (fake_bthwc - real_bthwc)
