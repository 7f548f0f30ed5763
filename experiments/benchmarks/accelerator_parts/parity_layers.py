"""Checks that convolutions and attention agree with their slow, exact forms.

An error is the largest difference, relative to the largest number of the
reference. Float32 products are computed in full precision ('highest'), which
GPUs use only on request: by default, products are rounded to TF32.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.accelerator_parts import timing
from vgen_jax.nn.attention import attention
from vgen_jax.nn.convolution import conv

# Errors that are due to rounding only. Float32 has 24 bits and sums of some ten
# thousand products in another order; bfloat16 has 8 bits, and gradients of the
# fast form are sums of a few numbers that are rounded to it.
TOLERANCES = {'float32': 1e-4, 'bfloat16': 3e-2}


class Convolution(NamedTuple):
  """A convolution to compare; generators use transposed ones.

  Attributes:
    name: Name of the convolution in the results.
    kernel: Sides (t, h, w) of the kernel.
    strides: Strides along t, h and w.
    padding: Padding, as in `conv.conv3d`.
    transposed: Whether the convolution is transposed.
  """

  name: str
  kernel: tuple[int, int, int]
  strides: tuple[int, int, int] = (1, 1, 1)
  padding: str = 'SAME'
  transposed: bool = False


CONVOLUTIONS = (
  Convolution('3 x 3 x 3', (3, 3, 3)),
  Convolution('4 x 4 x 4, stride 2', (4, 4, 4), (2, 2, 2)),
  Convolution('4 x 4 x 4, transposed', (4, 4, 4), (2, 2, 2), transposed=True),
  Convolution('1 x 3 x 3', (1, 3, 3)),
  Convolution('3 x 3 x 3, causal', (3, 3, 3), padding='CAUSAL'),
  Convolution('1 x 4 x 4, transposed', (1, 4, 4), (1, 2, 2), transposed=True),
  Convolution('3 x 1 x 1', (3, 1, 1)),
)


class Attention(NamedTuple):
  """Shape of an attention to compare.

  Attributes:
    batch: Number of sequences.
    tokens: Number of tokens of a sequence.
    heads: Number of heads.
    width: Width of a head.
    is_causal: Whether a token attends only to itself and earlier tokens.
  """

  batch: int
  tokens: int
  heads: int
  width: int
  is_causal: bool


# What the models have: patches of a frame (256 tokens; XL's heads are 72 wide),
# codes of a clip (causal), and lengths that no tile of a kernel divides.
ATTENTIONS = (
  Attention(64, 256, 6, 64, False),
  Attention(8, 1024, 9, 64, True),
  Attention(64, 256, 16, 72, False),
  Attention(16, 200, 6, 64, True),
  Attention(2, 4096, 6, 64, False),
  Attention(16, 1000, 6, 64, False),
  Attention(512, 16, 6, 64, False),
)
TINY_ATTENTIONS = (Attention(2, 16, 2, 8, False), Attention(2, 12, 2, 8, True))


def compare_convolution(
  case: Convolution, shape: Sequence[int], features: int, dtype: str
) -> dict[str, Any]:
  """Returns the errors of both forms of a convolution, and times in bfloat16.

  The reference is the lax form in float32 at full precision, with the same
  inputs: in bfloat16 both forms have an error, in float32 only the fast one.

  Args:
    case: Convolution to compute.
    shape: Shape of the clips, (b, t, h, w, c).
    features: Channels of the result.
    dtype: 'float32' or 'bfloat16', of clips, kernel and result.
  """
  rng = np.random.default_rng(0)
  clips = jnp.asarray(rng.standard_normal(shape), dtype)
  kernel_shape = (*case.kernel, shape[-1], features)
  kernel = rng.standard_normal(kernel_shape) / np.prod(kernel_shape[:-1]) ** 0.5
  operands = (clips, jnp.asarray(kernel, dtype))
  layer = conv.conv_transpose3d if case.transposed else conv.conv3d

  def form(name: str) -> Callable:
    return lambda x, k: layer(x, k, case.strides, case.padding, name)

  out = jax.eval_shape(form('lax'), *operands)
  weights = jnp.asarray(rng.standard_normal(out.shape), dtype)
  exact = _exact(form('lax'), operands, weights)
  if dtype == 'float32':
    found = {'fast': _exact(form('fast'), operands, weights)}
    times = {}
  else:
    names = ('fast', 'lax')
    found, times = _compared({n: form(n) for n in names}, operands, weights)
  values = _errors(found, exact)
  return values | agreement(values.values(), dtype) | times


def compare_attention(
  case: Attention, implementations: Sequence[str]
) -> dict[str, Any]:
  """Returns errors and times of implementations of attention, in bfloat16.

  The reference is XLA's in float32 at full precision, with the same inputs.

  Args:
    case: Attention to compute.
    implementations: Names of implementations of nn/attention/attention.py; the
      first one is compared with the reference.
  """
  rng = np.random.default_rng(0)
  shape = (case.batch, case.tokens, case.heads, case.width)
  *operands, weights = (
    jnp.asarray(rng.standard_normal(shape), jnp.bfloat16) for _ in range(4)
  )

  def form(name: str) -> Callable:
    return lambda q, k, v: attention.attend(
      q, k, v, is_causal=case.is_causal, implementation=name
    )

  exact = _exact(form('xla'), operands, weights)
  forms = {name: form(name) for name in implementations}
  found, times = _compared(forms, operands, weights)
  values = _errors(found, exact)
  first = [x for key, x in values.items() if key.startswith(implementations[0])]
  return values | agreement(first, 'bfloat16') | times


def implementations_on(platform: str) -> tuple[str, ...]:
  """Returns the implementations of attention that a platform should have."""
  return ('cudnn', 'xla') if platform in ('gpu', 'cuda') else ('xla',)


def errors(
  found: Sequence[np.ndarray], exact: Sequence[np.ndarray]
) -> list[float]:
  """Returns the relative error of each array; infinite if it is not finite."""
  result = []
  for one, other in zip(found, exact, strict=True):
    error = np.abs(one - other).max() / max(np.abs(other).max(), 1e-12)
    result.append(float(error) if np.isfinite(error) else float('inf'))
  return result


def agreement(values: Any, dtype: str) -> dict[str, Any]:
  """Returns the tolerance of a dtype, and whether all errors are within it."""
  tolerance = TOLERANCES[dtype]
  return {'tolerance': tolerance, 'agrees': all(x <= tolerance for x in values)}


def _gradients(function: Callable) -> Callable:
  """Returns a function that computes values and gradients of their sum."""

  def call(weights: jax.Array, *operands: jax.Array) -> tuple[jax.Array, ...]:
    value, pull = jax.vjp(function, *operands)
    return value, *pull(weights.astype(value.dtype))

  return jax.jit(call)


def _exact(
  function: Callable, operands: Sequence[jax.Array], weights: jax.Array
) -> list[np.ndarray]:
  """Returns the value and the gradients in float32, at full precision."""
  with jax.default_matmul_precision('highest'):
    call = _gradients(function)
    return _arrays(call(weights, *(x.astype('float32') for x in operands)))


def _compared(
  functions: Mapping[str, Callable],
  operands: Sequence[jax.Array],
  weights: jax.Array,
) -> tuple[dict[str, list[np.ndarray]], dict[str, float]]:
  """Returns values and gradients as models compute them, and their times."""
  found, times = {}, {}
  for name, function in functions.items():
    call = _gradients(function)
    found[name] = _arrays(call(weights, *operands))
    seconds = timing.seconds_per_call(
      lambda call=call: call(weights, *operands), seconds=0.15
    )
    times[f'{name}_ms'] = 1e3 * seconds
  return found, times


def _errors(
  found: Mapping[str, Sequence[np.ndarray]], exact: Sequence[np.ndarray]
) -> dict[str, float]:
  """Returns the error of each form, and the largest of its gradients."""
  values = {}
  for name, arrays in found.items():
    value, *gradients = errors(arrays, exact)
    values |= {f'{name}_error': value, f'{name}_gradient_error': max(gradients)}
  return values


def _arrays(values: Sequence[jax.Array]) -> list[np.ndarray]:
  return [np.asarray(x, np.float32) for x in values]
