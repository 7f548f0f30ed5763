"""The one training loop: for every family, on one device or on a pod."""

from collections.abc import Mapping, Sequence
import contextlib
import logging

from etils import epath
import jax
from ml_collections import ConfigDict

from vgen_jax.config import settings as settings_lib
from vgen_jax.core import checks
from vgen_jax.core.types import Metrics
from vgen_jax.data import pipeline
from vgen_jax.runtime import checkpoints as checkpoints_lib
from vgen_jax.runtime import preemption
from vgen_jax.runtime import profiling
from vgen_jax.runtime import progress as progress_lib
from vgen_jax.runtime import sharding
from vgen_jax.runtime import workdir as claims
from vgen_jax.training import compilation
from vgen_jax.training import frozen
from vgen_jax.training import hooks as hooks_lib
from vgen_jax.training import setup as setup_lib
from vgen_jax.training import state as state_lib

_log = logging.getLogger(__name__)


def train(
  config: ConfigDict,
  workdir: str,
  *,
  stop_at: int | None = None,
  profile: tuple[int, int] | None = None,
  hooks: Sequence[hooks_lib.Hook] = (),
) -> state_lib.TrainState:
  """Trains the model that `config` describes, from its last checkpoint if any.

  The order is a promise: build; init, born sharded; restore; then for each
  step: batch, update, log, check that all is finite, hooks, checkpoint; at
  last a final checkpoint. All hosts of a pod run this function in step; host 0
  alone writes metrics and clips.

  Args:
    config: What a file of configs/ returns. It is read here, and below this
      floor nobody sees it.
    workdir: Local or gs:// directory for checkpoints, metrics and samples. A
      run that finds checkpoints there goes on from the latest.
    stop_at: Step to leave off at, as if preempted. Not the same as a smaller
      `num_steps`, which makes schedules end sooner.
    profile: (first, last) step to trace with `jax.profiler` into
      `<workdir>/profile`.
    hooks: What the run does besides training, such as writing metrics and
      evaluating; `inference.hooks.standard()` is what `vgen train` uses.
      Without hooks only checkpoints are written.

  Returns:
    The final state, so that a notebook can go on with it. If it stopped before
    `num_steps`, its `step` tells.

  Raises:
    ValueError: If the config does not fit itself, the devices or the workdir.
    FloatingPointError: If the guard against bad updates stops the run.
    OSError: If checkpoints cannot be written, or another process trains in
      the workdir.
  """
  workdir = str(epath.Path(workdir).expanduser())
  settings = settings_lib.read(config)
  setup = setup_lib.make(settings)
  setup_lib.check_batch_size(setup)
  _check_best(setup)
  for hook in hooks:
    hook.on_setup(setup, workdir)
  claims.claim(workdir, config)
  final = settings.num_steps
  final = final if stop_at is None else min(stop_at, final)

  with contextlib.ExitStack() as stack:
    # First in, last out: a signal must not break the last write.
    preempted = stack.enter_context(preemption.Preemption())
    checkpoints = checkpoints_lib.Checkpoints(
      workdir, settings.keep, settings.best
    )
    stack.callback(checkpoints.close)
    state = first_state(setup, checkpoints)
    first = int(state.step)
    if first >= final:
      _log.info('Step %d of %s is done already.', first, workdir)
      return state
    skipped = _skipped(state)
    train_step, cost = compilation.compile_step(setup)
    _log.info('%s', cost)
    _log.info('Steps %d to %d in %s.', first, final, workdir)
    progress = stack.enter_context(
      progress_lib.Progress(
        first, final, settings.batch_size, cost.flops, setup.mesh.size
      )
    )
    batches = stack.enter_context(
      contextlib.closing(batches_from(setup, first))
    )
    trace = stack.enter_context(profiling.Trace(workdir, profile))
    run = hooks_lib.Run(workdir, setup, first, hooks, progress)
    for hook in hooks:
      stack.callback(hook.close)
      hook.on_start(run, state)
    metrics: dict[str, float] = {}
    for step in range(first + 1, final + 1):
      with trace.step(step):
        state, device_metrics = train_step(state, next(batches))
      trace.after(step, device_metrics)
      progress.advance(step)

      leaves, last = preempted.asked(step), step == final
      logs = last or step % settings.log_every == 0
      saves = last or leaves or step % settings.checkpoint_every == 0
      if logs or saves:  # Before a save: a broken run must not go on in one.
        metrics = _read(setup, step, device_metrics, batches)
        run.log(step, metrics | progress.speed())
        progress.show(step, metrics)
        _check_guard(settings, state, step, skipped)
      for hook in hooks:
        hook.on_step(step, state, last=last, leaving=leaves)
      if saves:
        checkpoints.save(step, state, metrics)
      if leaves and not last:
        _log.warning('Leaving at step %d, as asked.', step)
        break
  return state


