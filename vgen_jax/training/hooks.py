"""Hooks: what a run does in addition to training, such as evaluation.

The training loop calls the methods of each hook in the order in which the hooks
were given. It does not import evaluation or inference; the caller composes what
it wants, for example `inference.hooks.standard()`.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any

from vgen_jax.config import loading
from vgen_jax.core.types import Array
from vgen_jax.runtime import progress as progress_lib
from vgen_jax.runtime import writers
from vgen_jax.training import setup as setup_lib
from vgen_jax.training.state import TrainState


class Hook:
  """Base class of hooks; all its methods do nothing."""

  def on_setup(self, setup: setup_lib.Setup, workdir: str) -> None:
    """Called before anything is written to the workdir.

    Args:
      setup: Objects that the run consists of.
      workdir: Local or gs:// directory of the run.

    Raises:
      ValueError: If the hook does not fit the config.
    """

  def is_due(self, step: int, *, last: bool) -> bool:
    """Returns whether `on_step` does long work after a step.

    A checkpoint of the step is saved first, so that nothing is lost if the
    process is killed during the work. All processes must give the same answer.

    Args:
      step: Number of completed steps.
      last: Whether this is the last requested step.
    """
    return False

  def is_behind(self, step: int, *, last: bool) -> bool:
    """Returns whether work that was due after a step has not been done.

    This is the case if a signal stopped the run in that step. `on_start` then
    does the work, with the restored state, also in a run that has made all its
    steps. All processes must give the same answer. The arguments are those of
    `is_due`.
    """
    return False

  def on_start(self, run: 'Run', state: TrainState) -> None:
    """Called once before the first step, with the fresh or restored state."""

  def on_log(self, step: int, metrics: Mapping[str, float]) -> None:
    """Called with the metrics of a step.

    This is done every `config.log_every` steps, and before each checkpoint.
    """

  def on_step(
    self, step: int, state: TrainState, *, last: bool, stopping: bool
  ) -> None:
    """Called after each step, after `on_log` and the checkpoint.

    A hook with long work calls `Run.should_stop` regularly, and postpones its
    work to the next start if that returns True.

    Long work is done within `with run.progress.pause(name, state)`, so that its
    time does not count as training.

    Args:
      step: Number of completed steps.
      state: State after the step. The next step donates its buffers, so a hook
        must not keep it.
      last: Whether this is the last requested step.
      stopping: Whether the run stops after this step because of a signal. A
        hook should then be quick, and postpone its work to the next start.
    """

  def on_clips(
    self, step: int, video_bthwc: Array, labels: Sequence[str] = ()
  ) -> None:
    """Called with generated clips, float32 in [-1, 1], and their labels."""

  def on_evaluate(self, step: int, numbers: Mapping[str, float]) -> None:
    """Called with the results of an evaluation or a validation.

    Args:
      step: Number of completed steps.
      numbers: {'evaluation/...' or 'val/...': number}.
    """

  def close(self) -> None:
    """Called at the end, also after an error."""


@dataclasses.dataclass(frozen=True)
class Run:
  """A run in progress, through which hooks pass results to each other.

  Attributes:
    workdir: Local or gs:// directory.
    setup: Objects that the run consists of.
    first_step: Number of steps completed before this call of `train`.
    final_step: Number of the last requested step.
    hooks: All hooks of the run.
    progress: Console output.
    should_stop: Function that returns whether a signal asks the run to stop.
      All processes must call it at the same points.
  """

  workdir: str
  setup: setup_lib.Setup
  first_step: int
  final_step: int
  hooks: Sequence[Hook]
  progress: progress_lib.Progress
  should_stop: Callable[[], bool]

  def log(self, step: int, metrics: Mapping[str, float]) -> None:
    """Passes training metrics to all hooks."""
    for hook in self.hooks:
      hook.on_log(step, metrics)

  def clips(
    self, step: int, video_bthwc: Any, labels: Sequence[str] = ()
  ) -> None:
    """Passes generated clips to all hooks.

    Args:
      step: Number of completed steps.
      video_bthwc: Clips, float32 in [-1, 1].
      labels: Label of each clip; () for none.
    """
    for hook in self.hooks:
      hook.on_clips(step, video_bthwc, labels)

  def report_evaluation(self, step: int, numbers: Mapping[str, float]) -> None:
    """Passes the results of an evaluation to all hooks and the console."""
    for hook in self.hooks:
      hook.on_evaluate(step, numbers)
    self.progress.show(step, numbers)


class WriteMetrics(Hook):
  """Writes metrics and clips to the workdir, TensorBoard and W&B.

  See `runtime/writers.py` for the files.
  """

  def __init__(self):
    self._writer: writers.Writer | None = None

  @property
  def writer(self) -> writers.Writer:
    """Writer of the run; it is opened by `on_start`."""
    if self._writer is None:
      raise RuntimeError('WriteMetrics has no writer; call on_start first.')
    return self._writer

  def on_start(self, run: Run, state: TrainState) -> None:
    settings = run.setup.settings
    self._writer = writers.Writer(
      run.workdir,
      run.first_step,
      frames_per_second=run.setup.schema.frames_per_second,
      tensorboard=settings.tensorboard,
      wandb=settings.wandb,
    )
    config = loading.to_json(dataclasses.asdict(settings))
    self._writer.write_config(run.first_step, config)

  def on_log(self, step: int, metrics: Mapping[str, float]) -> None:
    self.writer.write_metrics(step, metrics)

  def on_clips(
    self, step: int, video_bthwc: Array, labels: Sequence[str] = ()
  ) -> None:
    self.writer.write_clips(step, video_bthwc, labels)

  def on_evaluate(self, step: int, numbers: Mapping[str, float]) -> None:
    self.writer.write_metrics(step, numbers)

  def close(self) -> None:
    if self._writer is not None:
      self._writer.close()
