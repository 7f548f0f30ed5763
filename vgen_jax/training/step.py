"""One training step, the same for every family."""

from collections.abc import Callable, Mapping
import functools
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax

from vgen_jax.core import modalities
from vgen_jax.core import pixels
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Metrics
from vgen_jax.core.types import Params
from vgen_jax.families.base import Update
from vgen_jax.families.base import VideoModel
from vgen_jax.nn import batch_sharding
from vgen_jax.training import averages as ema_lib
from vgen_jax.training import gradients as gradients_lib
from vgen_jax.training.state import TrainState

TrainStep = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]

# Decay of the moving average of gradient norms, per update.
_NORM_DECAY = 0.98


def make_train_step(
  model: VideoModel,
  optimizers: Mapping[str, optax.GradientTransformation],
  *,
  averages: Mapping[str, Mapping[str, Any]] | None = None,
  accumulate: int = 1,
  spike: float = 0.0,
) -> TrainStep:
  """Returns the pure function `(state, batch) -> (state, metrics)`.

  For each update of the model, in order, the function computes the loss and its
  gradient with respect to the parameters of one player (training/gradients.py),
  and applies the optimizer of the player; the guard rejects harmful updates.
  Then the averages of the parameters are updated. The learning rate is a part
  of the optimizer.

  Metrics of an update that is not due in a step are NaN. The averages of a
  player start with its first update.

  Args:
    model: Model whose `updates` are applied in order.
    optimizers: {player: optimizer} from training/optimizers.py.
    averages: {name: spec} of averages of the parameters (training/averages.py).
    accumulate: Number of micro-batches into which the batch of an update is
      split; their mean gradient is that of the whole batch, except that batch
      norm uses the statistics of each micro-batch, and dropout samples other
      masks.
    spike: Largest gradient norm of an update, in multiples of the average norm;
      updates beyond it are skipped. 0 sets no limit.
  """

  def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    batch = prepare(batch, state.step)
    step_rng = jax.random.fold_in(state.rng, state.step)
    metrics: Metrics = {}
    others = state  # The state from which an update reads the other parts.
    for number, update in enumerate(model.updates):
      others = others if update.with_previous else state

      def apply(
        state: TrainState, others=others, update=update, number=number
      ) -> tuple[TrainState, Metrics]:
        rng = jax.random.fold_in(step_rng, number)
        for i in range(update.times):
          result = gradients_lib.of_update(
            model,
            update,
            state,
            others,
            _every_nth(batch, i, update.times),
            jax.random.fold_in(rng, i),
            accumulate,
          )
          state, terms = _apply(
            optimizers[update.player], update, state, result, spike
          )
        return state, {f'{update.name}/{k}': x for k, x in terms.items()}

      state, terms = _apply_if_due(update, apply, state)
      metrics |= terms

    averaged = _update_averages(state, model.start_steps, averages or {})
    return state.replace(step=state.step + 1, ema=averaged), metrics

  return train_step


def prepare(batch: Batch, step: int | Array) -> Batch:
  """Returns the batch in the form that losses take.

  Args:
    batch: Batch of the pipeline, whose video is uint8.
    step: Number of steps completed before this one.

  Returns:
    The batch with `video` and its other pixels as float32 in [-1, 1], and for
    each clip its `position` in the batch and `step`, for losses that change
    over time.
  """
  num_clips = len(jax.tree.leaves(dict(batch))[0])
  position_b = batch_sharding.constrain(jnp.arange(num_clips))
  step_b = batch_sharding.constrain(jnp.full(num_clips, step, jnp.int32))
  arrays: dict[str, Any] = {**batch, 'position': position_b, 'step': step_b}
  for key in ('video', *modalities.keys('data')):
    if key in arrays and arrays[key].dtype == jnp.uint8:
      arrays[key] = pixels.to_float(arrays[key])
  return cast(Batch, arrays)


def _apply_if_due(
  update: Update,
  apply: Callable[[TrainState], tuple[TrainState, Metrics]],
  state: TrainState,
) -> tuple[TrainState, Metrics]:
  """Returns `apply(state)` if the update is due; else `state`, metrics NaN."""
  if not update.skips_steps:
    return apply(state)
  _, terms = jax.eval_shape(apply, state)

  def skip(state: TrainState) -> tuple[TrainState, Metrics]:
    nan = lambda x: jnp.full(x.shape, jnp.nan, x.dtype)
    return state, jax.tree.map(nan, terms)

  return jax.lax.cond(update.is_due(state.step), apply, skip, state)


def _update_averages(
  state: TrainState, starts: Mapping[str, int], specs: ema_lib.Specs
) -> dict[str, Params]:
  """Returns the averages after a step.

  The averages of a player count steps from the player's start.
  """
  averaged = {name: {} for name in state.ema}
  for player, start in starts.items():
    old = {name: trees[player] for name, trees in state.ema.items()}
    age = state.step + 1 - start
    new = ema_lib.update(
      old, state.params[player], jnp.maximum(age, 1) if start else age, specs
    )
    if start:  # Rounding would change even the average of constant parameters.
      new = jax.tree.map(functools.partial(jnp.where, age > 0), new, old)
    for name, tree in new.items():
      averaged[name][player] = tree
  return averaged


def _every_nth(batch: Batch, i: int, n: int) -> Batch:
  """Returns clips i, i + n, ...; this moves no clips between devices."""
  if n == 1:
    return batch
  return jax.tree.map(
    lambda x: x.reshape(len(x) // n, n, *x.shape[1:])[:, i], batch
  )


def _apply(
  optimizer: optax.GradientTransformation,
  update: Update,
  state: TrainState,
  result: gradients_lib.Gradients,
  spike: float,
) -> tuple[TrainState, Metrics]:
  """Returns the state after an update of one player, and its metrics.

  The state stays as it is, except for the guard, if the update is not finite
  or its gradient norm is a spike.
  """
  loss, terms, stats, grads = result
  player = update.player
  own_params = state.params[player]
  norm = optax.global_norm(grads)
  updates, opt = optimizer.update(grads, state.opt[player], own_params)
  finite = jnp.isfinite(loss + norm + optax.global_norm(updates))
  accepted, guard = _check_update(state.guard[player], finite, norm, spike)
  params = optax.apply_updates(own_params, updates)
  if update.constraint:
    own_stats = {kind: x[player] for kind, x in stats.items() if player in x}
    params = update.constraint(params, own_stats, state.step)
  keep = lambda new, old: jax.tree.map(
    lambda a, b: jnp.where(accepted, a, b), new, old
  )
  state = state.replace(
    params={**state.params, player: keep(params, own_params)},
    stats=keep(stats, state.stats),
    opt={**state.opt, player: keep(opt, state.opt[player])},
    guard={**state.guard, player: guard},
  )
  return state, {**terms, 'loss': loss, 'grad_norm': norm}


def _check_update(
  guard: dict[str, Array], finite: Array, norm: Array, spike: float
) -> tuple[Array, dict[str, Array]]:
  """Returns whether an update is applied, and the new state of the guard."""
  accepted, average = finite, guard['norm']
  if spike:
    accepted &= (average == 0) | (norm <= spike * average)
  mixed = jnp.where(
    average == 0, norm, _NORM_DECAY * average + (1 - _NORM_DECAY) * norm
  )
  skipped = jnp.int32(~accepted)
  return accepted, {
    'norm': jnp.where(accepted, mixed, average),
    'streak': jnp.where(accepted, 0, guard['streak'] + 1),
    'skipped': guard['skipped'] + skipped,
  }
