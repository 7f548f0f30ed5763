"""Convolutions of clips, as 2-D convolutions of frames.

XLA has a library for 2-D convolutions on a CPU, so those of clips are composed
of them: the frames under a kernel are stacked in channels, frames are folded
into the batch, and each phase of a transposed convolution is a separate
convolution.
"""

import itertools

import jax
from jax import lax
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.nn import frame_convolution as frames
from vgen_jax.nn.convolution import padding as pad


def conv(
  x_bthwc: Array,
  kernel_thwio: Array,
  strides: tuple[int, int, int],
  pads: pad.Pairs,
) -> Array:
  """Returns a convolution, as 2-D convolutions of frames stacked in channels.

  Args:
    x_bthwc: Clips.
    kernel_thwio: Kernel.
    strides: Strides along t, h and w.
    pads: Zeros (low, high) for each of t, h and w; negative numbers crop.
  """
  b = len(x_bthwc)
  x_bthwc = _pad(x_bthwc, (pads[0], (0, 0), (0, 0)))
  k, kh, kw, _, o = kernel_thwio.shape
  t = (x_bthwc.shape[1] - k) // strides[0] + 1
  taps = [
    lax.slice_in_dim(x_bthwc, i, i + (t - 1) * strides[0] + 1, strides[0], 1)
    for i in range(k)
  ]
  x_bthwc = jnp.concatenate(taps, axis=-1)
  kernel_hwio = kernel_thwio.transpose(1, 2, 0, 3, 4).reshape(kh, kw, -1, o)
  if kh == kw == 1 and not any(map(any, pads[1:])):
    return x_bthwc[:, :, :: strides[1], :: strides[2]] @ kernel_hwio[0, 0]
  if min(map(min, pads)) < 0:
    x_bthwc, pads = _pad(x_bthwc, ((0, 0), *pads[1:])), ((0, 0),) * 3
  frames_bhwc = x_bthwc.reshape(b * t, *x_bthwc.shape[2:])
  # If the kernel has more pixels than the frame, XLA swaps the two operands,
  # and the resulting convolution is slow on a CPU.
  is_small = kh * kw > frames_bhwc.shape[1] * frames_bhwc.shape[2]
  is_small &= jax.default_backend() == 'cpu'
  is_small &= all(
    side + sum(pair) >= k
    for side, pair, k in zip(
      frames_bhwc.shape[1:3], pads[1:], (kh, kw), strict=True
    )
  )
  function = _as_product if is_small else frames.conv
  y_bhwc = function(frames_bhwc, kernel_hwio, strides[1:], pads[1:])
  return y_bhwc.reshape(b, t, *y_bhwc.shape[1:])


def _as_product(
  x_bhwc: Array,
  kernel_hwio: Array,
  strides: tuple[int, int],
  pads: pad.Pairs,
) -> Array:
  """Returns a 2-D convolution, as one product over all taps and channels."""
  x_bhwc = _pad(x_bhwc, pads)
  kh, kw, _, o = kernel_hwio.shape
  rows, columns = (
    (side - k) // s
    for side, k, s in zip(x_bhwc.shape[1:3], (kh, kw), strides, strict=True)
  )
  taps = [
    x_bhwc[
      :,
      i : i + rows * strides[0] + 1 : strides[0],
      j : j + columns * strides[1] + 1 : strides[1],
    ]
    for i in range(kh)
    for j in range(kw)
  ]
  return jnp.concatenate(taps, axis=-1) @ kernel_hwio.reshape(-1, o)


def transpose(
  x_bthwc: Array,
  kernel_thwio: Array,
  strides: tuple[int, int, int],
  pads: pad.Pairs,
) -> Array:
  """Returns a transposed convolution, as one convolution for each phase.

  Output `stride * i + r` depends only on every stride-th tap of the kernel; the
  others fall on the zeros between pixels. The phases r are interleaved.

  Args:
    x_bthwc: Clips.
    kernel_thwio: Kernel.
    strides: Factors by which t, h and w grow.
    pads: Zeros (low, high) around the dilated clip, for each of t, h and w.
  """
  sizes, taps = x_bthwc.shape[1:4], kernel_thwio.shape[:3]
  axes = list(zip(sizes, taps, strides, pads, strict=True))
  out = [(n - 1) * s + 1 + low + high - k + 1 for n, k, s, (low, high) in axes]
  # A kernel shorter than its stride gets taps of zero, so that each phase has
  # a tap.
  extra = [(0, max(s - k, 0)) for _, k, s, _ in axes]
  kernel_thwio = jnp.pad(kernel_thwio, (*extra, (0, 0), (0, 0)))
  phases = []
  for phase in itertools.product(*map(range, strides)):
    taps_of_phase, pads_of_phase = [], []
    for (n, k, s, (low, _)), size, r in zip(axes, out, phase, strict=True):
      first = (low - r) % s
      before = (low - r - first) // s
      num_taps = len(range(first, max(k, s), s))
      taps_of_phase.append(slice(first, None, s))
      pads_of_phase.append((before, -(-size // s) - 1 + num_taps - n - before))
    kernel = kernel_thwio[tuple(taps_of_phase)]
    phases.append(conv(x_bthwc, kernel, (1, 1, 1), tuple(pads_of_phase)))
  b, t, h, w, o = phases[0].shape
  y = jnp.stack(phases).reshape(*strides, b, t, h, w, o)
  y_bthwc = y.transpose(3, 4, 0, 5, 1, 6, 2, 7).reshape(
    b, t * strides[0], h * strides[1], w * strides[2], o
  )
  return y_bthwc[:, : out[0], : out[1], : out[2]]


def expand(x_bthwc: Array, kernel_thwio: Array, pads: pad.Pairs) -> Array:
  """Returns the transposed convolution of one pixel, as a dense layer.

  Args:
    x_bthwc: Clips of one frame of 1 x 1 pixels.
    kernel_thwio: Kernel.
    pads: Zeros (low, high) around the pixel, for each of t, h and w.
  """
  sides = zip(kernel_thwio.shape[:3], pads, strict=True)
  crop = [(low - k + 1, high - k + 1, 0) for k, (low, high) in sides]
  kernel_thwio = lax.pad(
    kernel_thwio[::-1, ::-1, ::-1],
    jnp.zeros((), kernel_thwio.dtype),
    (*crop, (0, 0, 0), (0, 0, 0)),
  )
  return jnp.einsum('bi,thwio->bthwo', x_bthwc[:, 0, 0, 0], kernel_thwio)


def _pad(x: Array, pads: pad.Pairs) -> Array:
  """Adds zeros between axes b and c, or crops where a number is negative."""
  if not any(map(any, pads)):
    return x
  config = ((0, 0, 0), *((*pair, 0) for pair in pads), (0, 0, 0))
  return lax.pad(x, jnp.zeros((), x.dtype), config)
