"""Convolution with predicted kernels, which move the pixels of a frame.

Reference: the convolutional dynamic neural advection (CDNA) of Finn, Goodfellow
and Levine, "Unsupervised Learning for Physical Interaction through Video
Prediction", 2016, https://arxiv.org/abs/1605.07157, section 3.

Axis suffixes of this file, in addition to those of core/shapes.py: `i` and `j`
rows and columns of a kernel.
"""

import jax
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array

_LEAST = 1e-12  # Weight of every tap, so that a sum is never 0.


def normalize(raw_bnij: Array) -> Array:
  """Returns kernels whose taps are positive and sum to 1, float32.

  Raw values of 0 give the identity, the kernel that moves no pixel.

  Args:
    raw_bnij: Values of any sign; sides of kernels must be odd.

  Raises:
    ValueError: If a side is even.
  """
  i, j = shapes.sizes('ij', raw_bnij=raw_bnij)
  if not (i % 2 and j % 2):
    raise ValueError(
      f'Kernels are {i} x {j}; their sides must be odd, such as 5 x 5.'
    )
  raw_bnij = raw_bnij.astype(jnp.float32).at[:, :, i // 2, j // 2].add(1)
  kernel_bnij = jax.nn.relu(raw_bnij) + _LEAST
  return kernel_bnij / kernel_bnij.sum((2, 3), keepdims=True)


def apply(frame_bhwc: Array, kernel_bnij: Array) -> Array:
  """Returns frames `[n, b, h, w, c]`, moved by each of their n kernels.

  A kernel is not flipped: with its only weight one column to the right of the
  centre, each pixel takes the value of its right neighbour. Positions outside
  of a frame have the values of the nearest pixels of its border.

  Args:
    frame_bhwc: Frames.
    kernel_bnij: Kernels of each frame, the same for all channels.

  Raises:
    ValueError: If shapes do not agree.
  """
  h, w = shapes.sizes('hw', frame_bhwc=frame_bhwc, kernel_bnij=kernel_bnij)
  rows, columns = kernel_bnij.shape[2:]
  up, left = rows // 2, columns // 2
  pads = ((0, 0), (up, rows - 1 - up), (left, columns - 1 - left), (0, 0))
  padded_bhwc = jnp.pad(frame_bhwc, pads, mode='edge')
  taps = [
    padded_bhwc[:, i : i + h, j : j + w]
    for i in range(rows)
    for j in range(columns)
  ]
  # One product for each clip, over all taps: k of them.
  tap_bkp = jnp.stack(taps, 1).reshape(len(frame_bhwc), len(taps), -1)
  kernel_bnk = kernel_bnij.reshape(*kernel_bnij.shape[:2], -1)
  moved_nbp = jnp.einsum('bnk,bkp->nbp', kernel_bnk, tap_bkp)
  return moved_nbp.reshape(-1, *frame_bhwc.shape)
