"""Distances in the eye of a trained network, as parts of a loss."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.pretrained import lpips
from vgen_jax.pretrained import weights


class LPIPS:
  """LPIPS of clips, version 0.1, as the field `perceptual` of a family.

  In a config `perceptual=dict(name='pretrained.perceptual.LPIPS',
  trunk='vgg')`. The network is frozen: its weights are no parameters of the
  model.

  Attributes:
    trunk: One of `lpips.TRUNKS`.
  """

  def __init__(self, trunk: str = 'vgg', places: Sequence[str] | None = None):
    """Loads the weights.

    Args:
      trunk: One of `lpips.TRUNKS`.
      places: Folders of weights, as in `weights.load`.

    Raises:
      ValueError: If there is no such trunk.
      weights.WeightsMissingError: If the weights are not there.
    """
    if trunk not in lpips.TRUNKS:
      raise ValueError(
        f'perceptual.trunk is {trunk!r}; it must be one of {lpips.TRUNKS}.'
      )
    self.trunk = trunk
    self._variables = lpips.variables(
      trunk,
      weights.load(f'lpips-{trunk}-trunk', places).arrays,
      weights.load(f'lpips-{trunk}', places).arrays,
    )

  def __call__(self, video_bthwc: Array, rebuilt_bthwc: Array) -> Array:
    """Returns the distance of each clip, averaged over its frames, `[b]`.

    Args:
      video_bthwc: Clips in [-1, 1]; grey ones count as three equal channels.
      rebuilt_bthwc: What they are compared with; gradients pass.
    """
    b, t, c = shapes.sizes(
      'btc', video_bthwc=video_bthwc, rebuilt_bthwc=rebuilt_bthwc
    )
    frames = [
      jnp.repeat(x.reshape(b * t, *x.shape[2:]), 3 // c, axis=-1)
      for x in (video_bthwc, rebuilt_bthwc)
    ]
    variables = jax.lax.stop_gradient(self._variables)
    distance = lpips.distance(variables, self.trunk, *frames)
    return distance.reshape(b, t).mean(1)
