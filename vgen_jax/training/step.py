"""One training step, the same for every family."""

from collections.abc import Callable, Mapping
import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Metrics
from vgen_jax.core.types import Params
from vgen_jax.families.base import Update
from vgen_jax.families.base import VideoModel
from vgen_jax.training import averages as ema_lib
from vgen_jax.training.state import TrainState

TrainStep = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]

_NORM_MEMORY = 0.98  # Of the average gradient norm, per update.


def make_train_step(
  model: VideoModel,
  optimizers: Mapping[str, optax.GradientTransformation],
  *,
  averages: Mapping[str, Mapping[str, Any]] | None = None,
  accumulate: int = 1,
  spike: float = 0.0,
) -> TrainStep:
  """Returns the pure function `(state, batch) -> (state, metrics)`.

  Metrics of a turn that is not due in a step are NaN. Averages of a player
  begin when it does: its first step is their first.

  Args:
    model: Whose turns are played, in order.
    optimizers: {player: optimizer}.
    averages: {name: spec} of averages of the parameters (training/averages.py).
    accumulate: Micro-batches that a turn sees one after the other; their mean
      gradient is that of the whole batch. Batch norm sees micro-batches.
    spike: Times the average gradient norm that an update may have; 0: any.
  """

  def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    batch = prepare(batch, state.step)
    rng = jax.random.fold_in(state.rng, state.step)
    metrics: Metrics = {}
    seen = state
    for number, turn in enumerate(model.updates):
      seen = seen if turn.with_previous else state

      def play(
        state: TrainState, seen=seen, turn=turn, number=number
      ) -> tuple[TrainState, Metrics]:
        turn_rng = jax.random.fold_in(rng, number)
        for i in range(turn.times):
          state, terms = _move(
            model,
            optimizers[turn.player],
            turn,
            state,
            seen,
            _share(batch, i, turn.times),
            jax.random.fold_in(turn_rng, i),
            accumulate,
            spike,
          )
        return state, {f'{turn.name}/{k}': x for k, x in terms.items()}

      state, terms = _if_due(turn, play, state)
      metrics |= terms

    averaged = _averaged(state, model.start_steps, averages or {})
    return state.replace(step=state.step + 1, ema=averaged), metrics

  return train_step


def prepare(batch: Batch, step: int | Array) -> Batch:
  """Returns the batch as losses see it, in a step after `step` others.

  Video is in [-1, 1], places are numbered, and each clip knows the step, for
  losses that change over time.
  """
  num_clips = len(next(iter(batch.values())))
  position_b = jnp.arange(num_clips)
  step_b = jnp.full(num_clips, step, jnp.int32)
  batch = {**batch, 'position': position_b, 'step': step_b}
  if 'video' in batch and batch['video'].dtype == jnp.uint8:
    batch['video'] = batch['video'].astype(jnp.float32) / 127.5 - 1
  return batch


def _if_due(
  turn: Update,
  play: Callable[[TrainState], tuple[TrainState, Metrics]],
  state: TrainState,
) -> tuple[TrainState, Metrics]:
  """Plays a turn if it is due; else all stays, and metrics are NaN."""
  if not turn.skips_steps:
    return play(state)
  _, terms = jax.eval_shape(play, state)

  def rest(state: TrainState) -> tuple[TrainState, Metrics]:
    nothing = lambda x: jnp.full(x.shape, jnp.nan, x.dtype)
    return state, jax.tree.map(nothing, terms)

  return jax.lax.cond(turn.is_due(state.step), play, rest, state)


def _averaged(
  state: TrainState, starts: Mapping[str, int], specs: ema_lib.Specs
) -> dict[str, Params]:
  """Returns the averages after a step; they count steps of a player's own."""
  averaged = {name: {} for name in state.ema}
  for player, start in starts.items():
    old = {name: of[player] for name, of in state.ema.items()}
    age = state.step + 1 - start
    new = ema_lib.update(
      old, state.params[player], jnp.maximum(age, 1) if start else age, specs
    )
    if start:  # Rounding would move even the average of what stands still.
      new = jax.tree.map(functools.partial(jnp.where, age > 0), new, old)
    for name, tree in new.items():
      averaged[name][player] = tree
  return averaged


