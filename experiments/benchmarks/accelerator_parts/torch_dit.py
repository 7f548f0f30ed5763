"""The video DiT of vgen_jax in PyTorch: the same operations in the same dtypes.

The network is equivalent to `VideoDiT` with factorised attention, rotary
positions, norms of queries and keys, and no dropout, and is used to compare
speeds. Parameters are float32; `dtype` is that of matrix products, and all sums
between them are float32.
"""

from collections.abc import Iterator, Mapping
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

_TIME_WIDTH = 256  # Sines and cosines of a time.
_MAX_PERIOD = 1e4


class Linear(nn.Linear):
  """A linear layer whose product is in `dtype`; parameters are float32."""

  def __init__(self, in_features: int, out_features: int, dtype: torch.dtype):
    super().__init__(in_features, out_features)
    self.product_dtype = dtype

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    dtype = self.product_dtype
    return functional.linear(
      x.to(dtype), self.weight.to(dtype), self.bias.to(dtype)
    )


class RMSNorm(nn.Module):
  """Root mean square norm of heads, computed in float32."""

  def __init__(self, width: int, dtype: torch.dtype):
    super().__init__()
    self.scale = nn.Parameter(torch.ones(width))
    self.out_dtype = dtype

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    x = x.float()
    mean_square = x.square().mean(-1, keepdim=True)
    x = x * (torch.rsqrt(mean_square + 1e-6) * self.scale)
    return x.to(self.out_dtype)


