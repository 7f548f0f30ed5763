"""2-D convolutions whose derivatives are fast on a CPU.

XLA's library for 2-D convolutions needs operands in one layout. Outside of
loops XLA transposes them; inside (`scan`, `cond`) it does not, and gradients,
for which lax exchanges the axes of the operands, are then 30 times slower. So
derivatives are defined here such that their transposes have all axes in order.

Second derivatives, which the penalty on the gradient of a critic needs, are
also slow: lax dilates an operand by the stride and uses the other one as the
kernel, which the library does not support. But a convolution is linear in its
input and in its kernel, so all of its derivatives, of any order, are of three
kinds: a convolution, its gradient with respect to the input, and its gradient
with respect to the kernel. Within `second_derivatives()`, the derivatives of
each kind are defined by the other two. JAX supports such definitions in reverse
mode only (`jax.custom_vjp`), so the other functions keep forward mode.
"""

from collections.abc import Iterator
import contextlib
import contextvars
import functools
from typing import Any

import jax
from jax import lax

from vgen_jax.core.types import Array

_Sides = tuple[int, int]
_Pairs = tuple[_Sides, ...]
_is_reverse = contextvars.ContextVar('_is_reverse', default=False)


@contextlib.contextmanager
def second_derivatives() -> Iterator[None]:
  """Convolutions within the context have fast gradients of gradients.

  For functions whose gradient is differentiated again, both times in reverse
  mode; `jax.jvp` of such a convolution raises TypeError. The context has an
  effect on functions that are traced within it, and on a CPU only.
  """
  token = _is_reverse.set(True)
  try:
    yield
  finally:
    _is_reverse.reset(token)


def conv(
  x_bhwc: Array, kernel_hwio: Array, strides: _Sides, pads: _Pairs
) -> Array:
  """Returns the convolution of images.

  Args:
    x_bhwc: Images.
    kernel_hwio: Kernel.
    strides: Strides along h and w.
    pads: Zeros (low, high) for each of h and w.
  """
  if jax.default_backend() != 'cpu':
    return _forward(x_bhwc, kernel_hwio, strides, pads)
  function = _conv_twice if _is_reverse.get() else _conv
  return function(x_bhwc, kernel_hwio, tuple(strides), tuple(pads))


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _conv(
  x_bhwc: Array, kernel_hwio: Array, strides: _Sides, pads: _Pairs
) -> Array:
  """Returns the convolution, with gradients that are fast in loops."""
  return _forward(x_bhwc, kernel_hwio, strides, pads)


def _forward(
  x_bhwc: Array, kernel_hwio: Array, strides: _Sides, pads: _Pairs
) -> Array:
  return _lax(x_bhwc, kernel_hwio, strides, pads, ('NHWC', 'HWIO', 'NHWC'))


@_conv.defjvp
def _conv_jvp(
  strides: _Sides, pads: _Pairs, primals: Any, tangents: Any
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
  return _conv(x_bhwc, kernel_hwio, strides, pads), tangent_bhwc


def _lax(
  x: Array,
  kernel: Array,
  strides: _Sides,
  pads: _Pairs,
  letters: tuple[str, str, str],
) -> Array:
  return lax.conv_general_dilated(
    x, kernel, strides, pads, dimension_numbers=letters
  )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv_twice(
  x_bhwc: Array, kernel_hwio: Array, strides: _Sides, pads: _Pairs
) -> Array:
  """Returns the convolution, with gradients of any order that are fast."""
  return _forward(x_bhwc, kernel_hwio, strides, pads)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _by_input(
  g_bhwo: Array,
  kernel_hwio: Array,
  strides: _Sides,
  pads: _Pairs,
  sides: _Sides,
) -> Array:
  """Returns the gradient with respect to the input, `[b, h, w, c]`.

  Args:
    g_bhwo: Gradient with respect to the result of the convolution.
    kernel_hwio: Kernel of the convolution.
    strides: Strides of the convolution along h and w.
    pads: Zeros (low, high) that the convolution adds to each of h and w.
    sides: Height and width of the input of the convolution.
  """
  around = []
  for i, (stride, (low, _)) in enumerate(zip(strides, pads, strict=True)):
    k, dilated = kernel_hwio.shape[i], (g_bhwo.shape[1 + i] - 1) * stride + 1
    before = k - 1 - low
    around.append((before, sides[i] + k - 1 - dilated - before))
  return lax.conv_general_dilated(
    g_bhwo,
    kernel_hwio[::-1, ::-1].swapaxes(2, 3),
    (1, 1),
    around,
    lhs_dilation=strides,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _by_kernel(
  x_bhwc: Array,
  g_bhwo: Array,
  strides: _Sides,
  pads: _Pairs,
  taps: _Sides,
) -> Array:
  """Returns the gradient with respect to the kernel, `[h, w, i, o]`.

  Args:
    x_bhwc: Input of the convolution.
    g_bhwo: Gradient with respect to the result of the convolution.
    strides: Strides of the convolution along h and w.
    pads: Zeros (low, high) that the convolution adds to each of h and w.
    taps: Height and width of the kernel.
  """
  around = []
  for i, (stride, (low, _)) in enumerate(zip(strides, pads, strict=True)):
    dilated = (g_bhwo.shape[1 + i] - 1) * stride + 1
    around.append((low, taps[i] + dilated - 1 - x_bhwc.shape[1 + i] - low))
  gradient_ihwo = lax.conv_general_dilated(
    x_bhwc.transpose(3, 1, 2, 0),
    g_bhwo.transpose(1, 2, 0, 3),
    (1, 1),
    around,
    rhs_dilation=strides,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )
  return gradient_ihwo.transpose(1, 2, 0, 3)


def _conv_forward(x_bhwc, kernel_hwio, strides, pads):
  return _conv_twice(x_bhwc, kernel_hwio, strides, pads), (x_bhwc, kernel_hwio)


def _conv_backward(strides, pads, saved, g_bhwo):
  x_bhwc, kernel_hwio = saved
  return (
    _by_input(g_bhwo, kernel_hwio, strides, pads, x_bhwc.shape[1:3]),
    _by_kernel(x_bhwc, g_bhwo, strides, pads, kernel_hwio.shape[:2]),
  )


def _by_input_forward(g_bhwo, kernel_hwio, strides, pads, sides):
  x_bhwc = _by_input(g_bhwo, kernel_hwio, strides, pads, sides)
  return x_bhwc, (g_bhwo, kernel_hwio)


def _by_input_backward(strides, pads, _, saved, x_bhwc):
  g_bhwo, kernel_hwio = saved
  return (
    _conv_twice(x_bhwc, kernel_hwio, strides, pads),
    _by_kernel(x_bhwc, g_bhwo, strides, pads, kernel_hwio.shape[:2]),
  )


def _by_kernel_forward(x_bhwc, g_bhwo, strides, pads, taps):
  return _by_kernel(x_bhwc, g_bhwo, strides, pads, taps), (x_bhwc, g_bhwo)


def _by_kernel_backward(strides, pads, _, saved, kernel_hwio):
  x_bhwc, g_bhwo = saved
  return (
    _by_input(g_bhwo, kernel_hwio, strides, pads, x_bhwc.shape[1:3]),
    _conv_twice(x_bhwc, kernel_hwio, strides, pads),
  )


_conv_twice.defvjp(_conv_forward, _conv_backward)
_by_input.defvjp(_by_input_forward, _by_input_backward)
_by_kernel.defvjp(_by_kernel_forward, _by_kernel_backward)
