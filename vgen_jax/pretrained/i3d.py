"""I3D: the network whose logits FVD compares.

Carreira and Zisserman, "Quo Vadis, Action Recognition? A New Model and the
Kinetics Dataset", 2017, https://arxiv.org/abs/1705.07750: Inception-v1 with its
kernels inflated in time. FVD is by Unterthiner et al., "Towards Accurate
Generative Models of Video: A New Metric & Challenges", 2018,
https://arxiv.org/abs/1812.01717.

The network is as published, with the padding 'SAME' of TensorFlow everywhere.
"""

from collections.abc import Mapping
import re
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.nn.convolution import conv
from vgen_jax.pretrained import torch_names

SIDE = 224
MIN_FRAMES = 9  # The last pooling needs 2 frames of features.
# Channels of each convolution in the four branches of a block, whose kernels
# have the sides 1; 1, then 3; 1, then 3; and, after max pooling, 1.
_MIXED = {
  'Mixed_3b': (64, 96, 128, 16, 32, 32),
  'Mixed_3c': (128, 128, 192, 32, 96, 64),
  'Mixed_4b': (192, 96, 208, 16, 48, 64),
  'Mixed_4c': (160, 112, 224, 24, 64, 64),
  'Mixed_4d': (128, 128, 256, 24, 64, 64),
  'Mixed_4e': (112, 144, 288, 32, 64, 64),
  'Mixed_4f': (256, 160, 320, 32, 128, 128),
  'Mixed_5b': (256, 160, 320, 32, 128, 128),
  'Mixed_5c': (384, 192, 384, 48, 128, 128),
}
# Names of the same layers in Hasson's port, as patterns.
_OTHER_NAMES = (
  (r'^conv3d_0c_1x1\.', 'logits.'),
  (r'^conv3d_(\d)', r'Conv3d_\1'),
  (r'^mixed_', 'Mixed_'),
  (r'\.branch_([12])\.0\.', r'.b\1a.'),
  (r'\.branch_([12])\.1\.', r'.b\1b.'),
  (r'\.branch_3\.1\.', '.b3b.'),
  (r'\.branch_0\.', '.b0.'),
  (r'\.batch3d\.', '.bn.'),
)


class I3D(nn.Module):
  """Inception-v1 in three dimensions, for inference.

  Attributes:
    batch_norm_eps: Number added to variances. It is 1e-3 in the original and in
      Hasson's port, and 1e-5 in VideoGPT's. It has no default, because the
      wrong one changes the distance.
    num_classes: Number of logits.
    width: Factor of the number of channels; 1 except in tests.
  """

  batch_norm_eps: float
  num_classes: int = 400
  width: float = 1.0

  @nn.compact
  def __call__(self, video_bthwc: Array) -> dict[str, Array]:
    """Returns 'logits' `[b, k]`, and 'pooled' `[b, d]` (d = 1024), float32.

    Args:
      video_bthwc: 9 frames or more of 224 x 224 pixels, 3 channels in [-1, 1].

    Raises:
      ValueError: If there are too few frames, or they have another size.
    """
    t, h, w = shapes.sizes('thw', video_bthwc=video_bthwc)
    if t < MIN_FRAMES or (h, w) != (SIDE, SIDE):
      raise ValueError(
        f'Clips have {t} frames of {h} x {w}; I3D needs {MIN_FRAMES} or more'
        f' of {SIDE} x {SIDE}: use longer clips, or resize their frames.'
      )

    def unit(x, name, channels, size, stride=1):
      channels = round(channels * self.width)
      return _Unit(channels, size, stride, self.batch_norm_eps, name=name)(x)

    def mixed(x, stage):
      for name, channels in _MIXED.items():
        if name.startswith(f'Mixed_{stage}'):
          channels = tuple(round(c * self.width) for c in channels)
          x = _Mixed(channels, self.batch_norm_eps, name=name)(x)
      return x

    x = unit(video_bthwc, 'Conv3d_1a_7x7', 64, 7, 2)
    x = max_pool(x, (1, 3, 3), (1, 2, 2))
    x = unit(x, 'Conv3d_2b_1x1', 64, 1)
    x = unit(x, 'Conv3d_2c_3x3', 192, 3)
    x = mixed(max_pool(x, (1, 3, 3), (1, 2, 2)), 3)
    x = mixed(max_pool(x, (3, 3, 3), (2, 2, 2)), 4)
    x = mixed(max_pool(x, (2, 2, 2), (2, 2, 2)), 5)
    # Means of pairs of frames, so that the first and the last count half.
    x_btd = jnp.mean(x, (2, 3))
    pooled_bd = jnp.mean((x_btd[:, 1:] + x_btd[:, :-1]) / 2, 1)
    # The layer is linear, so that the mean can be taken before it.
    logits = _Logits(self.num_classes, name='logits')
    return {'logits': logits(pooled_bd), 'pooled': pooled_bd}


def variables(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """Returns the variables of `I3D` from a state dict of PyTorch.

  Args:
    arrays: State dict with the names of Piergiovanni's port (VideoGPT's file)
      or of Hasson's (`i3d_torchscript.pt`).
  """
  renamed = {}
  for name, array in arrays.items():
    for pattern, replacement in _OTHER_NAMES:
      name = re.sub(pattern, replacement, name)
    renamed[name] = array
  return torch_names.variables(renamed)


def max_pool(x_bthwc: Array, window: tuple, strides: tuple) -> Array:
  """Returns maxima over windows, padded as in TensorFlow.

  Ports pad with 0 instead of -inf, which is the same here: all inputs are >= 0.
  """
  return nn.max_pool(x_bthwc, window, strides, 'SAME')


class _Unit(nn.Module):
  """Convolution, batch norm, ReLU."""

  channels: int
  size: int
  stride: int
  batch_norm_eps: float

  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    size, strides = (self.size,) * 3, (self.stride,) * 3
    x_bthwc = conv.Conv3D(
      self.channels, size, strides, use_bias=False, name='conv3d'
    )(x_bthwc)
    norm = nn.BatchNorm(True, epsilon=self.batch_norm_eps, name='bn')
    return nn.relu(norm(x_bthwc))


class _Mixed(nn.Module):
  """Four parallel branches, concatenated."""

  channels: tuple[int, ...]
  batch_norm_eps: float

  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    def unit(x, name, channels, size):
      return _Unit(channels, size, 1, self.batch_norm_eps, name=name)(x)

    c = self.channels
    pooled = max_pool(x_bthwc, (3, 3, 3), (1, 1, 1))
    branches = (
      unit(x_bthwc, 'b0', c[0], 1),
      unit(unit(x_bthwc, 'b1a', c[1], 1), 'b1b', c[2], 3),
      unit(unit(x_bthwc, 'b2a', c[3], 1), 'b2b', c[4], 3),
      unit(pooled, 'b3b', c[5], 1),
    )
    return jnp.concatenate(branches, -1)


class _Logits(nn.Module):
  """A 1 x 1 x 1 convolution of features of one pixel."""

  num_classes: int

  @nn.compact
  def __call__(self, x_bd: Array) -> Array:
    layer = conv.Conv3D(self.num_classes, (1, 1, 1), name='conv3d')
    return layer(x_bd[:, None, None, None])[:, 0, 0, 0]
