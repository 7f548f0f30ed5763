"""Stacks of convolutions in PyTorch, as in nn/convolution/pyramids.py.

Where kernels have one frame, layers are those of images.
"""

from collections.abc import Sequence

import torch
from torch import nn
import torch.nn.functional as F  # noqa: N812

_NORMS = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_CONVS = {
  (2, False): nn.Conv2d,
  (3, False): nn.Conv3d,
  (2, True): nn.ConvTranspose2d,
  (3, True): nn.ConvTranspose3d,
}


class Stack(nn.Module):
  """Convolutions, each followed by a norm and a leaky ReLU.

  Attributes:
    names: Names of the convolutions.
    norms: Whether batch norm follows each convolution.
    slope: Slope of the leaky ReLU for negative inputs.
  """

  def __init__(self, slope: float):
    super().__init__()
    self.names: list[str] = []
    self.norms: list[bool] = []
    self.slope = slope

  def append(self, name: str, layer: nn.Module, norm: bool) -> None:
    """Adds a convolution; the names of batch norms count them.

    Args:
      name: Name of the convolution.
      layer: Convolution.
      norm: Whether batch norm follows the convolution.
    """
    self.add_module(name, layer)
    if norm:
      axes = layer.weight.ndim - 2
      number = sum(self.norms)
      self.add_module(
        f'BatchNorm_{number}', _NORMS[axes](layer.out_channels, momentum=0.1)
      )
    self.names.append(name)
    self.norms.append(norm)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    number = 0
    for name, has_norm in zip(self.names, self.norms, strict=True):
      x = self.get_submodule(name)(x)
      if has_norm:
        x = self.get_submodule(f'BatchNorm_{number}')(x)
        number += 1
      x = F.leaky_relu(x, self.slope) if self.slope else F.relu(x)
    return x


def conv(
  widths: tuple[int, int],
  kernel: Sequence[int],
  strides: Sequence[int],
  padding: Sequence[int],
  *,
  transposed: bool = False,
  bias: bool = True,
) -> nn.Module:
  """Returns a convolution of clips, or of images if the kernel has one frame.

  Args:
    widths: Numbers of channels of the input and of the output.
    kernel: Sides (t, h, w), or (h, w).
    strides: As many numbers.
    padding: As many numbers, as PyTorch defines them.
    transposed: Whether the convolution is transposed.
    bias: Whether there is a bias.
  """
  if len(kernel) == 3 and kernel[0] == 1:
    kernel, strides, padding = kernel[1:], strides[1:], padding[1:]
  kind = _CONVS[len(kernel), transposed]
  return kind(*widths, tuple(kernel), tuple(strides), tuple(padding), bias=bias)


def up(
  in_width: int,
  widths: Sequence[int],
  kernel: Sequence[int],
  *,
  norm: bool,
  start: Sequence[int] | None = None,
  slope: float = 0.0,
) -> Stack:
  """Returns the twin of `pyramids.Up`.

  Args:
    in_width: Channels of the input.
    widths: Channels of each layer.
    kernel: Sides of kernels, as in `pyramids.Up`.
    norm: Whether batch norm follows each layer.
    start: Sides of the output of the first layer, as in `pyramids.Up`.
    slope: Slope of the leaky ReLU for negative inputs; 0 for ReLU.
  """
  stack = Stack(slope)
  for level, width in enumerate(widths):
    starts = level == 0 and start is not None
    sides = start if starts else kernel
    layer = conv(
      (in_width, width),
      sides,
      (1, 1, 1) if starts else _strides(kernel),
      (0, 0, 0) if starts else _padding(kernel),
      transposed=True,
    )
    stack.append(f'ConvTranspose3D_{level}', layer, norm)
    in_width = width
  return stack


def down(in_width: int, widths: Sequence[int], kernel: Sequence[int]) -> Stack:
  """Returns the twin of `pyramids.Down` without norm.

  Args:
    in_width: Channels of the input.
    widths: Channels of each layer.
    kernel: Sides of kernels, as in `pyramids.Down`.
  """
  stack = Stack(0.2)
  for level, width in enumerate(widths):
    layer = conv((in_width, width), kernel, _strides(kernel), _padding(kernel))
    stack.append(f'Conv3D_{level}', layer, False)
    in_width = width
  return stack


def head(in_width: int, width: int, kernel: Sequence[int]) -> nn.Module:
  """Returns a transposed convolution that doubles sides where kernel is 4.

  Args:
    in_width: Channels of the input.
    width: Channels of the result.
    kernel: Sides of the kernel, each 4 or 1.
  """
  return conv(
    (in_width, width), kernel, _strides(kernel), _padding(kernel),
    transposed=True,
  )  # fmt: skip


def _strides(kernel: Sequence[int]) -> tuple[int, ...]:
  return tuple(2 if side == 4 else 1 for side in kernel)


def _padding(kernel: Sequence[int]) -> tuple[int, ...]:
  return tuple(1 if side == 4 else 0 for side in kernel)
