"""Training runs of base sizes with the pipeline, evaluated at the end.

Each run gets a fraction of the time. It measures the data loader and the speed
of a step, trains until its time is over, generates clips, and evaluates.
Warm-up is short. The rest of the schedule is that of the config, so that the
step is compiled once; in a few minutes the learning rate hardly decays. So the
results are those of the first minutes, not those of a complete run of the
config.
"""

from collections.abc import Callable, Mapping
import os
import pathlib
import signal
import time
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from experiments.benchmarks.accelerator_parts import loader
from experiments.benchmarks.accelerator_parts import recording
from vgen_jax.config import loading as config_lib
from vgen_jax.inference import hooks
from vgen_jax.inference import runs as runs_lib
from vgen_jax.runtime import writers
from vgen_jax.training import hooks as training_hooks
from vgen_jax.training import loop

_CONFIGS = pathlib.Path(__file__).resolve().parents[3] / 'configs'


class Run(NamedTuple):
  """A run to train: a config at size base, and the metrics that fit its data.

  `metrics` is used where the config does not say what to evaluate.

  Attributes:
    config: Name of a file of configs/, used at size base.
    metrics: Metrics that fit its data, unless the config states some.
  """

  config: str
  metrics: tuple[str, ...]


RUNS = (
  Run('dit_world', ('verifier',)),
  Run('mocogan_world', ('verifier',)),
  Run('unet3d_digits', ('digits',)),
)
_SHARES = (0.6, 0.5, 1.0)  # Of the time that is left when a run begins.
_ALONE_S = 180.0  # With less, the first run takes all of it.
_LEAST_S = 45.0  # With less, a run is not started.
_LOADER_S = 8.0  # Longest measurement of the loader.
_FOR_EVALUATION = 0.3  # Fraction of the time of a run.
_WARMUP_STEPS = 100
_TINY_STEPS = 500
_NUM_CLIPS = 128  # To evaluate.
_NUM_SHOWN = 16


def main(recorder: recording.Recorder) -> None:
  """Writes the results of this part."""
  least = 1.0 if recorder.tiny else _LEAST_S
  all_runs = RUNS[:1] if recorder.tiny else RUNS
  for number, run in enumerate(all_runs):
    seconds = seconds_for(number, recorder.left())
    end = time.monotonic() + seconds
    title = f'{run.config}:{"smoke" if recorder.tiny else "base"}'
    if seconds < least:
      note = f'{seconds:.0f} s are too few for it.'
      recorder.write(title, status='skipped', note=note)
      continue
    _train_and_evaluate(recorder, run, title, end)
    jax.clear_caches()


def seconds_for(number: int, left: float) -> float:
  """Returns the seconds of a run, given its number and the time left."""
  return left if number == 0 and left < _ALONE_S else _SHARES[number] * left


def _train_and_evaluate(
  recorder: recording.Recorder, run: Run, title: str, end: float
) -> None:
  """Writes the results of a run that should end before a given time."""
  config = config_of(run, recorder.tiny)
  seconds = end - time.monotonic()
  speed = recorder.measure(
    f'{title}, data loader',
    lambda: loader.wait(config, min(_LOADER_S, 0.1 * seconds)),
  )
  if speed is None:
    return
  for_training = end - time.monotonic() - _FOR_EVALUATION * seconds
  log_every = max(int(1e3 / speed['step_from_loader_ms']), 1)
  log_every = min(log_every, config.num_steps)
  config = config_lib.replace(config, {'log_every': log_every})
  workdir = recorder.out / run.config
  trained = recorder.measure(
    f'{title}, training', lambda: train(config, workdir, for_training)
  )
  if trained is None:
    return
  recorder.measure(
    f'{title}, clips', lambda: clips(workdir, min(64, config.batch_size))
  )
  recorder.measure(
    f'{title}, evaluation',
    lambda: evaluate(workdir, config, run, lambda: time.monotonic() > end),
  )


