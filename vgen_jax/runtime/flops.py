"""How much a function computes, and how much a device can.

XLA's own count takes the body of a scan once, however often it runs, and that
of a convolution depends on its algorithm. This one walks the jaxpr, and counts
what the mathematics asks for: two operations per multiplication and addition
of each matrix product and convolution, and nothing for the rest.
"""

from collections.abc import Callable, Iterator
import math
import re
from typing import Any

import jax
from jax.extend import core

# Dense bfloat16 operations per second of one device as JAX shows it, as the
# makers state them. V100 and T4 have no bfloat16: theirs is float16. On TPU v2
# and v3 a device is a core, half a chip. The first match counts.
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

  A scan counts its body as often as it runs, a branch counts as its dearest
  arm, and a while loop, whose length nobody knows, counts one pass. Work that
  `jax.checkpoint` repeats is counted: it is done. Inside of a shard_map is the
  work of one device, so it is multiplied by their number.

  Args:
    function: What `jax.make_jaxpr` can trace; jitted or not.
    *args: Arrays, or their shapes as from `jax.eval_shape`.
    **kwargs: The same, by name.
  """
  return _count(jax.make_jaxpr(function)(*args, **kwargs).jaxpr)


def count_traced(traced: jax.stages.Traced) -> int:
  """Returns the same of what `jax.jit(function).trace` has made already."""
  return _count(traced.jaxpr.jaxpr)


def peak_flops(device: jax.Device) -> float | None:
  """Returns the bfloat16 operations per second of a device; None if unknown."""
  if device.platform not in ('tpu', 'gpu', 'cuda'):
    return None
  kind = device.device_kind.lower()
  named = lambda name: re.search(rf'\b{name}\b', kind)
  return next((peak for name, peak in _PEAKS if named(name)), None)


def memory(compiled: jax.stages.Compiled) -> dict[str, int]:
  """Returns bytes on each device of a compiled function, by their use.

  Returns:
    `arguments`, `outputs`, `aliased` (outputs in the place of arguments),
    `temporary`, `code`, and their sum `total`; {} if the backend does not say.
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
    'total': total,  # The peak that some backends state lacks temporaries.
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
  """Yields the jaxprs that an equation runs, each of them once.

  A custom derivative also holds its rules, as functions: not run, not counted.
  """
  for value in equation.params.values():
    for item in value if isinstance(value, tuple | list) else (value,):
      if isinstance(item, core.ClosedJaxpr):
        yield item.jaxpr
      elif isinstance(item, core.Jaxpr):
        yield item


def _num_shards(equation: Any) -> int:
  """Returns how many devices a shard_map's body differs on, or may."""
  mesh = equation.params['mesh']
  axes = equation.params.get('manual_axes', mesh.axis_names)
  return math.prod(mesh.shape[axis] for axis in axes)


def _of_product(equation: Any) -> int:
  (contracted, _), _ = equation.params['dimension_numbers']
  left = equation.invars[0].aval.shape
  depth = math.prod(left[axis] for axis in contracted)
  return 2 * equation.outvars[0].aval.size * depth


def _of_attention(equation: Any) -> int:
  """Counts two products, logits and sums of values, of [b, t, n, h] arrays."""
  query, key = (x.aval.shape for x in equation.invars[:2])
  return 4 * math.prod(query) * key[1]


def _of_convolution(equation: Any) -> int:
  """Counts every tap of every output, borders too, less those on zeros.

  A transposed convolution puts zeros between the pixels of its input
  (`lhs_dilation`): one tap in so many meets a pixel. The gradient of a strided
  convolution with respect to its input does the same.
  """
  kernel = equation.invars[1].aval
  axes = equation.params['dimension_numbers'].rhs_spec
  taps = kernel.size // kernel.shape[axes[0]]  # A group's share of channels.
  output = equation.outvars[0].aval.size
  zeros = math.prod(equation.params['lhs_dilation'])
  return 2 * output * taps // zeros
