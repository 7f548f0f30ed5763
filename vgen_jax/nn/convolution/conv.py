"""Convolutions over space and time that are also fast on a CPU.

On a CPU, XLA has no fast code for 3-D convolutions that are strided or
transposed, nor for their derivatives: they are up to 150 times slower than
necessary. The *fast* form, in nn/convolution/conv_fast.py, computes the same
sums in another order. GPUs and TPUs have fast kernels for the *lax* form and
use it.

Kernels have the layout of lax: `[t, h, w, in, out]`. Parameters, and so
checkpoints, are the same in both forms. As usual in deep learning, these are
cross-correlations: kernels are not flipped.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
from jax import lax

from vgen_jax.core import checks
from vgen_jax.core.types import Array
from vgen_jax.nn import batch_sharding
from vgen_jax.nn.convolution import conv_fast
from vgen_jax.nn.convolution import padding as pad

_FORMS = ('auto', 'lax', 'fast')
_init = nn.initializers.lecun_normal()


def conv3d(
  x_bthwc: Array,
  kernel_thwio: Array,
  strides: tuple[int, int, int] = (1, 1, 1),
  padding: pad.Padding = 'SAME',
  form: str = 'auto',
) -> Array:
  """Returns the convolution of clips with a kernel, `[b, t, h, w, o]`.

  Args:
    x_bthwc: Clips, or features of clips.
    kernel_thwio: Kernel; any of its sides may be 1.
    strides: Strides along t, h and w.
    padding: 'SAME', 'VALID', 'CAUSAL' ('SAME' in space; in time all zeros come
      first, so that a frame depends on no later frame), or numbers of zeros
      (low, high) for each of t, h and w.
    form: 'fast', 'lax', or 'auto': 'fast' on a CPU, 'lax' elsewhere. With a
      kernel of one frame, 'auto' always computes 2-D convolutions of frames.

  Raises:
    ValueError: If the numbers of channels differ, or padding or form is not one
      of these.
  """
  _check(x_bthwc, kernel_thwio, 5, form)
  pads = pad.plain(padding, x_bthwc.shape[1:4], kernel_thwio.shape[:3], strides)
  if _is_lax(form) and (form == 'lax' or len(kernel_thwio) > 1):
    return _lax(x_bthwc, kernel_thwio, strides, pads)
  return conv_fast.conv(x_bthwc, kernel_thwio, strides, pads)


def conv2d(
  x_bhwc: Array,
  kernel_hwio: Array,
  strides: tuple[int, int] = (1, 1),
  padding: pad.Padding = 'SAME',
  form: str = 'auto',
) -> Array:
  """Returns the convolution of images with a kernel, `[b, h, w, o]`.

  Arguments and errors are those of `conv3d`, without the axis of time.
  """
  _check(x_bhwc, kernel_hwio, 4, form)
  pads = pad.plain(padding, x_bhwc.shape[1:3], kernel_hwio.shape[:2], strides)
  if _is_lax(form):
    return _lax(x_bhwc, kernel_hwio, strides, pads)
  pads = ((0, 0), *pads)
  return conv_fast.conv(
    x_bhwc[:, None], kernel_hwio[None], (1, *strides), pads
  )[:, 0]


def conv_transpose3d(
  x_bthwc: Array,
  kernel_thwio: Array,
  strides: tuple[int, int, int] = (1, 1, 1),
  padding: pad.Padding = 'SAME',
  form: str = 'auto',
) -> Array:
  """Returns the transposed convolution of clips with a kernel.

  As in `lax.conv_transpose`, the clip is dilated with `stride - 1` zeros
  between neighbours, padded, and convolved with stride 1.

  Args:
    x_bthwc: Clips, or features of clips.
    kernel_thwio: Kernel.
    strides: Factors by which t, h and w grow.
    padding: 'SAME' (size times stride), 'VALID' (all positions that an input
      pixel affects; 1 x 1 becomes the size of the kernel), or numbers of zeros
      (low, high) around the dilated clip. Padding p of PyTorch is k - 1 - p
      here; so its kernel 4, stride 2, padding 1 is (2, 2), which equals 'SAME'.
    form: 'fast', 'lax', or 'auto': 'fast' on a CPU, 'lax' elsewhere.

  Raises:
    ValueError: If the numbers of channels differ, or padding or form is not one
      of these.
  """
  _check(x_bthwc, kernel_thwio, 5, form)
  pads = pad.transposed(padding, kernel_thwio.shape[:3], strides)
  if _is_lax(form):
    return _lax(x_bthwc, kernel_thwio, (1, 1, 1), pads, strides)
  if x_bthwc.shape[1:4] == (1, 1, 1):
    return conv_fast.expand(x_bthwc, kernel_thwio, pads)
  return conv_fast.transpose(x_bthwc, kernel_thwio, strides, pads)


def conv_transpose2d(
  x_bhwc: Array,
  kernel_hwio: Array,
  strides: tuple[int, int] = (1, 1),
  padding: pad.Padding = 'SAME',
  form: str = 'auto',
) -> Array:
  """Returns the transposed convolution of images with a kernel.

  Arguments and errors are those of `conv_transpose3d`, without the axis of
  time.
  """
  _check(x_bhwc, kernel_hwio, 4, form)
  pads = pad.transposed(padding, kernel_hwio.shape[:2], strides)
  if _is_lax(form):
    return _lax(x_bhwc, kernel_hwio, (1, 1), pads, strides)
  return conv_transpose3d(
    x_bhwc[:, None], kernel_hwio[None], (1, *strides), ((0, 0), *pads), 'fast'
  )[:, 0]


class _Layer(nn.Module):
  """A layer with a kernel, a bias and a convolution function of this module.

  Attributes:
    features: Channels of the result.
    kernel_size: Sides of the kernel.
    strides: As in the function; None for 1 along each axis.
    padding: As in the function.
    use_bias: Whether to add a bias, which is zero before training.
    kernel_init: Initializer of the kernel.
    dtype: Dtype of products and of the result. Parameters are float32.
    form: 'auto', 'lax' or 'fast', as in the function.
  """

  features: int
  kernel_size: tuple[int, ...]
  strides: tuple[int, ...] | None = None
  padding: pad.Padding = 'SAME'
  use_bias: bool = True
  kernel_init: Callable[..., Any] = _init
  dtype: str = 'float32'
  form: str = 'auto'

  function = staticmethod(conv3d)

  @nn.compact
  def __call__(self, x: Array) -> Array:
    x = batch_sharding.constrain(x)
    num_axes = x.ndim - 2
    if len(self.kernel_size) != num_axes:
      raise ValueError(
        f'kernel_size is {self.kernel_size}, but the input has shape {x.shape}'
        f' with {num_axes} axes between b and c; give one side for each.'
      )
    shape = (*self.kernel_size, x.shape[-1], self.features)
    kernel = self.param('kernel', self.kernel_init, shape)
    y = self.function(
      x.astype(self.dtype),
      kernel.astype(self.dtype),
      tuple(self.strides or (1,) * num_axes),
      self.padding,
      self.form,
    )
    if self.use_bias:
      bias = self.param('bias', nn.initializers.zeros_init(), (self.features,))
      y += bias.astype(self.dtype).reshape((1,) * (x.ndim - 1) + (-1,))
    return batch_sharding.constrain(y)


class Conv3D(_Layer):
  """`conv3d` with parameters `kernel` and `bias`; see `_Layer` for fields."""


class Conv2D(_Layer):
  """`conv2d` with parameters `kernel` and `bias`; see `_Layer` for fields."""

  function = staticmethod(conv2d)


class ConvTranspose3D(_Layer):
  """`conv_transpose3d` with `kernel` and `bias`; see `_Layer` for fields."""

  function = staticmethod(conv_transpose3d)


class ConvTranspose2D(_Layer):
  """`conv_transpose2d` with `kernel` and `bias`; see `_Layer` for fields."""

  function = staticmethod(conv_transpose2d)


def _lax(x, kernel, strides, pads, dilation=None) -> Array:
  letters = ('NHWC', 'HWIO', 'NHWC')
  if x.ndim == 5:
    letters = ('NDHWC', 'DHWIO', 'NDHWC')
  return lax.conv_general_dilated(
    x, kernel, strides, pads, lhs_dilation=dilation, dimension_numbers=letters
  )


def _is_lax(form: str) -> bool:
  on_cpu = jax.default_backend() == 'cpu'
  return form == 'lax' or (form == 'auto' and not on_cpu)


def _check(x: Array, kernel: Array, rank: int, form: str):
  checks.one_of('form', form, _FORMS)
  if x.ndim != rank or kernel.ndim != rank or x.shape[-1] != kernel.shape[-2]:
    raise ValueError(
      f'The kernel has shape {kernel.shape} and the input {x.shape}; both need'
      f' {rank} axes, and the input needs as many channels as the kernel,'
      f' {kernel.shape[-2] if kernel.ndim > 1 else None}.'
    )
