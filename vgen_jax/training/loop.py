"""The training loop, for every family, on one device or on a pod."""

from collections.abc import Sequence
import contextlib
import logging

import jax
from ml_collections import ConfigDict

from vgen_jax.config import classes
from vgen_jax.config import settings as settings_lib
from vgen_jax.core import checks
from vgen_jax.core import file_paths
from vgen_jax.core.types import Metrics
from vgen_jax.data import batch_iterator
from vgen_jax.data import data_report
from vgen_jax.data import pipeline
from vgen_jax.data import run_schema
from vgen_jax.runtime import checkpoints as checkpoints_lib
from vgen_jax.runtime import preemption
from vgen_jax.runtime import profiling
from vgen_jax.runtime import progress as progress_lib
from vgen_jax.runtime import sharding
from vgen_jax.runtime import workdir as workdir_lib
from vgen_jax.runtime.pod import agreement
from vgen_jax.training import compilation
from vgen_jax.training import frozen
from vgen_jax.training import guard
from vgen_jax.training import hooks as hooks_lib
from vgen_jax.training import initial_weights
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
  preempted: preemption.Preemption | None = None,
) -> state_lib.TrainState:
  """Trains the model that `config` describes, and returns the final state.

  The order of operations is guaranteed: build the objects; create the first
  state, sharded; restore the latest checkpoint; then for each step: get a
  batch, update, log, check that all values are finite, save a checkpoint, call
  the hooks. A checkpoint is also saved before a hook does long work, such as an
  evaluation, and at the end. A signal stops the run after the step, and
  evaluations between two batches of clips; samples and evaluations that were
  due are computed when the run is resumed. All processes of a pod must call
  this function at the same point; only process 0 writes metrics and clips.

  Args:
    config: Config as a file of configs/ returns it.
    workdir: Local or gs:// directory for checkpoints, metrics and samples. If
      it has checkpoints, the run resumes from the latest.
    stop_at: Step after which to stop, as if preempted. It differs from a
      smaller `num_steps`, which makes schedules end earlier.
    profile: (first, last) step to trace with `jax.profiler` into
      `<workdir>/profile`.
    hooks: What the run does in addition to training, such as writing metrics
      and evaluating; `vgen train` uses `inference.hooks.standard()`. Without
      hooks only checkpoints are written.
    preempted: Receives signals; its `has_stopped` is set if one of them stopped
      the run before its end. None creates an object of this call.

  Returns:
    State after the last step; its `step` is smaller than `num_steps` if the run
    was stopped.

  Raises:
    ValueError: If fields of the config contradict each other or do not fit the
      devices or the workdir, or processes have different configs or data.
    FloatingPointError: If the guard against harmful updates stops the run.
    OSError: If checkpoints cannot be written, or another run is using the
      workdir.
  """
  workdir = file_paths.expanded(workdir)
  agreement.check({'config': config.to_dict(), 'stop_at': stop_at})
  settings = frozen.with_tokenizer(settings_lib.read(config))
  workdir_lib.check(workdir, settings)
  recorded = workdir_lib.recorded_schema(workdir)
  setup = setup_lib.make(settings, recorded, workdir)
  data_report.check(settings.data, setup.data, setup.model)
  agreement.check({'code of classes': classes.code_of_others(config.to_dict())})
  agreement.check_data(lambda: setup.source, 'data')
  setup_lib.check_batch_size(setup)
  _check_best(setup)
  for hook in hooks:
    hook.on_setup(setup, workdir)
  final = settings.num_steps
  final = final if stop_at is None else min(stop_at, final)

  with contextlib.ExitStack() as stack:
    stack.enter_context(workdir_lib.locked(workdir))
    before = workdir_lib.claim(workdir, settings)
    if not setup.data.is_recorded:
      run_schema.write(workdir, setup.data.record)
    data_report.log(setup.data, setup.model)
    # Closed last, so that a signal does not interrupt the last write.
    preempted = stack.enter_context(preempted or preemption.Preemption())
    checkpoints = checkpoints_lib.Checkpoints(
      workdir, settings.keep, settings.best
    )
    stack.callback(checkpoints.close)
    agreement.check({'latest checkpoint': checkpoints.latest_step()})
    state = restore_or_init(setup, checkpoints)
    first = int(state.step)
    is_behind = _is_behind(hooks, first, final)
    if first >= final and not is_behind:
      _log.info('The run in %s has made %d steps already.', workdir, first)
      return state
    compiled = compilation.compile_step(setup) if first < final else None
    flops = compiled[1].flops if compiled else 0.0
    progress = stack.enter_context(
      progress_lib.Progress(
        first, final, settings.batch_size, flops, setup.mesh.size
      )
    )
    run = hooks_lib.Run(
      workdir, setup, first, final, hooks, progress, preempted.should_stop
    )
    for hook in hooks:
      stack.callback(hook.close)
      hook.on_start(run, state)
    stopping = is_behind and preempted.should_stop()
    if compiled is None or stopping:
      _stop(preempted, hooks, first, final, stopping)
      return state
    train_step, cost = compiled
    _log.info('%s', cost)
    _log.info('Training from step %d to %d in %s.', first, final, workdir)
    for change in setup_lib.rate_changes(setup, before, first):
      _log.info('%s', change)
    skipped = guard.num_skipped(state)
    batches = stack.enter_context(
      contextlib.closing(batches_from(setup, first))
    )
    trace = stack.enter_context(profiling.Trace(workdir, profile))
    metrics: dict[str, float] = {}
    for step in range(first + 1, final + 1):
      with trace.step(step):
        state, device_metrics = train_step(state, next(batches))
      trace.after(step, device_metrics)
      progress.advance(step)

      stopping, last = preempted.should_stop(), step == final
      is_due = any([hook.is_due(step, last=last) for hook in hooks])
      logs = last or step % settings.log_every == 0
      saves = last or stopping or step % settings.checkpoint_every == 0
      saves = saves or is_due
      if logs or saves:  # The guard must be checked before each checkpoint.
        metrics = _read(setup, step, device_metrics, batches)
        run.log(step, metrics | progress.speed())
        progress.show(step, metrics)
        guard.check(settings.guard, state, step, skipped)
      if saves:  # Before the hooks, which may take longer than a signal allows.
        with progress.pause('checkpoint', state):
          checkpoints.save(step, state, metrics)
      for hook in hooks:
        hook.on_step(step, state, last=last, stopping=stopping)
      if stopping or (is_due and preempted.should_stop()):
        _stop(preempted, hooks, step, final, True)
        break
    _log.info('Time: %s.', progress.summary())
  return state


