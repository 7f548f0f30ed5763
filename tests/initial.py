"""Initial variables of modules without compilation.

A compiled `init` of a small network takes seconds, most of them for the random
numbers of each parameter. Here the network is traced only, and NumPy computes
the variables from the trace. Random numbers come from its own generator, with
the distributions of `jax.random`.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools
from typing import Any

import jax
import numpy as np

_CALLS = {'jit', 'pjit', 'checkpoint', 'remat2', 'closed_call'}
MAX_COMPILED = 12


class UnknownPrimitiveError(Exception):
  """NumPy cannot compute the variables."""


def evaluate(function: jax.stages.Wrapped, *args, seed: int = 0) -> Any:
  """Returns `function(*args)`, computed by NumPy if possible.

  Args:
    function: Jitted function of trees of arrays. If its result depends on
      more than constants, keys, and draws of uniform and normal numbers, the
      function is compiled.
    *args: Its arguments. Equal keys give equal results.
    seed: Seed of the draws of a function that makes its own keys.
  """
  traced = function.trace(*args)
  leaves = jax.tree.leaves(args)
  key_data = [
    int(x)
    for leaf in filter(_is_key, leaves)
    for x in np.ravel(jax.random.key_data(leaf))
  ]
  closed = traced.jaxpr
  given = [functools.partial(_identity, x) for x in (*closed.consts, *leaves)]
  state = _State(np.random.default_rng([*key_data, seed]))
  scope = _Scope(closed.jaxpr, given, state)
  try:
    found = [
      x if _is_key(x) else np.asarray(x)
      for x in map(scope.value, closed.jaxpr.outvars)
    ]
  except UnknownPrimitiveError:
    return traced.lower().compile()(*args)
  return jax.tree.unflatten(jax.tree.structure(traced.out_info), found)


def _is_key(x: Any) -> bool:
  """Returns whether a value is an array of keys of random numbers."""
  return isinstance(x, jax.Array) and jax.dtypes.issubdtype(
    x.dtype, jax.dtypes.prng_key
  )


@dataclasses.dataclass
class _State:
  rng: np.random.Generator
  num_compiled: int = 0  # Operations that are compiled on their own.


class _Scope:
  """The variables of a jaxpr, each of which is computed when it is needed."""

  def __init__(self, jaxpr, inputs: Sequence[Callable], state):
    self._state = state
    self._values = {}
    self._inputs = dict(
      zip((*jaxpr.constvars, *jaxpr.invars), inputs, strict=True)
    )
    self._equations = {x: e for e in jaxpr.eqns for x in e.outvars}

  def value(self, var):
    if hasattr(var, 'val'):
      return var.val
    if var in self._inputs:
      return self._inputs[var]()
    if var not in self._values:
      equation = self._equations[var]
      index = equation.outvars.index(var)
      self._values[var] = self._compute(equation, index)
    return self._values[var]

  def _compute(self, equation, index: int):
    """Returns one result of an equation."""
    name = equation.primitive.name
    shape, dtype = equation.outvars[index].aval.shape, None
    read = lambda i: self.value(equation.invars[i])
    if name in _CALLS:
      draw = _DRAWS.get(equation.params.get('name'))
      if draw:
        dtype = equation.outvars[index].aval.dtype
        bounds = map(read, range(1, len(equation.invars)))
        return draw(self._state.rng, shape, *bounds).astype(dtype)
      if equation.params.get('name') == 'qr':  # Of orthogonal kernels.
        return np.linalg.qr(read(0))[index]
      if equation.params.get('name') == 'diagonal' and shape * 2 == (
        equation.invars[0].aval.shape
      ):
        return np.diagonal(read(0))
      inputs = [functools.partial(self.value, x) for x in equation.invars]
      # The name of the parameter depends on the call and on the version of JAX.
      inner = equation.params.get('jaxpr', equation.params.get('call_jaxpr'))
      if inner is None:
        raise UnknownPrimitiveError(name)
      return _inner(inner, inputs, index, self._state)
    if name == 'scan':
      return self._scan(equation, index)
    if name == 'random_bits':
      raise UnknownPrimitiveError(name)
    inputs = list(map(read, range(len(equation.invars))))
    if name in _OPERATIONS:
      return _OPERATIONS[name](equation.params, *inputs)
    if name == 'dot_general' and not any(equation.params[_NUMBERS][1]):
      dtype = equation.outvars[0].aval.dtype
      return np.tensordot(*inputs, equation.params[_NUMBERS][0]).astype(dtype)
    # Compiling a whole program is faster than compiling many operations.
    self._state.num_compiled += 1
    if self._state.num_compiled > MAX_COMPILED:
      raise UnknownPrimitiveError(name)
    found = equation.primitive.bind(*inputs, **equation.params)
    return found[index] if equation.primitive.multiple_results else found

  def _scan(self, equation, index: int):
    """Returns the results of all steps; they must not depend on a carry."""
    params = equation.params
    if 'num_consts' in params:
      num_consts, num_carry = params['num_consts'], params['num_carry']
    else:  # JAX 0.11.
      parts = params['ft_in'].unpack()  # Constants, carry and inputs.
      num_consts, num_carry, _ = (len(list(part.vals)) for part in parts)
    if index < num_carry:
      raise UnknownPrimitiveError('scan')

    def step(i):
      def read(n):
        if n < num_consts:
          return self.value(equation.invars[n])
        if n < num_consts + num_carry:
          raise UnknownPrimitiveError('scan')
        return self.value(equation.invars[n])[i]

      inputs = [functools.partial(read, n) for n in range(len(equation.invars))]
      return _inner(params['jaxpr'], inputs, index, self._state)

    return np.stack([step(i) for i in range(params['length'])])


def _inner(jaxpr, inputs, index: int, state):
  """Returns one result of a jaxpr within an equation."""
  consts = [
    functools.partial(_identity, x) for x in getattr(jaxpr, 'consts', ())
  ]
  jaxpr = getattr(jaxpr, 'jaxpr', jaxpr)
  return _Scope(jaxpr, consts + inputs, state).value(jaxpr.outvars[index])


def _identity(x):
  return x


def _truncated_normal(rng, shape, lower, upper):
  """Returns normal numbers, drawn again until they are within the bounds."""
  x = rng.standard_normal(shape)
  while (outside := (x < lower) | (x > upper)).any():
    x = np.where(outside, rng.standard_normal(shape), x)
  return x


def _uniform(rng, shape, lower, upper):
  return lower + (upper - lower) * rng.random(shape)


# Jitted functions of jax.random by their names; the first argument is a key.
_DRAWS = {
  '_normal': lambda rng, shape: rng.standard_normal(shape),
  '_normal_real': lambda rng, shape: rng.standard_normal(shape),
  '_truncated_normal': _truncated_normal,
  '_uniform': _uniform,
}


def _broadcast(params, x):
  shape, axes = params['shape'], params['broadcast_dimensions']
  aligned = np.ones(len(shape), int)
  aligned[list(axes)] = np.shape(x)
  return np.broadcast_to(np.reshape(x, aligned), shape)


_NUMBERS = 'dimension_numbers'  # Contracted axes and axes of batches.
_OPERATIONS = {
  'add': lambda _, x, y: np.add(x, y),
  'sub': lambda _, x, y: np.subtract(x, y),
  'mul': lambda _, x, y: np.multiply(x, y),
  'div': lambda _, x, y: np.divide(x, y),
  'neg': lambda _, x: np.negative(x),
  'stop_gradient': lambda _, x: x,
  'sqrt': lambda _, x: np.sqrt(x),
  'exp': lambda _, x: np.exp(x),
  'log': lambda _, x: np.log(x),
  'abs': lambda _, x: np.abs(x),
  'sign': lambda _, x: np.sign(x),
  'max': lambda _, x, y: np.maximum(x, y),
  'min': lambda _, x, y: np.minimum(x, y),
  'lt': lambda _, x, y: np.less(x, y),
  'ge': lambda _, x, y: np.greater_equal(x, y),
  'select_n': lambda _, which, *x: np.choose(np.asarray(which, int), x),
  'gt': lambda _, x, y: np.greater(x, y),
  'eq': lambda _, x, y: np.equal(x, y),
  'square': lambda _, x: np.square(x),
  'integer_pow': lambda p, x: np.asarray(x) ** p['y'],
  'rsqrt': lambda _, x: 1 / np.sqrt(x),
  'reduce_sum': lambda p, x: np.sum(x, p['axes'], np.asarray(x).dtype),
  'reduce_max': lambda p, x: np.max(x, p['axes']),
  'sin': lambda _, x: np.sin(x),
  'cos': lambda _, x: np.cos(x),
  'broadcast_in_dim': _broadcast,
  'convert_element_type': lambda p, x: np.asarray(x).astype(p['new_dtype']),
  'reshape': lambda p, x: np.reshape(x, p['new_sizes']),
  'squeeze': lambda p, x: np.squeeze(x, p['dimensions']),
  'transpose': lambda p, x: np.transpose(x, p['permutation']),
  'concatenate': lambda p, *x: np.concatenate(x, p['dimension']),
  'iota': lambda p: _broadcast(
    {'shape': p['shape'], 'broadcast_dimensions': (p['dimension'],)},
    np.arange(p['shape'][p['dimension']], dtype=p['dtype']),
  ),
  'copy': lambda _, x: x,
  'sharding_constraint': lambda _, x: x,
}
