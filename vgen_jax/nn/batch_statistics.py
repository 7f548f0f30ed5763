"""Statistics of a whole batch that is processed in micro-batches.

Most losses are means over clips, so the mean gradient of micro-batches is that
of the batch. This does not hold for other functions of a batch mean, such as
the entropy of the mean frequencies of codes, or for a codebook that is updated
with the counts of the batch. Modules therefore get batch means and sums from
these functions. The train step (training/gradients.py) first runs all
micro-batches to collect their statistics, then gives the combined statistics to
each of them.

A value is that of the whole batch, and its gradient is that of the micro-batch.
So the mean gradient over micro-batches is exact if the loss is the same
function of the statistics in each micro-batch. With batch normalization it is
not: a clip of one micro-batch would change the loss of the clips of another.

Without micro-batches the functions return the statistics of the given batch.
"""

from typing import Any

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from vgen_jax.core.types import Array

# A collection of Flax, which is never a part of a state.
COLLECTION = 'batch_statistics'


def total(module: nn.Module, name: str, x: Array) -> Array:
  """Returns a sum over the whole batch, without a gradient.

  Args:
    module: Bound module that needs it.
    name: Name of the statistic, unique in the module.
    x: Sum over the clips that the module is given.
  """
  return _whole(module, name, 'total', lax.stop_gradient(x))


def mean(module: nn.Module, name: str, x: Array) -> Array:
  """Returns a mean over the whole batch.

  Args:
    module: Bound module that needs it.
    name: Name of the statistic, unique in the module.
    x: Mean over the clips that the module is given.
  """
  whole = _whole(module, name, 'mean', x)
  return whole if whole is x else lax.stop_gradient(whole - x) + x


def log_mean(module: nn.Module, name: str, x: Array) -> Array:
  """Returns the logarithm of a mean over the whole batch.

  Args:
    module: Bound module that needs it.
    name: Name of the statistic, unique in the module.
    x: Logarithm of the mean over the clips that the module is given.
  """
  whole = _whole(module, name, 'log_mean', x)
  if whole is x:
    return x
  whole, own = lax.stop_gradient((whole, x))
  # The derivative of the logarithm of the mean of exp(x).
  return whole + jnp.exp(own - whole) * (x - own)


def chosen(
  module: nn.Module, name: str, score_k: Array, value_kd: Array
) -> Array:
  """Returns the values with the largest scores in the whole batch, `[k, d]`.

  Args:
    module: Bound module that needs them.
    name: Name of the statistic, unique in the module.
    score_k: Largest score for each k among the clips that the module is given.
    value_kd: Values with these scores.
  """
  part = lax.stop_gradient({'score': score_k, 'value': value_kd})
  return _whole(module, name, 'chosen', part)['value']


def combined(collections: Any) -> Any:
  """Returns the statistics of a batch from those of its micro-batches.

  Args:
    collections: What the modules stored in COLLECTION, stacked along a first
      axis of micro-batches.

  Raises:
    TypeError: If `collections` is not a dict.
  """
  if not isinstance(collections, dict):
    raise TypeError(
      f'collections is a {type(collections).__name__}; it must be a dict of the'
      ' statistics that modules have stored.'
    )
  return {
    key: _REDUCERS[key](value) if key in _REDUCERS else combined(value)
    for key, value in collections.items()
  }


def _whole(module: nn.Module, name: str, kind: str, part: Any) -> Any:
  """Returns the statistic of the batch, or `part` if there is no other."""
  if module.is_initializing():
    return part
  if module.is_mutable_collection(COLLECTION):  # It is being collected.
    if module.has_variable(COLLECTION, name):
      raise ValueError(
        f'{type(module).__name__} computes the batch statistic {name!r} twice;'
        ' give the second one another name.'
      )
    module.put_variable(COLLECTION, name, {f'{kind}_': lax.stop_gradient(part)})
    return part
  if module.has_variable(COLLECTION, name):
    return module.get_variable(COLLECTION, name)[f'{kind}_']
  return part


def _best(parts: dict[str, Array]) -> dict[str, Array]:
  """Returns the scores and values of the micro-batch with the best score."""
  best_k = parts['score'].argmax(0)
  value_kd = jnp.take_along_axis(parts['value'], best_k[None, :, None], 0)[0]
  return {'score': parts['score'].max(0), 'value': value_kd}


def _log_mean(parts: Array) -> Array:
  return jax.nn.logsumexp(parts, axis=0) - jnp.log(len(parts))


_REDUCERS = {  # With an underscore, since modules may have these names.
  'total_': lambda parts: parts.sum(0),
  'mean_': lambda parts: parts.mean(0),
  'log_mean_': _log_mean,
  'chosen_': _best,
}
