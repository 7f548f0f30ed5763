"""Hooks that generate clips and evaluate them during training."""

import jax
from jax.experimental import multihost_utils
import numpy as np

from vgen_jax.data import pipeline
from vgen_jax.inference import evaluations
from vgen_jax.inference import journal
from vgen_jax.inference import real_clips
from vgen_jax.inference import sampling
from vgen_jax.inference import start_summary
from vgen_jax.inference import validation
from vgen_jax.runtime import writers
from vgen_jax.training import hooks
from vgen_jax.training import setup as setup_lib
from vgen_jax.training.state import TrainState


def standard() -> tuple[hooks.Hook, ...]:
  """Returns the hooks of `vgen train`.

  These hooks record the process, log its devices and model, write metrics,
  generate sample clips, compute validation losses and evaluate.

  Hooks keep files open, so each run needs its own hooks.
  """
  samples = SampleClips()
  return (
    journal.Journal(),
    start_summary.LogStart(),
    hooks.WriteMetrics(),
    samples,
    Validate(),
    Evaluate(samples),
  )


class SampleClips(hooks.Hook):
  """Generates clips every `config.sample_every` steps and at the end.

  The noise and the conditions are the same each time, so that the clips show
  how the model improves. If the model is given first frames, the real clips
  are shown above the generated ones.
  """

  def __init__(self):
    self._run: hooks.Run | None = None
    self._sample: sampling.Sampler | None = None
    self._every = 0
    self._workdir = ''

  def on_setup(self, setup: setup_lib.Setup, workdir: str) -> None:
    self._sample = _sampler(setup)
    self._every = setup.settings.sample_every
    self._workdir = workdir

  @property
  def sampler(self) -> sampling.Sampler | None:
    """The jitted sampler of the run; None before `on_setup`."""
    return self._sample

  def is_due(self, step: int, *, last: bool) -> bool:
    return _is_due(self._every, step, last)

  def is_behind(self, step: int, *, last: bool) -> bool:
    return self.is_due(step, last=last) and not _on_all_hosts(
      writers.has_clips(self._workdir, step)
    )

  def on_start(self, run: hooks.Run, state: TrainState) -> None:
    """Generates the clips of the restored step if the run was stopped there."""
    self._run = run
    step = run.first_step
    is_behind = self.is_behind(step, last=step == run.final_step)
    if is_behind and not run.should_stop():
      self._write_clips(step, state)

  def on_step(
    self, step: int, state: TrainState, *, last: bool, stopping: bool
  ) -> None:
    is_due = self.is_due(step, last=last)
    if is_due and not stopping and not self._run.should_stop():
      self._write_clips(step, state)

  def _write_clips(self, step: int, state: TrainState) -> None:
    with self._run.progress.pause('sampling', state):
      self._run.clips(step, *self._clips(state))

  def _clips(self, state: TrainState) -> tuple[np.ndarray, list[str]]:
    """Returns generated clips, and the names of their classes.

    Clips are float32 `[b, t, h, w, c]` in [-1, 1]. If the model is given first
    frames, the real clips are above the generated ones, so h is twice the
    height.

    Raises:
      FloatingPointError: If generated values are NaN or infinite.
    """
    setup = self._run.setup
    num = setup.settings.num_samples
    key_b = sampling.clip_keys(setup.settings.seed, num)
    condition = sampling.conditions(setup.model, setup.source, num)
    samples = self._sample(state, key_b, condition)
    video_bthwc = np.asarray(jax.device_get(samples))
    sampling.check_finite(video_bthwc)
    if 'known_video' in condition:
      known_bthwc = condition['known_video']
      video_bthwc = np.concatenate([known_bthwc, video_bthwc], axis=2)
    return video_bthwc, sampling.label_names(setup.source.schema, condition)


