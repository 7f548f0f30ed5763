"""LPIPS: perceptual distance of two frames.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual
Metric", 2018, https://arxiv.org/abs/1801.03924, version 0.1: features of an
ImageNet classifier at five depths are normalized to unit length at each pixel,
and their squared differences are weighted by channel. Version 0.0 did not
standardize pixels and gives other numbers; its weights are refused
(weights.py).
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.nn.convolution import conv
from vgen_jax.pretrained import torch_names

# Mean and deviation of red, green and blue, for pixels in [-1, 1].
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_TINY = 1e-10
# Numbers of the convolutions in torchvision, for each depth.
_DEPTHS = {
  'alex': ((0,), ('pool', 3), ('pool', 6), (8,), (10,)),
  'vgg': (
    (0, 2),
    ('pool', 5, 7),
    ('pool', 10, 12, 14),
    ('pool', 17, 19, 21),
    ('pool', 24, 26, 28),
  ),
}
_WINDOW = {'alex': 3, 'vgg': 2}  # Pixels of max pooling, with stride 2.

TRUNKS = tuple(_DEPTHS)


def distance(
  variables: Mapping[str, Any], trunk: str, a_bhwc: Array, b_bhwc: Array
) -> Array:
  """Returns the distance of pairs of images, `[b]`; 0 for equal images.

  Args:
    variables: Variables as returned by `variables`.
    trunk: Name of the classifier that gives the features, one of `TRUNKS`.
    a_bhwc: RGB images in [-1, 1]. Some code uses [0, 1], which gives other
      numbers.
    b_bhwc: Images to compare with; the distance is symmetric.

  Raises:
    ValueError: If shapes differ, or images are too small for the trunk.
  """
  (b,) = shapes.sizes('b', a_bhwc=a_bhwc, b_bhwc=b_bhwc)
  both = _depths(variables, trunk, jnp.concatenate([a_bhwc, b_bhwc]))
  total_b = jnp.zeros(b)
  for i, x_bhwc in enumerate(both):
    length = jnp.sqrt(jnp.sum(x_bhwc**2, -1, keepdims=True))
    x_bhwc = x_bhwc / (length + _TINY)
    gap_bhwc = (x_bhwc[:b] - x_bhwc[b:]) ** 2
    total_b += jnp.mean(gap_bhwc, (1, 2)) @ variables[f'head_{i}']
  return total_b


def variables(
  trunk: str,
  arrays: Mapping[str, np.ndarray],
  heads: Mapping[str, np.ndarray],
) -> dict[str, Any]:
  """Returns the variables of `distance`: trunk and weights of channels.

  Args:
    trunk: Name of the classifier that gives the features, one of `TRUNKS`.
    arrays: State dict of torchvision's classifier; dense layers are ignored.
    heads: State dict of LPIPS, version 0.1: the weights of the channels of
      features, called heads.

  Raises:
    ValueError: If a layer is missing or has another number of channels.
  """
  found = {}
  for i, depth in enumerate(_DEPTHS[trunk]):
    layers = [f'features.{n}' for n in depth if n != 'pool']
    head = f'lin{i}.model.1.weight'
    for name in (f'{n}.{leaf}' for n in layers for leaf in ('weight', 'bias')):
      found[name] = _get(arrays, name, trunk)
    found_head = np.asarray(_get(heads, head, trunk), np.float32).reshape(-1)
    channels = len(found[f'{layers[-1]}.bias'])
    if len(found_head) != channels:
      raise ValueError(
        f'{head} has weights for {len(found_head)} channels; trunk {trunk!r}'
        f' needs {channels}. Use the weights of LPIPS for that trunk.'
      )
    found[f'head_{i}'] = found_head
  convolutions = {k: v for k, v in found.items() if k.startswith('features')}
  return {
    **torch_names.variables(convolutions)['params']['features'],
    **{k: v for k, v in found.items() if k.startswith('head')},
  }


def _get(arrays: Mapping[str, np.ndarray], name: str, trunk: str) -> np.ndarray:
  if name not in arrays:
    raise ValueError(
      f'{name} is missing, but trunk {trunk!r} of LPIPS needs it; the file has'
      f' {sorted(arrays)[:4]}, ... Use the file for that trunk.'
    )
  return arrays[name]


def _depths(
  variables: Mapping[str, Any], trunk: str, x_bhwc: Array
) -> list[Array]:
  """Returns features after the last ReLU of each depth."""
  h, w = x_bhwc.shape[1:3]
  x_bhwc = (x_bhwc - jnp.array([[[_SHIFT]]])) / jnp.array([[[_SCALE]]])
  found, window = [], (_WINDOW[trunk],) * 2
  for depth in _DEPTHS[trunk]:
    for number in depth:
      if number == 'pool':
        if min(x_bhwc.shape[1:3]) < window[0]:
          raise ValueError(
            f'Images of {h} x {w} pixels are too small for LPIPS with trunk'
            f' {trunk!r}; use 32 x 32 pixels or more.'
          )
        x_bhwc = nn.max_pool(x_bhwc, window, (2, 2))
        continue
      kernel_hwio = variables[str(number)]['kernel']
      large = kernel_hwio.shape[0] == 11  # The first one of AlexNet.
      strides, padding = ((4, 4), ((2, 2),) * 2) if large else ((1, 1), 'SAME')
      x_bhwc = conv.conv2d(x_bhwc, kernel_hwio, strides, padding)
      bias_c = variables[str(number)]['bias']
      x_bhwc = nn.relu(x_bhwc + bias_c[None, None, None])
    found.append(x_bhwc)
  return found