class Block(nn.Module):
  """Attention within each of g groups of n tokens, then an MLP."""

  def __init__(self, width: int, num_heads: int, dtype: torch.dtype):
    super().__init__()
    self.num_heads = num_heads
    self.modulation = Linear(width, 6 * width, dtype)
    self.query = Linear(width, width, dtype)
    self.key = Linear(width, width, dtype)
    self.value = Linear(width, width, dtype)
    self.out = Linear(width, width, dtype)
    self.query_norm = RMSNorm(width // num_heads, dtype)
    self.key_norm = RMSNorm(width // num_heads, dtype)
    self.mlp_in = Linear(width, 4 * width, dtype)
    self.mlp_out = Linear(4 * width, width, dtype)

  def forward(
    self, x_bgnd: torch.Tensor, cond_bd: torch.Tensor, angle_np: torch.Tensor
  ) -> torch.Tensor:
    mod = self.modulation(cond_bd).float()[:, None, None].chunk(6, dim=-1)
    shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = mod
    y_bgnd = _norm(x_bgnd) * (1 + scale_a) + shift_a
    x_bgnd = x_bgnd + gate_a * self._attention(y_bgnd, angle_np)
    y_bgnd = _norm(x_bgnd) * (1 + scale_m) + shift_m
    y_bgnd = functional.gelu(self.mlp_in(y_bgnd), approximate='tanh')
    return x_bgnd + gate_m * self.mlp_out(y_bgnd)

  def _attention(
    self, x_bgnd: torch.Tensor, angle_np: torch.Tensor
  ) -> torch.Tensor:
    b, g, n, d = x_bgnd.shape
    shape = (b * g, n, self.num_heads, d // self.num_heads)
    query = self.query_norm(self.query(x_bgnd).reshape(shape))
    key = self.key_norm(self.key(x_bgnd).reshape(shape))
    value = self.value(x_bgnd).reshape(shape)
    query, key = _rotate(query, angle_np), _rotate(key, angle_np)
    y = functional.scaled_dot_product_attention(
      query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
    )
    return self.out(y.transpose(1, 2).reshape(b, g, n, d))


class VideoDiT(nn.Module):
  """Maps noisy clips `[b, t, h, w, c]`, times and labels to velocities."""

  def __init__(
    self,
    clip_shape: tuple[int, int, int, int],
    width: int,
    depth: int,
    num_heads: int,
    patch_size: tuple[int, int, int],
    num_classes: int,
    dtype: torch.dtype = torch.float32,
  ):
    super().__init__()
    self.patch_size = patch_size
    self.grid = tuple(
      n // p for n, p in zip(clip_shape[:3], patch_size, strict=True)
    )
    numbers = math.prod(patch_size) * clip_shape[-1]
    self.time_in = Linear(_TIME_WIDTH, width, dtype)
    self.time_out = Linear(width, width, dtype)
    self.label = nn.Embedding(num_classes + 1, width)
    self.first = Linear(numbers, width, dtype)
    self.blocks = nn.ModuleList(
      Block(width, num_heads, dtype) for _ in range(depth)
    )
    self.modulation = Linear(width, 2 * width, dtype)
    self.last = Linear(width, numbers, dtype)
    t, h, w = self.grid
    head_width = width // num_heads
    self.register_buffer('space_np', _rotary_grid((h, w), head_width))
    self.register_buffer('time_np', _rotary_grid((t,), head_width))

  def forward(
    self, video: torch.Tensor, time_b: torch.Tensor, label_b: torch.Tensor
  ) -> torch.Tensor:
    time_bd = functional.silu(self.time_in(_sincos(1e3 * time_b)))
    time_bd = self.time_out(time_bd)
    cond_bd = time_bd + self.label(label_b).to(time_bd.dtype)
    cond_bd = functional.silu(cond_bd)
    x_btsd = self.first(self._patches(video)).float()
    for i, block in enumerate(self.blocks):
      if i % 2:
        x_bstd = block(x_btsd.transpose(1, 2), cond_bd, self.time_np)
        x_btsd = x_bstd.transpose(1, 2)
      else:
        x_btsd = block(x_btsd, cond_bd, self.space_np)
    modulation = self.modulation(cond_bd).float()[:, None, None]
    shift, scale = modulation.chunk(2, dim=-1)
    x_btsd = _norm(x_btsd) * (1 + scale) + shift
    return self._clips(self.last(x_btsd)).float()

  def _patches(self, video: torch.Tensor) -> torch.Tensor:
    (t, h, w), (r, p, q) = self.grid, self.patch_size
    x = video.reshape(len(video), t, r, h, p, w, q, -1)
    x = x.permute(0, 1, 3, 5, 2, 4, 6, 7)
    return x.reshape(len(video), t, h * w, -1)

  def _clips(self, x_btsd: torch.Tensor) -> torch.Tensor:
    (t, h, w), (r, p, q) = self.grid, self.patch_size
    x = x_btsd.reshape(len(x_btsd), t, h, w, r, p, q, -1)
    x = x.permute(0, 1, 4, 2, 5, 3, 6, 7)
    return x.reshape(len(x_btsd), t * r, h * p, w * q, -1)


def named_arrays(params: Mapping) -> Iterator[tuple[str, np.ndarray]]:
  """Yields names and values of the PyTorch parameters, from those of Flax."""
  for layer in ('time_in', 'time_out'):
    yield from _dense(layer, params['condition'][layer])
  yield 'label.weight', params['condition']['label']['embedding']
  for name, layer in (('first', 'in'), ('modulation',) * 2, ('last', 'out')):
    yield from _dense(name, params[layer])
  for offset, axis in enumerate(('space', 'time')):
    for layer, leaves in params['blocks'][axis].items():
      depth = len(next(iter(leaves.values())))
      for i in range(depth):
        one = {key: x[i] for key, x in leaves.items()}
        name = f'blocks.{2 * i + offset}.{layer}'
        if 'scale' in one:
          yield f'{name}.scale', one['scale']
        else:
          yield from _dense(name, one)


def carry_over(params: Mapping, model: VideoDiT) -> None:
  """Sets the parameters of the PyTorch model to those of Flax.

  Raises:
    ValueError: If the parameters of the two models do not correspond.
  """
  arrays = {
    name: torch.from_numpy(np.array(x, np.float32))
    for name, x in named_arrays(params)
  }
  missing, unknown = model.load_state_dict(arrays, strict=False)
  missing = [name for name in missing if not name.endswith('_np')]
  if missing or unknown:
    raise ValueError(
      f'Values are missing for {missing}; the model has no {unknown}.'
    )


def _dense(name: str, leaves: Mapping) -> Iterator[tuple[str, np.ndarray]]:
  yield f'{name}.weight', np.asarray(leaves['kernel']).T
  yield f'{name}.bias', np.asarray(leaves['bias'])


def _norm(x: torch.Tensor) -> torch.Tensor:
  return functional.layer_norm(x, x.shape[-1:], eps=1e-6)


def _sincos(position_n: torch.Tensor) -> torch.Tensor:
  exponent = torch.linspace(0, 1, _TIME_WIDTH // 2, device=position_n.device)
  angle = position_n[:, None] * _MAX_PERIOD**-exponent
  return torch.cat([angle.sin(), angle.cos()], dim=-1)


def _rotary_grid(sizes: tuple[int, ...], head_width: int) -> torch.Tensor:
  """Returns the angle of each pair of numbers at each position, `[n, p]`."""
  pairs = head_width // 2
  share = pairs // len(sizes)
  shares = [pairs - share * (len(sizes) - 1)] + [share] * (len(sizes) - 1)
  places = torch.meshgrid(*map(torch.arange, sizes), indexing='ij')
  angles = [
    place.reshape(-1, 1) * _MAX_PERIOD ** -(torch.arange(n) / n)
    for place, n in zip(places, shares, strict=True)
  ]
  return torch.cat(angles, dim=-1).float()


def _rotate(x_bnae: torch.Tensor, angle_np: torch.Tensor) -> torch.Tensor:
  cos, sin = angle_np.cos()[None, :, None], angle_np.sin()[None, :, None]
  x, y = x_bnae.float().chunk(2, dim=-1)
  turned = torch.cat([x * cos - y * sin, x * sin + y * cos], dim=-1)
  return turned.to(x_bnae.dtype)