def first_state(
  setup: setup_lib.Setup, checkpoints: checkpoints_lib.Checkpoints
) -> state_lib.TrainState:
  """Returns the latest checkpoint, or else a fresh state; born sharded."""
  if checkpoints.latest_step() is not None:
    state = checkpoints.restore(setup.state_shapes())
    frozen.check_source(setup.source, state)
    return state
  state = setup.first_state()
  still = [part for part in state.params if part not in setup.model.players]
  missing = set(still) - set(setup.settings.frozen)
  if missing:
    raise ValueError(
      f'{sorted(missing)} of {type(setup.model).__name__} do not learn, and'
      ' config.frozen does not say which run has trained them.'
    )
  settings = setup.settings
  state = frozen.restore(state, settings.frozen, settings.model)
  frozen.check_source(setup.source, state)
  return state


def batches_from(setup: setup_lib.Setup, first: int) -> pipeline.Batches:
  """Returns the iterator over batches `first`, `first + 1`, ... of a run."""
  return pipeline.batches(
    setup.source,
    batch_size=setup.settings.batch_size,
    seed=setup.settings.seed,
    first=first,
    num_workers=setup.settings.num_workers,
    faults=setup.settings.faults,
    sharding=sharding.of_batch(setup.mesh),
  )


def _check_best(setup: setup_lib.Setup) -> None:
  """Raises ValueError unless `best` is a metric of every step."""
  best = setup.settings.best.removeprefix('-')
  if best:
    known = setup.metric_names()
    if best not in known:
      raise ValueError(
        f'config.best is {best!r}, no metric of every step.'
        f'{checks.hint(best, known)}'
      )


def _read(
  setup: setup_lib.Setup, step: int, metrics: Metrics, batches: pipeline.Batches
) -> dict[str, float]:
  """Returns the metrics of the turns played in a step, learning rates, faults.

  `data/substituted` is the number of clips that this start of the run, on this
  host, has substituted so far.
  """
  values = {name: float(x) for name, x in jax.device_get(metrics).items()}
  idle = tuple(
    f'{turn.name}/' for turn in setup.model.updates if not turn.is_due(step - 1)
  )
  values = {k: x for k, x in values.items() if not k.startswith(idle or '\0')}
  for player, rate in setup.rates.items():
    if step > setup.model.start_steps[player]:
      values[f'{player}/learning_rate'] = float(rate(step - 1))
  if setup.settings.faults.policy == 'substitute':
    values['data/substituted'] = float(batches.num_substituted)
  return values


def _skipped(state: state_lib.TrainState) -> dict[str, int]:
  """Returns how many updates of each player the guard has ever skipped."""
  memory = jax.device_get(state.guard)
  return {player: int(entry['skipped']) for player, entry in memory.items()}


def _check_guard(
  settings: settings_lib.Settings,
  state: state_lib.TrainState,
  step: int,
  before: Mapping[str, int],
) -> None:
  """Raises if updates were skipped that should not, or too many in a row."""
  for player, ever in _skipped(state).items():
    skipped = ever - before[player]
    streak = int(state.guard[player]['streak'])
    raises = skipped and settings.guard.policy == 'raise'
    if raises or streak > settings.guard.max_skips:
      raise FloatingPointError(
        f'{skipped} updates of {player} up to step {step} had a loss or'
        ' gradient that was not finite, or a spike; none of them was made. The'
        ' latest checkpoint is sound. Lower the learning rate, or set'
        " config.guard.policy='skip' to go on past a few of them."
      )
