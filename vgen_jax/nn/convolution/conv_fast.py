"""Convolutions in a form for which XLA is fast on a CPU.

XLA has a library for 2-D convolutions, so those of clips are composed of them:
the frames under a kernel are stacked in channels, frames are folded into the
batch, and each phase of a transposed convolution is a separate convolution.

The library needs operands in one layout. Outside of loops XLA transposes them;
inside (`scan`, `cond`) it does not, and gradients, for which lax exchanges the
axes of the operands, are then 30 times slower. So derivatives are defined here
such that their transposes have all axes in order.
"""

import functools
import itertools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp

from vgen_jax.core.types import Array
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
    strides: Steps in t, h and w.
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
  convolve = _conv2d if jax.default_backend() == 'cpu' else _forward
  y_bhwc = convolve(frames_bhwc, kernel_hwio, tuple(strides[1:]), pads[1:])
  return y_bhwc.reshape(b, t, *y_bhwc.shape[1:])


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


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _conv2d(
  x_bhwc: Array, kernel_hwio: Array, strides: tuple[int, int], pads: pad.Pairs
) -> Array:
  """Returns the convolution of images, with gradients that are fast in loops.

  Args:
    x_bhwc: Images.
    kernel_hwio: Kernel.
    strides: Steps in h and w.
    pads: Zeros (low, high) for each of h and w.
  """
  return _forward(x_bhwc, kernel_hwio, strides, pads)


def _forward(
  x_bhwc: Array, kernel_hwio: Array, strides: tuple[int, int], pads: pad.Pairs
) -> Array:
  return _lax(x_bhwc, kernel_hwio, strides, pads, ('NHWC', 'HWIO', 'NHWC'))


@_conv2d.defjvp
def _conv2d_jvp(
  strides: tuple[int, int], pads: pad.Pairs, primals: Any, tangents: Any
) -> tuple[Array, Array]:
  """Returns the convolution and its derivative.

  The derivative with respect to each operand is a convolution, too. Axes are
  ordered such that its transpose, which computes the gradient, maps NHWC and
  HWIO to NHWC. The derivative itself is not faster than usual.
  """
  (x_bhwc, kernel_hwio), (dx_bhwc, dkernel_hwio) = primals, tangents
  by_x_bhwc = _lax(
    dx_bhwc,
    kernel_hwio.swapaxes(2, 3),
    strides,
    pads,
    ('NHWC', 'HWOI', 'NHWC'),
  )
  by_kernel_hwbc = _lax(
    x_bhwc.transpose(3, 1, 2, 0),
    dkernel_hwio.transpose(2, 0, 1, 3),
    strides,
    pads,
    ('CHWN', 'IHWO', 'HWNC'),
  )
  tangent_bhwc = by_x_bhwc + by_kernel_hwbc.transpose(2, 0, 1, 3)
  return _conv2d(x_bhwc, kernel_hwio, strides, pads), tangent_bhwc


def _lax(
  x: Array,
  kernel: Array,
  strides: tuple[int, int],
  pads: pad.Pairs,
  letters: tuple[str, str, str],
) -> Array:
  return lax.conv_general_dilated(
    x, kernel, strides, pads, dimension_numbers=letters
  )


def _pad(x_bthwc: Array, pads: pad.Pairs) -> Array:
  """Adds zeros in t, h, w, or crops where a number is negative."""
  if not any(map(any, pads)):
    return x_bthwc
  config = ((0, 0, 0), *((*pair, 0) for pair in pads), (0, 0, 0))
  return lax.pad(x_bthwc, jnp.zeros((), x_bthwc.dtype), config)
