"""Setup: the objects that a run consists of, built from its settings."""

from collections.abc import Callable
import dataclasses
from typing import Any

import jax
from jax.sharding import Mesh
import optax

from vgen_jax.config import build
from vgen_jax.config import settings as settings_lib
from vgen_jax.core.types import Schema
from vgen_jax.data import encoded
from vgen_jax.data import pipeline
from vgen_jax.data import run_data
from vgen_jax.data import run_schema
from vgen_jax.families.base import VideoModel
from vgen_jax.nn import batch_sharding
from vgen_jax.runtime import sharding
from vgen_jax.training import averages
from vgen_jax.training import frozen
from vgen_jax.training import optimizers as optim
from vgen_jax.training import state as state_lib
from vgen_jax.training import step as step_lib


@dataclasses.dataclass(frozen=True)
class Setup:
  """The objects that a run consists of.

  Attributes:
    settings: Settings of the run.
    data: Clips to train on, with their schema.
    model: Model with its networks.
    optimizers: {player: optimizer}.
    rates: {player: function from step to learning rate}.
    mesh: Mesh of devices.
    init: Pure function that returns the first state, for `jax.jit` and
      `jax.eval_shape`.
    state_sharding: Shardings of a state.
    batch: Shapes of a batch, {key: ShapeDtypeStruct}.
  """

  settings: settings_lib.Settings
  data: run_data.RunData
  model: VideoModel
  optimizers: dict[str, optax.GradientTransformation]
  rates: dict[str, optax.Schedule]
  mesh: Mesh
  init: Callable[[], state_lib.TrainState]
  state_sharding: Any
  batch: dict[str, jax.ShapeDtypeStruct]

  @property
  def source(self) -> pipeline.Source:
    """Source of the clips to train on; it is opened when it is first used."""
    return self.data.source

  @property
  def schema(self) -> Schema:
    """Schema of the clips that the model is for."""
    return self.data.schema

  def over_pixels(self) -> 'Setup':
    """Returns the setup with the original clips, if the data has only codes."""
    if not isinstance(self.source, encoded.Encoded):
      return self
    manifest = self.source.manifest
    data = dict(manifest.data)
    if 'split' in self.settings.data:
      data['split'] = manifest.split
    settings = dataclasses.replace(self.settings, data=data)
    original = self.source.original
    record = self.data.record
    record.check(
      original.schema,
      'Clips were encoded with',
      run_data.describe(settings),
      rate=False,
    )
    data = run_data.RunData.of(settings, original, record)
    return dataclasses.replace(self, settings=settings, data=data)

  def train_step(self) -> jax.stages.Wrapped:
    """Returns the jitted step; a call donates the buffers of the old state."""
    return jax.jit(
      self.pure_step(),
      donate_argnums=0,
      in_shardings=(self.state_sharding, sharding.of_batch(self.mesh)),
      out_shardings=(self.state_sharding, None),
    )

  def pure_step(self) -> step_lib.TrainStep:
    """Returns the step as a pure function."""
    step = step_lib.make_train_step(
      self.model,
      self.optimizers,
      averages=self.settings.ema,
      accumulate=self.settings.accumulate,
      spike=self.settings.guard.spike,
    )
    return batch_sharding.on_mesh(self.mesh, step)

  def metric_names(self) -> list[str]:
    """Returns the names of the metrics that every step has."""
    _, metrics = jax.eval_shape(
      self.pure_step(), self.state_shapes(), self.batch
    )
    rare = tuple(f'{u.name}/' for u in self.model.updates if u.skips_steps)
    return sorted(name for name in metrics if not name.startswith(rare))

  def first_state(self) -> state_lib.TrainState:
    """Returns the state before the first step, created sharded."""
    options = {}
    if jax.default_backend() == 'cpu':
      # It runs once, so half a minute of optimization would not pay.
      options = {
        'xla_backend_optimization_level': 0,
        'xla_llvm_disable_expensive_passes': True,
      }
    make_state = jax.jit(
      self.init, out_shardings=self.state_sharding, compiler_options=options
    )
    return make_state()

  def state_shapes(self) -> state_lib.TrainState:
    """Returns the shapes, dtypes and shardings of a state."""
    return jax.tree.map(
      lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
      jax.eval_shape(self.init),
      self.state_sharding,
    )