def _is_behind(hooks: Sequence[hooks_lib.Hook], step: int, final: int) -> bool:
  """Returns whether a hook has not done the work that was due after a step."""
  # All hooks are asked, because their processes may communicate.
  return any([hook.is_behind(step, last=step == final) for hook in hooks])


def _stop(
  preempted: preemption.Preemption,
  hooks: Sequence[hooks_lib.Hook],
  step: int,
  final: int,
  stopping: bool,
) -> None:
  """Records that a signal has stopped the run, unless it is complete."""
  if stopping and (step < final or _is_behind(hooks, step, final)):
    preempted.has_stopped = True
    _log.warning('Stopped after step %d because of a signal.', step)


def restore_or_init(
  setup: setup_lib.Setup, checkpoints: checkpoints_lib.Checkpoints
) -> state_lib.TrainState:
  """Returns the latest checkpoint, or the first state if there is none.

  Raises:
    ValueError: If a frozen part or the tokenizer of encoded clips is not that
      of the config, a part is neither trained nor frozen, or the weights that
      config.init names do not fit.
  """
  if checkpoints.latest_step() is not None:
    state = checkpoints.restore(setup.state_shapes())
    frozen.check_source(setup.source, state)
    return state
  settings = setup.settings
  state, given = initial_weights.restore(setup.first_state(), settings.init)
  untrained = [p for p in state.params if p not in setup.model.players]
  missing = set(untrained) - set(settings.frozen) - set(given)
  if missing:
    raise ValueError(
      f'{type(setup.model).__name__} does not train its parts'
      f' {sorted(missing)}, and config.frozen does not name runs that have'
      ' trained them; add {part: workdir} for each.'
    )
  state = frozen.restore(state, settings.frozen, settings.model)
  frozen.check_source(setup.source, state)
  return state


def batches_from(setup: setup_lib.Setup, first: int) -> batch_iterator.Batches:
  """Returns an iterator over the batches of a run.

  Args:
    setup: Setup of the run.
    first: Index of the first batch; batch i is used in step i + 1.
  """
  return pipeline.batches(
    setup.source,
    batch_size=setup.settings.batch_size,
    seed=setup.settings.seed,
    first=first,
    reader=pipeline.Reader(num_workers=setup.settings.num_workers),
    faults=setup.settings.faults,
    sharding=sharding.of_batch(setup.mesh),
  )


def _check_best(setup: setup_lib.Setup) -> None:
  """Raises ValueError unless `best` names a metric that every step has."""
  best = setup.settings.best.removeprefix('-')
  if best:
    known = setup.metric_names()
    if best not in known:
      raise ValueError(
        f'config.best is {best!r}; it must be a metric that every step has.'
        f'{checks.hint(best, known)}'
      )


def _read(
  setup: setup_lib.Setup,
  step: int,
  metrics: Metrics,
  batches: batch_iterator.Batches,
) -> dict[str, float]:
  """Returns the metrics of a step as numbers, with learning rates.

  Metrics of updates that were not due are left out. If unreadable clips are
  substituted, `data/substituted` is their number since this process started, on
  this host.
  """
  values = {name: float(x) for name, x in jax.device_get(metrics).items()}
  not_due = tuple(
    f'{u.name}/' for u in setup.model.updates if not u.is_due(step - 1)
  )
  values = {k: x for k, x in values.items() if not k.startswith(not_due)}
  for player, rate in setup.rates.items():
    if step > setup.model.start_steps[player]:
      values[f'{player}/learning_rate'] = float(
        jax.numpy.asarray(rate(step - 1))
      )
  if setup.settings.faults.policy == 'substitute':
    values['data/substituted'] = float(batches.num_substituted)
  return values
