"""Train steps of configs, on a batch that stays on the device."""

from collections.abc import Callable, Mapping
import dataclasses
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.accelerator_parts import recording
from experiments.benchmarks.accelerator_parts import timing
from vgen_jax.config import build
from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.runtime import flops as flops_lib
from vgen_jax.training import optimizers as optim
from vgen_jax.training import state as state_lib
from vgen_jax.training import step as step_lib

_CONFIGS = pathlib.Path(__file__).resolve().parents[3] / 'configs'


def settings_of(
  name: str, size: str, overrides: Mapping[str, Any] | None = None
) -> settings_lib.Settings:
  """Returns the settings of a file of configs/, at one of its sizes.

  A frozen part has the spec of the config that trains it. Its parameters need
  not be trained, since speeds do not depend on them.

  Args:
    name: Name of a file of configs/.
    size: Name of one of its sizes.
    overrides: {dotted path: value} of fields to change; None for none.
  """
  config = config_lib.load(f'{_CONFIGS / name}.py:{size}')
  for part, workdir in config.get('frozen', {}).items():
    trained = pathlib.Path(workdir).name
    spec = config_lib.load(f'{_CONFIGS / trained}.py:{size}').model[part]
    config.model[part] = spec
  return settings_lib.read(config_lib.replace(config, overrides or {}))


class Model:
  """A model that a config describes, with the first clips of its data.

  Attributes:
    settings: The config, checked.
    model: The family with its networks.
    batch: `settings.batch_size` clips from the pipeline; or, if the data cannot
      have so many channels, random numbers of the clips' shape.
  """

  def __init__(self, settings: settings_lib.Settings):
    self.settings = settings
    shape = tuple(settings.clip_shape)
    is_latent = shape[-1] > 3
    pixels = (*shape[:-1], 3) if is_latent else shape
    source = build.source(settings.data, pixels)
    schema = dataclasses.replace(source.schema, clip_shape=shape)
    self.model = build.model(settings.model, schema)
    size = settings.batch_size
    clips = [source[i % len(source)] for i in range(size)]
    batch = {key: np.stack([clip[key] for clip in clips]) for key in clips[0]}
    if is_latent:
      rng = np.random.default_rng(0)
      batch['video'] = rng.standard_normal((size, *shape), np.float32)
    self.batch = batch

  def make_state(self) -> state_lib.TrainState:
    """Returns the state before the first step; for `jax.jit`."""
    few = {key: jnp.zeros((2, *x.shape[1:])) for key, x in self.batch.items()}
    few = {key: x.astype(self.batch[key].dtype) for key, x in few.items()}
    return state_lib.create(
      self.model,
      self.optimizers(),
      tuple(self.settings.ema),
      few,
      self.settings.seed,
    )

  def optimizers(self) -> dict[str, Any]:
    """Returns {player: optimizer}."""
    model, settings = self.model, self.settings
    return optim.make(
      settings.optim,
      model.players,
      settings.num_steps,
      optim.updates_per_step(model.updates),
      model.start_steps,
    )

  def pure_step(self) -> Callable:
    """Returns the step, `(state, batch) -> (state, metrics)`."""
    return step_lib.make_train_step(
      self.model, self.optimizers(), averages=self.settings.ema
    )


class Trainer:
  """A model in training, whose steps are timed.

  Attributes:
    compile_s: Seconds to compile the step.
    planned_gib: Memory that the compiler plans for a step, state included; None
      if it does not report it.
    num_params: Number of parameters.
  """

  def __init__(self, model: Model):
    """Compiles the step and creates the state."""
    device = jax.devices()[0]
    self._batch = jax.device_put(model.batch, device)
    shapes = jax.eval_shape(model.make_state)
    step = jax.jit(model.pure_step(), donate_argnums=0)
    lowered = step.lower(shapes, self._batch)
    begun = time.perf_counter()
    self._step = lowered.compile()
    self.compile_s = time.perf_counter() - begun
    memory = flops_lib.memory(self._step)
    self.planned_gib = memory['total'] / timing.GIB if memory else None
    self.num_params = sum(x.size for x in jax.tree.leaves(shapes.params))
    self.state = jax.jit(model.make_state)()

  def run(self, steps: int) -> dict[str, jax.Array]:
    """Runs steps, waits for them, and returns the metrics of the last one."""
    for _ in range(steps):
      self.state, metrics = self._step(self.state, self._batch)
    jax.block_until_ready((self.state, metrics))
    return metrics