def make(
  settings: settings_lib.Settings,
  recorded: run_schema.RunSchema | None = None,
  workdir: str = '',
) -> Setup:
  """Returns the setup of a run; the first state is traced, not computed.

  Args:
    settings: Settings of the run.
    recorded: Schema from the workdir of a run that has been trained. With it,
      no data is opened. None opens the data and takes their schema.
    workdir: Directory of the run, for messages.

  Raises:
    ValueError: If fields contradict each other or do not fit the devices.
  """
  settings = frozen.with_tokenizer(settings)
  mesh = sharding.make_mesh(settings.mesh)
  data = run_data.RunData(settings, recorded, workdir)
  batch = data.record.batch(settings.batch_size)
  if 'video' not in batch and frozen.TOKENIZER not in settings.frozen:
    raise ValueError(
      f'config.data has clips with {sorted(batch)}, without video; they are for'
      ' a model with a frozen tokenizer. Name the run of the tokenizer in'
      f' config.frozen.{frozen.TOKENIZER}.'
    )
  model = build.model(settings.model, data.schema)
  averages.check(settings.ema)
  players, steps = model.players, settings.num_steps
  updates, starts = optim.updates_per_step(model.updates), model.start_steps
  optimizers = optim.make(settings.optim, players, steps, updates, starts)
  rates = optim.schedules(settings.optim, players, steps, starts)
  small_batch = data.record.batch(2)

  def init() -> state_lib.TrainState:
    return state_lib.create(
      model,
      optimizers,
      tuple(settings.ema),
      jax.tree.map(lambda x: jax.numpy.zeros(x.shape, x.dtype), small_batch),
      settings.seed,
    )

  state_sharding = sharding.of_state(
    mesh, jax.eval_shape(init), sharding.rules_of(model)
  )
  return Setup(
    settings, data, model, optimizers, rates, mesh, init, state_sharding, batch
  )


def check_batch_size(setup: Setup) -> None:
  """Raises ValueError unless a batch can be split as the settings require.

  The batch is split among devices, repeated updates and micro-batches.
  """
  batch_size = setup.settings.batch_size
  accumulate = setup.settings.accumulate
  devices = sharding.num_batch_shards(setup.mesh)
  if batch_size % (devices * accumulate):
    raise ValueError(
      f'config.batch_size is {batch_size}; it must be a multiple of the'
      f' {devices} devices among which it is split (mesh axes data x fsdp)'
      + (f' times config.accumulate, {accumulate}.' if accumulate > 1 else '.')
    )
  for update in setup.model.updates:
    parts = devices * update.times * accumulate
    if batch_size % parts:
      raise ValueError(
        f'config.batch_size is {batch_size}; it must be a multiple of {parts},'
        f' because {update.name} is updated {update.times} times in each step,'
        f' each time with other clips, on {devices} devices, in {accumulate}'
        ' micro-batches.'
      )


def rate_changes(
  setup: Setup, before: settings_lib.Settings | None, step: int
) -> list[str]:
  """Returns lines about the learning rates that change on resume; [] if none.

  A schedule ends at config.num_steps. So if a finished run is resumed with a
  larger number of steps, its learning rate may rise again.

  Args:
    setup: Setup of the run.
    before: Settings with which the run has been trained so far; None for a new
      run.
    step: Number of completed steps.
  """
  now, model = setup.settings, setup.model
  if before is None or (before.optim, before.num_steps) == (
    now.optim,
    now.num_steps,
  ):
    return []
  old = optim.schedules(
    before.optim, model.players, before.num_steps, model.start_steps
  )
  lines = []
  if before.num_steps != now.num_steps:
    lines.append(
      f'config.num_steps is {now.num_steps} instead of {before.num_steps};'
      ' schedules of the learning rate end there now.'
    )
  for player, rate in setup.rates.items():
    if step <= model.start_steps[player]:
      continue
    at = lambda f, step: float(jax.numpy.asarray(f(step)))
    last, following = at(old[player], step - 1), at(rate, step)
    lines.append(
      f'The learning rate of {player} was {last:.4g} in step {step} and is'
      f' {following:.4g} in step {step + 1}.'
    )
  return lines