def _share(batch: Batch, i: int, n: int) -> Batch:
  """Returns clips i, i + n, ...; no device gives clips to another for that."""
  if n == 1:
    return batch
  return jax.tree.map(
    lambda x: x.reshape(len(x) // n, n, *x.shape[1:])[:, i], batch
  )


def _move(
  model: VideoModel,
  optimizer: optax.GradientTransformation,
  turn: Update,
  state: TrainState,
  seen: TrainState,
  batch: Batch,
  rng: Array,
  accumulate: int,
  spike: float,
) -> tuple[TrainState, Metrics]:
  """Updates one player by its own loss; all else holds still."""
  player = turn.player
  own_params = state.params[player]
  loss, terms, stats, grads = _gradients(
    model, turn, state, seen, batch, rng, accumulate
  )
  norm = optax.global_norm(grads)
  updates, opt = optimizer.update(grads, state.opt[player], own_params)
  finite = jnp.isfinite(loss + norm + optax.global_norm(updates))
  sound, guard = _judge(state.guard[player], finite, norm, spike)
  params = optax.apply_updates(own_params, updates)
  keep = lambda new, old: jax.tree.map(
    lambda a, b: jnp.where(sound, a, b), new, old
  )
  state = state.replace(
    params={**state.params, player: keep(params, own_params)},
    stats=keep(stats, state.stats),
    opt={**state.opt, player: keep(opt, state.opt[player])},
    guard={**state.guard, player: guard},
  )
  return state, {**terms, 'loss': loss, 'grad_norm': norm}


def _gradients(
  model: VideoModel,
  turn: Update,
  state: TrainState,
  seen: TrainState,
  batch: Batch,
  rng: Array,
  accumulate: int,
) -> tuple[Array, Metrics, Any, Any]:
  """Returns loss, terms, the player's new statistics, and its gradients."""
  player = turn.player
  noise_rng, dropout_rng = jax.random.split(rng)
  stats = {**seen.stats, **_of(player, state.stats, seen.stats)}

  def loss_fn(own_params, stats, batch, dropout_rng):
    (loss, terms), changed = model.apply(
      {'params': {**seen.params, player: own_params}, **stats},
      batch,
      player=player,
      train=True,
      method=turn.loss,
      rngs={'noise': noise_rng, 'dropout': dropout_rng},
      mutable=list(stats),
    )
    return loss, (terms, {**stats, **_of(player, dict(changed), stats)})

  grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
  own_params = state.params[player]
  if accumulate == 1:
    (loss, (terms, stats)), grads = grad_fn(
      own_params, stats, batch, dropout_rng
    )
    return loss, terms, _of(player, stats, state.stats), grads

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
    share = jax.tree.map(lambda x: x / accumulate, (loss, terms, grads))
    return (jax.tree.map(jnp.add, total, share), stats), None

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
  return loss, terms, _of(player, stats, state.stats), grads


def _of(player: str, new: dict[str, Any], old: dict[str, Any]) -> Any:
  """Returns `old` statistics, with those of one player from `new`."""
  return {
    kind: {**parts, player: new[kind][player]} if player in parts else parts
    for kind, parts in old.items()
  }


def _judge(
  guard: dict[str, Array], finite: Array, norm: Array, spike: float
) -> tuple[Array, dict[str, Array]]:
  """Returns whether an update may be made, and the guard's new memory."""
  sound, average = finite, guard['norm']
  if spike:
    sound &= (average == 0) | (norm <= spike * average)
  mixed = jnp.where(
    average == 0, norm, _NORM_MEMORY * average + (1 - _NORM_MEMORY) * norm
  )
  skipped = jnp.int32(~sound)
  return sound, {
    'norm': jnp.where(sound, mixed, average),
    'streak': jnp.where(sound, 0, guard['streak'] + 1),
    'skipped': guard['skipped'] + skipped,
  }
