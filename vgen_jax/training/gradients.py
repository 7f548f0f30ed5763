"""The loss of one update and its gradients, computed in micro-batches."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Metrics
from vgen_jax.families.base import Update
from vgen_jax.families.base import VideoModel
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

  def loss_fn(own_params, stats, batch, dropout_rng):
    (loss, terms), changed = model.apply(
      {'params': {**others.params, player: own_params}, **stats},
      batch,
      player=player,
      train=True,
      method=update.loss,
      rngs={'noise': noise_rng, 'dropout': dropout_rng},
      mutable=list(stats),
    )
    new_stats = {**stats, **_of_player(player, dict(changed), stats)}
    return loss, (terms, new_stats)

  grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
  own_params = state.params[player]
  if accumulate == 1:
    (loss, (terms, stats)), grads = grad_fn(
      own_params, stats, batch, dropout_rng
    )
    stats = _of_player(player, stats, state.stats)
    return Gradients(loss, terms, stats, grads)

  def add(carry, i):
    total, stats = carry
    micro = jax.tree.map(
      lambda x: jax.lax.dynamic_index_in_dim(
        x.reshape(len(x) // accumulate, accumulate, *x.shape[1:]),
        i,
        axis=1,
        keepdims=False,
      ),
      batch,
    )
    (loss, (terms, stats)), grads = grad_fn(
      own_params, stats, micro, jax.random.fold_in(dropout_rng, i)
    )
    part = jax.tree.map(lambda x: x / accumulate, (loss, terms, grads))
    return (jax.tree.map(jnp.add, total, part), stats), None

  micro = jax.tree.map(lambda x: x[::accumulate], batch)
  (loss, (terms, _)), grads = jax.eval_shape(
    grad_fn, own_params, stats, micro, dropout_rng
  )
  zeros = jax.tree.map(
    lambda x: jnp.zeros(x.shape, jnp.result_type(x.dtype, jnp.float32)),
    (loss, terms, grads),
  )
  ((loss, terms, grads), stats), _ = jax.lax.scan(
    add, (zeros, stats), jnp.arange(accumulate)
  )
  stats = _of_player(player, stats, state.stats)
  return Gradients(loss, terms, stats, grads)


def _of_player(player: str, new: dict[str, Any], old: dict[str, Any]) -> Any:
  """Returns `old` statistics, with those of one player taken from `new`."""
  return {
    kind: {**parts, player: new[kind][player]} if player in parts else parts
    for kind, parts in old.items()
  }