def condition_of(model: Model, num_clips: int) -> dict[str, Any]:
  """Returns the condition from which a model generates the first clips."""
  family, batch = model.model, model.batch
  condition = {
    key: batch[key][:num_clips] for key in family.condition_keys if key in batch
  }
  if family.num_known:
    video = batch['video'][:num_clips].astype(np.float32) / 127.5 - 1
    known = np.arange(video.shape[1]) < family.num_known
    shape = (*video.shape[:4], 1)
    condition['known_video'] = video
    condition['known'] = np.broadcast_to(known[:, None, None, None], shape)
  return condition


def measure_largest(
  recorder: recording.Recorder,
  title: str,
  settings: Callable[[int], settings_lib.Settings],
  batch_size: int,
  *,
  needs: float = 0.0,
  **options: Any,
) -> None:
  """Measures a train step; with half or a quarter of the clips if necessary.

  Args:
    recorder: Recorder of the results.
    title: Name of the result, without the batch size.
    settings: Function that returns the settings for a batch size.
    batch_size: First number of clips; it is halved if memory is too small.
    needs: Seconds that it needs; with less time left, it is skipped.
    **options: Arguments of `measure`.
  """
  for divisor in (1, 2, 4):
    count = max(batch_size // divisor, 1)
    recorder.measure(
      f'{title}, batch {count}',
      lambda count=count: measure(Model(settings(count)), **options),
      needs=needs,
    )
    # Memory of one model should not count as memory of the next.
    jax.clear_caches()
    if recorder.last_status != 'out_of_memory':
      return


def useful_flops(settings: settings_lib.Settings) -> int:
  """Returns the operations of a step, without those that remat repeats.

  The operations are counted in the jaxpr with XLA's attention, whose products
  are visible there on every device.
  """
  spec = _replaced(settings.model, {'remat': 'none', 'implementation': 'xla'})
  model = Model(dataclasses.replace(settings, model=spec))
  shapes = jax.eval_shape(model.make_state)
  return flops_lib.count(model.pure_step(), shapes, model.batch)


def measure(
  model: Model,
  ceiling: float | None = None,
  seconds: float = 1.5,
) -> dict[str, Any]:
  """Returns speed and memory of a train step, {name with a unit: number}.

  Args:
    model: Model to train.
    ceiling: Measured operations per second of a large product.
    seconds: Duration of the measurement, without compilation.
  """
  device = jax.devices()[0]
  peak = timing.Peak(device)
  trainer = Trainer(model)
  trainer.run(2)
  begun = time.perf_counter()
  trainer.run(1)
  repeats = 3
  count = timing.calls_per_repeat(
    time.perf_counter() - begun, seconds / repeats
  )
  step_s = timing.interleaved({'': trainer.run}, count, repeats)['']
  rate = useful_flops(model.settings) / step_s
  stated = flops_lib.peak_flops(device)
  return {
    'batch_size': model.settings.batch_size,
    'params_M': trainer.num_params / 1e6,
    'ms': 1e3 * step_s,
    'clips_per_s': model.settings.batch_size / step_s,
    'tflops': rate / 1e12,
    'mfu': rate / stated if stated else None,
    'of_measured_product': rate / ceiling if ceiling else None,
    'planned_GiB': trainer.planned_gib,
    'peak_GiB': peak.gib(),
    'compile_s': trainer.compile_s,
  }


def _replaced(spec: Any, values: Mapping[str, Any]) -> Any:
  """Returns nested dicts in which the values of some keys are replaced."""
  if not isinstance(spec, Mapping):
    return spec
  return {
    key: values[key] if key in values else _replaced(value, values)
    for key, value in spec.items()
  }
