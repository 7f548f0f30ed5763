"""Hooks that generate clips and evaluate them during training."""

import jax
import numpy as np

from vgen_jax.inference import evaluations
from vgen_jax.inference import sampling
from vgen_jax.training import hooks
from vgen_jax.training import setup as setup_lib
from vgen_jax.training.state import TrainState


def standard() -> tuple[hooks.Hook, ...]:
  """Returns the hooks of `vgen train`: metrics, sample clips, evaluations.

  Hooks keep files open, so each run needs its own hooks.
  """
  samples = SampleClips()
  return hooks.WriteMetrics(), samples, Evaluate(samples)


class SampleClips(hooks.Hook):
  """Generates clips every `config.sample_every` steps and at the end.

  The noise and the conditions are the same each time, so that the clips show
  how the model improves. If the model is given first frames, the real clips
  are shown above the generated ones.
  """

  def __init__(self):
    self._run: hooks.Run | None = None
    self._sample: sampling.Sampler | None = None

  def on_setup(self, setup: setup_lib.Setup, workdir: str) -> None:
    self._sample = _sampler(setup)

  @property
  def sampler(self) -> sampling.Sampler | None:
    """The jitted sampler of the run; None before `on_setup`."""
    return self._sample

  def on_start(self, run: hooks.Run, state: TrainState) -> None:
    self._run = run

  def on_step(
    self, step: int, state: TrainState, *, last: bool, stopping: bool
  ) -> None:
    every = self._run.setup.settings.sample_every
    if every and not stopping and (last or step % every == 0):
      self._run.clips(step, self._clips(state))

  def _clips(self, state: TrainState) -> np.ndarray:
    """Returns float32 `[b, t, h, w, c]` in [-1, 1].

    Raises:
      FloatingPointError: If values are NaN or infinite.
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
    return video_bthwc


class Evaluate(hooks.Hook):
  """Evaluates every `config.evaluate_every` steps and at the end.

  Attributes:
    samples: Hook before this one whose sampler is used, too, so that equal
      batches are compiled once. None creates another sampler.
  """

  def __init__(self, samples: SampleClips | None = None):
    self.samples = samples
    self._run: hooks.Run | None = None
    self._evaluations: evaluations.Evaluations | None = None

  def on_setup(self, setup: setup_lib.Setup, workdir: str) -> None:
    shared = self.samples.sampler if self.samples is not None else None
    sample = _sampler(setup) if shared is None else shared
    self._evaluations = evaluations.Evaluations.of(setup, sample, workdir)

  def on_start(self, run: hooks.Run, state: TrainState) -> None:
    """Evaluates the restored state if the run was stopped before it could."""
    self._run = run
    if self._evaluations and self._evaluations.is_missing(run.first_step):
      run.evaluate(run.first_step, self._evaluations.log(state))

  def on_step(
    self, step: int, state: TrainState, *, last: bool, stopping: bool
  ) -> None:
    every = self._run.setup.settings.evaluate_every
    if every and not stopping and (last or step % every == 0):
      self._run.evaluate(step, self._evaluations.log(state))


def _sampler(setup: setup_lib.Setup) -> sampling.Sampler:
  average = setup.settings.sample_from
  return sampling.make_sampler(setup.model, average, setup.mesh)