class Validate(hooks.Hook):
  """Computes losses every `config.validate_every` steps and at the end.

  Clips and noise are the same each time. The losses are those of the parameters
  that samples are generated from; they are logged as 'val/loss', or as
  'val/<player>/loss' if the model has several players.
  """

  def __init__(self):
    self._run: hooks.Run | None = None
    self._source: pipeline.Source | None = None
    self._losses: validation.Losses | None = None
    self._workdir = ''
    self._every = 0

  def on_setup(self, setup: setup_lib.Setup, workdir: str) -> None:
    settings = setup.settings
    self._workdir, self._every = workdir, settings.validate_every
    if self._every:
      self._source = real_clips.validation_split(settings, setup.source)
      self._losses = validation.make_losses(
        setup.model, settings.sample_from, setup.mesh
      )

  def is_due(self, step: int, *, last: bool) -> bool:
    return _is_due(self._every, step, last)

  def is_behind(self, step: int, *, last: bool) -> bool:
    return self.is_due(step, last=last) and not _on_all_hosts(
      writers.has_values(self._workdir, step, 'val/')
    )

  def on_start(self, run: hooks.Run, state: TrainState) -> None:
    """Validates the restored state if a due validation was not made."""
    self._run = run
    step = run.first_step
    if self.is_behind(step, last=step == run.final_step):
      self._validate(step, state)

  def on_step(
    self, step: int, state: TrainState, *, last: bool, stopping: bool
  ) -> None:
    if self.is_due(step, last=last) and not stopping:
      self._validate(step, state)

  def _validate(self, step: int, state: TrainState) -> None:
    """Validates a state, unless a signal stops the validation."""
    run, settings = self._run, self._run.setup.settings
    with run.progress.pause('validation', state):
      losses = validation.mean_losses(
        self._losses,
        state,
        self._source,
        settings,
        num_clips=settings.validate_clips,
        batch_size=min(settings.batch_size, settings.validate_clips),
        seed=settings.seed,
        stop=run.should_stop,
      )
    if not losses:  # A signal has stopped it.
      return
    players = run.setup.model.players
    only = f'{players[0]}/' if len(players) == 1 else ''
    run.report_evaluation(
      step, {f'val/{k.removeprefix(only)}': x for k, x in losses.items()}
    )


class Evaluate(hooks.Hook):
  """Evaluates every `config.evaluate_every` steps and at the end.

  Attributes:
    samples: Earlier hook whose sampler this one also uses, so that the sampler
      is compiled once for batches of one shape. None creates another sampler.
  """

  def __init__(self, samples: SampleClips | None = None):
    self.samples = samples
    self._run: hooks.Run | None = None
    self._evaluations: evaluations.Evaluations | None = None
    self._every = 0

  def on_setup(self, setup: setup_lib.Setup, workdir: str) -> None:
    shared = self.samples.sampler if self.samples is not None else None
    sample = _sampler(setup) if shared is None else shared
    self._every = setup.settings.evaluate_every
    self._evaluations = evaluations.Evaluations.of(setup, sample, workdir)

  def is_due(self, step: int, *, last: bool) -> bool:
    return _is_due(self._every, step, last)

  def is_behind(self, step: int, *, last: bool) -> bool:
    return self.is_due(step, last=last) and not _on_all_hosts(
      self._evaluations.is_logged(step)
    )

  def on_start(self, run: hooks.Run, state: TrainState) -> None:
    """Evaluates the restored state if a due evaluation was not made."""
    self._run = run
    step = run.first_step
    if self.is_behind(step, last=step == run.final_step):
      self._evaluate(step, state)

  def on_step(
    self, step: int, state: TrainState, *, last: bool, stopping: bool
  ) -> None:
    if self.is_due(step, last=last) and not stopping:
      self._evaluate(step, state)

  def _evaluate(self, step: int, state: TrainState) -> None:
    """Evaluates a state, unless a signal stops the evaluation."""
    with self._run.progress.pause('evaluation', state):
      numbers = self._evaluations.log(state, self._run.should_stop)
    if numbers is not None:
      self._run.report_evaluation(step, numbers)


def _sampler(setup: setup_lib.Setup) -> sampling.Sampler:
  average = setup.settings.sample_from
  return sampling.make_sampler(setup.model, average, setup.mesh)


def _is_due(every: int, step: int, last: bool) -> bool:
  """Returns whether work that is done periodically and at the end is due."""
  return bool(every and step) and (last or step % every == 0)


def _on_all_hosts(value: bool) -> bool:
  """Returns the value of the first host, which writes the files of a run."""
  if jax.process_count() == 1:
    return value
  return bool(multihost_utils.broadcast_one_to_all(np.array(value)))