def config_of(run: Run, tiny: bool) -> ConfigDict:
  """Returns the config of a run that is only saved at its end.

  The tiny run ends after 500 steps, unless its time is over before. There is
  not enough time for all steps of the others.
  """
  size = 'smoke' if tiny else 'base'
  config = config_lib.load(f'{_CONFIGS / run.config}.py:{size}')
  num_steps = _TINY_STEPS if tiny else config.num_steps
  overrides = {
    'mesh.data': 1,
    'tensorboard': False,
    'num_steps': num_steps,
    'sample_every': 0,
    'evaluate_every': 0,
    'checkpoint_every': num_steps,
  }
  warmup = config.optim.schedule.get('warmup_steps')
  if warmup is not None:
    overrides['optim.schedule.warmup_steps'] = min(warmup, _WARMUP_STEPS)
  return config_lib.replace(config, overrides)


def train(
  config: ConfigDict, workdir: pathlib.Path, seconds: float
) -> dict[str, Any]:
  """Trains a run, and returns its speed and its last losses.

  When the time is over, SIGTERM makes the loop save and stop, as before a
  preemption.

  Args:
    config: Config of the run.
    workdir: Directory of the run.
    seconds: Time after which the run is stopped.
  """
  end = time.monotonic() + seconds
  losses: dict[str, float] = {}

  class StopInTime(training_hooks.Hook):
    """Keeps the last losses, and stops the run when its time is over."""

    def on_log(self, step: int, metrics: Mapping[str, float]) -> None:
      losses.clear()
      losses.update({k: x for k, x in metrics.items() if k.endswith('/loss')})
      if time.monotonic() > end and step < config.num_steps:
        os.kill(os.getpid(), signal.SIGTERM)

  begun = time.monotonic()
  state = loop.train(
    config, str(workdir), hooks=[*hooks.standard(), StopInTime()]
  )
  lines = writers.read_metrics(str(workdir))
  rates = [x['steps_per_second'] for x in lines if 'steps_per_second' in x]
  return {
    'steps': int(state.step),
    'seconds': time.monotonic() - begun,
    'last_steps_per_s': rates[-1] if rates else None,
    'last_clips_per_s': rates[-1] * config.batch_size if rates else None,
    **losses,
  }


def clips(workdir: pathlib.Path, num_clips: int) -> dict[str, Any]:
  """Writes generated clips to `samples/` in the directory of the run."""
  run = runs_lib.load(str(workdir))
  begun = time.monotonic()
  video = run.sample(num_clips)  # As many as the evaluation, at a time.
  seconds = time.monotonic() - begun
  rate = run.schema.frames_per_second
  shown = video[:_NUM_SHOWN]
  files = writers.save_clips(workdir / 'samples', str(run.step), shown, rate)
  return {
    'num_clips': len(video),
    'seconds': seconds,
    'files': [str(file.relative_to(workdir.parent)) for file in files.values()],
  }


def evaluate(
  workdir: pathlib.Path,
  config: ConfigDict,
  run: Run,
  is_late: Callable[[], bool],
) -> dict[str, Any]:
  """Returns the metrics of a run, and those of real clips.

  Args:
    workdir: Directory of the run.
    config: Config of the run.
    run: Run, which states the metrics.
    is_late: Function that returns whether the time is over.

  Raises:
    TimeoutError: If the time is over before the evaluation has ended.
  """
  options = config.get('evaluation', {})
  metrics = options.get('metrics', run.metrics)
  num_clips = min(_NUM_CLIPS, 4 * config.batch_size)
  found = runs_lib.load(str(workdir))
  result = found.evaluate(metrics, num_clips, stop=is_late)
  if result is None:
    raise TimeoutError(
      'The evaluation did not end in the time left; use more --minutes.'
    )
  values = {'num_clips': num_clips}
  for name, value in result.metrics.items():
    if value.value is not None:
      values[name] = value.value
      if value.real is not None:
        values[f'{name} (real)'] = value.real
  return values


if __name__ == '__main__':
  main(recording.Recorder.from_command_line(__doc__))
