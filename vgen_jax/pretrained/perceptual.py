"""Perceptual distances as terms of a loss."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.pretrained import lpips
from vgen_jax.pretrained import weights


class LPIPS:
  """LPIPS of clips, version 0.1, as the field `perceptual` of a family.

  In a config: `perceptual=dict(name='pretrained.perceptual.LPIPS',
  trunk='vgg')`. The network is frozen: its weights are not parameters of the
  model.

  Attributes:
    trunk: Classifier that gives the features, one of `lpips.TRUNKS`.
  """

  def __init__(self, trunk: str = 'vgg', folders: Sequence[str] | None = None):
    """Loads the weights.

    Args:
      trunk: One of `lpips.TRUNKS`.
      folders: Folders of weights, as in `weights.load`.

    Raises:
      ValueError: If the trunk is unknown.
      weights.WeightsMissingError: If there is no file of weights.
    """
    if trunk not in lpips.TRUNKS:
      raise ValueError(
        f'perceptual.trunk is {trunk!r}; it must be one of {lpips.TRUNKS}.'
      )
    self.trunk = trunk
    self._variables = lpips.variables(
      trunk,
      weights.load(f'lpips-{trunk}-trunk', folders).arrays,
      weights.load(f'lpips-{trunk}', folders).arrays,
    )

  def __call__(self, video_bthwc: Array, other_bthwc: Array) -> Array:
    """Returns the distance of each clip, averaged over its frames, `[b]`.

    Args:
      video_bthwc: Clips in [-1, 1]; grey clips count as three equal channels.
      other_bthwc: Clips to compare with. Gradients flow to both arguments.
    """
    b, t, c = shapes.sizes(
      'btc', video_bthwc=video_bthwc, other_bthwc=other_bthwc
    )
    frames = [
      jnp.repeat(x.reshape(b * t, *x.shape[2:]), 3 // c, axis=-1)
      for x in (video_bthwc, other_bthwc)
    ]
    variables = jax.lax.stop_gradient(self._variables)
    distance = lpips.distance(variables, self.trunk, *frames)
    return distance.reshape(b, t).mean(1)
