"""Floating-point operations of a function, and peak rates of devices.

XLA itself counts the body of a scan only once, however often it runs, and its
count of a convolution depends on the algorithm. This module traverses the jaxpr
and counts the operations of the mathematics: two for each multiplication and
addition of matrix products and convolutions, and none for the rest.
"""

from collections.abc import Callable, Iterator
import math
import re
from typing import Any

import jax
from jax.extend import core

# Dense bfloat16 operations per second of one JAX device, as stated by the
# manufacturers. V100 and T4 have no bfloat16; their numbers are for float16. On
# TPU v2 and v3 a device is a core, half a chip. The first match is used.
_PEAKS = (
  ('v6 lite', 918e12),
  ('v6e', 918e12),
  ('v5 lite', 197e12),
  ('v5e', 197e12),
  ('v5p', 459e12),
  ('v5', 459e12),
  ('v4', 275e12),
  ('v3', 61.5e12),
  ('v2', 22.5e12),
  ('b200', 2250e12),
  ('gh200', 989e12),
  ('h200', 989e12),
  ('h100 pcie', 756e12),
  ('h100', 989e12),
  ('a100', 312e12),
  ('a10', 125e12),
  ('l40s', 362e12),
  ('l4', 121e12),
  ('v100', 125e12),
  ('t4', 65e12),
)


def count(function: Callable[..., Any], *args: Any, **kwargs: Any) -> int:
  """Returns the floating-point operations of one call.

  The body of a scan is counted as often as it runs, a branch by its most
  expensive case, and a while loop, whose length is unknown, as one iteration.
  Operations that `jax.checkpoint` repeats are counted again. The operations
  inside a shard_map are those of one device, so they are multiplied by the
  number of devices.

  Args:
    function: Function that `jax.make_jaxpr` can trace, jitted or not.
    *args: Arguments: arrays, or their shapes as from `jax.eval_shape`.
    **kwargs: Keyword arguments, in the same form.
  """
  return _count(jax.make_jaxpr(function)(*args, **kwargs).jaxpr)


def count_traced(traced: jax.stages.Traced) -> int:
  """Returns the operations of one call of a function traced by `jax.jit`."""
  return _count(traced.jaxpr.jaxpr)


def peak_flops(device: jax.Device) -> float | None:
  """Returns the peak bfloat16 operations per second; None if unknown."""
  if device.platform not in ('tpu', 'gpu', 'cuda'):
    return None
  kind = device.device_kind.lower()
  named = lambda name: re.search(rf'\b{name}\b', kind)
  return next((peak for name, peak in _PEAKS if named(name)), None)


def memory(compiled: jax.stages.Compiled) -> dict[str, int]:
  """Returns the memory of a compiled function on each device, in bytes.

  Returns:
    {use: bytes} for `arguments`, `outputs`, `aliased` (outputs that reuse the
    memory of arguments), `temporary`, `code` and the sum `total`; {} if the
    backend does not report them.
  """
  stats = compiled.memory_analysis()
  if stats is None:
    return {}
  total = (
    stats.argument_size_in_bytes
    + stats.output_size_in_bytes
    - stats.alias_size_in_bytes
    + stats.temp_size_in_bytes
    + stats.generated_code_size_in_bytes
  )
  return {
    'arguments': stats.argument_size_in_bytes,
    'outputs': stats.output_size_in_bytes,
    'aliased': stats.alias_size_in_bytes,
    'temporary': stats.temp_size_in_bytes,
    'code': stats.generated_code_size_in_bytes,
    'total': total,  # The peak of some backends lacks temporary memory.
  }


def _count(jaxpr: core.Jaxpr) -> int:
  return sum(_count_one(equation) for equation in jaxpr.eqns)


def _count_one(equation: Any) -> int:
  match equation.primitive.name:
    case 'dot_general':
      return _of_product(equation)
    case 'conv_general_dilated':
      return _of_convolution(equation)
    case 'dot_product_attention_fwd_wrapper':  # By cuDNN, on GPUs.
      return _of_attention(equation)
    case 'dot_product_attention_bwd_wrapper':
      return 2 * _of_attention(equation)
    case 'cond':
      return max(_count(b.jaxpr) for b in equation.params['branches'])
    case 'scan':
      times = equation.params['length']
    case 'shard_map':
      times = _num_shards(equation)
    case 'pallas_call':
      times = math.prod(equation.params['grid_mapping'].grid)
    case _:
      times = 1
  return times * sum(_count(inner) for inner in _inner(equation))


def _inner(equation: Any) -> Iterator[core.Jaxpr]:
  """Yields the jaxprs that an equation runs.

  The rules of a custom derivative are functions, not jaxprs, and do not run.
  """
  for value in equation.params.values():
    for item in value if isinstance(value, tuple | list) else (value,):
      if isinstance(item, core.ClosedJaxpr):
        yield item.jaxpr
      elif isinstance(item, core.Jaxpr):
        yield item


def _num_shards(equation: Any) -> int:
  """Returns the number of devices that run the body of a shard_map."""
  mesh = equation.params['mesh']
  axes = equation.params.get('manual_axes', mesh.axis_names)
  return math.prod(mesh.shape[axis] for axis in axes)


def _of_product(equation: Any) -> int:
  (contracted, _), _ = equation.params['dimension_numbers']
  left = equation.invars[0].aval.shape
  depth = math.prod(left[axis] for axis in contracted)
  return 2 * equation.outvars[0].aval.size * depth


def _of_attention(equation: Any) -> int:
  """Counts the two products of attention of [b, t, n, h] arrays."""
  query, key = (x.aval.shape for x in equation.invars[:2])
  return 4 * math.prod(query) * key[1]


def _of_convolution(equation: Any) -> int:
  """Counts every tap of every output, also at borders, but not on zeros.

  A transposed convolution inserts zeros between the pixels of its input
  (`lhs_dilation`), so only a fraction of the taps meets a pixel. The same holds
  for the gradient of a strided convolution with respect to its input.
  """
  kernel = equation.invars[1].aval
  axes = equation.params['dimension_numbers'].rhs_spec
  taps = kernel.size // kernel.shape[axes[0]]  # With the channels of one group.
  output = equation.outvars[0].aval.size
  zeros = math.prod(equation.params['lhs_dilation'])
  return 2 * output * taps // zeros
