"""The loss of one update and its gradients, computed in micro-batches.

All micro-batches begin with the same statistics of the model, and the new
statistics are the old ones plus the mean change. So statistics that do not
depend on the clips, such as those of spectral norm, change in a step as they do
without micro-batches. For statistics of the whole batch see
nn/batch_statistics.py: if a loss has some, its forward pass runs twice.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Metrics
from vgen_jax.families.base import Update
from vgen_jax.families.base import VideoModel
from vgen_jax.nn import batch_statistics
from vgen_jax.training.state import TrainState


class Gradients(NamedTuple):
  """Result of differentiating the loss of one player.

  Attributes:
    loss: Loss of the player, a scalar.
    terms: Further metrics, {name: scalar}.
    stats: New statistics of the model; those of other players are unchanged.
    grads: Gradients of the player's parameters.
  """

  loss: Array
  terms: Metrics
  stats: Any
  grads: Any


def of_update(
  model: VideoModel,
  update: Update,
  state: TrainState,
  others: TrainState,
  batch: Batch,
  rng: Array,
  accumulate: int,
) -> Gradients:
  """Returns the loss of an update and its gradients.

  Args:
    model: Model with the loss.
    update: Update of a player.
    state: State with the parameters of the player.
    others: State with the parameters of all other parts.
    batch: Clips of the update.
    rng: Key of the update.
    accumulate: Number of micro-batches.
  """
  player = update.player
  noise_rng, dropout_rng = jax.random.split(rng)
  stats = {**others.stats, **_of_player(player, state.stats, others.stats)}

  def loss_fn(own_params, whole, batch, dropout_rng):
    (loss, terms), changed = apply(
      own_params, whole, batch, dropout_rng, mutable=list(stats)
    )
    new_stats = {**stats, **_of_player(player, dict(changed), stats)}
    return loss, (terms, new_stats)

  def apply(own_params, whole, batch, dropout_rng, mutable):
    return model.apply(
      {'params': {**others.params, player: own_params}, **stats, **whole},
      batch,
      player=player,
      train=True,
      method=update.loss,
      rngs={'noise': noise_rng, 'dropout': dropout_rng},
      mutable=mutable,
    )

  grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
  own_params = state.params[player]
  if accumulate == 1:
    (loss, (terms, new_stats)), grads = grad_fn(
      own_params, {}, batch, dropout_rng
    )
    new_stats = _of_player(player, new_stats, state.stats)
    return Gradients(loss, terms, new_stats, grads)

  def collected(i):
    """Returns the batch statistics of a micro-batch; {} if there are none."""
    mutable = [*stats, batch_statistics.COLLECTION]
    rng = jax.random.fold_in(dropout_rng, i)
    micro = _micro_batch(batch, i, accumulate)
    _, changed = apply(own_params, {}, micro, rng, mutable)
    return dict(changed).get(batch_statistics.COLLECTION, {})

  whole = {}
  if jax.tree.leaves(jax.eval_shape(collected, jnp.int32(0))):
    parts = jax.lax.map(collected, jnp.arange(accumulate))
    whole = {batch_statistics.COLLECTION: batch_statistics.combined(parts)}

  def add(carry, i):
    micro = _micro_batch(batch, i, accumulate)
    (loss, (terms, new_stats)), grads = grad_fn(
      own_params, whole, micro, jax.random.fold_in(dropout_rng, i)
    )
    changes = jax.tree.map(_difference, new_stats, stats)
    part = jax.tree.map(lambda x: x / accumulate, (loss, terms, grads, changes))
    return jax.tree.map(jnp.add, carry, part), None

  micro = jax.tree.map(lambda x: x[::accumulate], batch)
  (loss, (terms, _)), grads = jax.eval_shape(
    grad_fn, own_params, whole, micro, dropout_rng
  )
  changes = jax.eval_shape(lambda: jax.tree.map(_difference, stats, stats))
  zeros = jax.tree.map(
    lambda x: jnp.zeros(x.shape, jnp.result_type(x.dtype, jnp.float32)),
    (loss, terms, grads, changes),
  )
  (loss, terms, grads, changes), _ = jax.lax.scan(
    add, zeros, jnp.arange(accumulate)
  )
  new_stats = jax.tree.map(
    lambda old, change: (old + change).astype(old.dtype), stats, changes
  )
  new_stats = _of_player(player, new_stats, state.stats)
  return Gradients(loss, terms, new_stats, grads)


def _micro_batch(batch: Batch, i: Array, accumulate: int) -> Batch:
  """Returns clips i, i + accumulate, ...; this moves none between devices."""
  return jax.tree.map(
    lambda x: jax.lax.dynamic_index_in_dim(
      x.reshape(len(x) // accumulate, accumulate, *x.shape[1:]),
      i,
      axis=1,
      keepdims=False,
    ),
    batch,
  )


def _difference(new: Array, old: Array) -> Array:
  return new.astype(jnp.float32) - old.astype(jnp.float32)


def _of_player(player: str, new: dict[str, Any], old: dict[str, Any]) -> Any:
  """Returns `old` statistics, with those of one player taken from `new`."""
  return {
    kind: {**parts, player: new[kind][player]} if player in parts else parts
    for kind, parts in old.items()
  }
