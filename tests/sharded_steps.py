"""Train steps of all configs on meshes of devices, and their results.

The optimizer of a step is SGD with momentum: after the first step, its state
is the gradient. Gradients are compared, and not parameters: a parameter hardly
changes in a step, so a wrong gradient is within the rounding error of most
parameters, while Adam divides a gradient by its size, so that a rounding error
of a gradient near zero becomes a whole step.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from tests import initial
from tests import untrained
from vgen_jax.config import sections
from vgen_jax.config import settings as settings_lib
from vgen_jax.runtime import sharding
from vgen_jax.training import setup as setup_lib

PRIME = 37  # Number of clips on each device.
# Devices along the axes 'data', 'fsdp' and 'tensor'.
MESHES = {'fsdp': (1, 8, 1), 'tensor': (2, 1, 4), 'both': (2, 2, 2)}
QUICK = {  # Programs run once or never, so they are compiled in little time.
  'xla_backend_optimization_level': 0,
  'xla_llvm_disable_expensive_passes': True,
  'xla_cpu_use_fusion_emitters': False,
}
# Arrays are compared relative to their norm, or to this fraction of the norm of
# all arrays of their player: a bias before a normalization has no gradient but
# rounding errors.
FLOOR = 1e-2


class Result(NamedTuple):
  """What is compared of a step.

  Attributes:
    grads: Gradients, {player: state of the optimizer}.
    stats: Statistics after the step, {kind: {player: tree}}.
    metrics: Metrics, {name: scalar}.
  """

  grads: Any
  stats: Any
  metrics: Any


def make(name: str, axes, clips, folder) -> setup_lib.Setup:
  """Returns the setup of the smoke size of a config, without a trained run.

  Args:
    name: Name of the config.
    axes: Number of devices along each axis of the mesh.
    clips: Folder of videos.
    folder: Folder for the tokenizer.
  """
  config = untrained.load(name, 'smoke', clips, folder)
  config.unlock()
  config.optim = {
    'name': 'sgd',
    'momentum': 0.9,
    'schedule': {'name': 'constant', 'peak': 0.01},
  }
  config.ema = {}  # Averages only add to the time of compilation.
  config.accumulate = 1
  config.mesh = dict(zip(('data', 'fsdp', 'tensor'), axes, strict=True))
  config.batch_size = PRIME * axes[0] * axes[1]
  return setup_lib.make(settings_lib.read(config))


def on_one_device(setup: setup_lib.Setup) -> setup_lib.Setup:
  """Returns the same setup on one device."""
  mesh = sharding.make_mesh(sections.Mesh(data=1, fsdp=1, tensor=1))
  layout = sharding.of_state(mesh, setup.state_shapes())
  return dataclasses.replace(setup, mesh=mesh, state_sharding=layout)


def compiled(setup: setup_lib.Setup) -> jax.stages.Compiled:
  """Returns the compiled train step."""
  shards = sharding.of_batch(setup.mesh)
  batch = {
    key: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=shards)
    for key, x in setup.batch.items()
  }
  lowered = setup.train_step().lower(setup.state_shapes(), batch)
  return lowered.compile(QUICK)


@dataclasses.dataclass
class Inputs:
  """Inputs of a step, the same for all meshes.

  Attributes:
    state: State before the step, without its key.
    batch: Batch, {key: array}.
  """

  state: Any
  batch: dict[str, np.ndarray]

  @classmethod
  def of(cls, setup: setup_lib.Setup) -> 'Inputs':
    """Returns the initial state and the first clips of a config."""
    init = jax.jit(lambda: setup.init().replace(rng=None))
    state = jax.device_get(initial.evaluate(init))
    examples = [setup.source[i] for i in range(setup.settings.batch_size)]
    batch = {k: np.stack([x[k] for x in examples]) for k in examples[0]}
    return cls(state, batch)

  def perturbed(self, size: float) -> 'Inputs':
    """Returns inputs whose parameters have other rounding errors."""
    rng = np.random.default_rng(0)
    params = jax.tree.map(
      lambda x: x * (1 + size * rng.choice([-1, 1], x.shape)).astype(x.dtype),
      self.state.params,
    )
    return Inputs(self.state.replace(params=params), self.batch)

  def of_first_device(self) -> 'Inputs':
    """Returns inputs with the clips of the first of several devices only.

    They are repeated, so that the batch is as large as before.
    """
    repeated = lambda x: np.resize(x[:PRIME], x.shape)
    return Inputs(self.state, {k: repeated(x) for k, x in self.batch.items()})

  def split(self) -> list['Inputs']:
    """Returns the inputs of each device with its own clips."""
    firsts = range(0, len(next(iter(self.batch.values()))), PRIME)
    return [
      Inputs(self.state, {k: x[i : i + PRIME] for k, x in self.batch.items()})
      for i in firsts
    ]


def run(setup: setup_lib.Setup, step, inputs: Inputs) -> Result:
  """Returns the result of a compiled step."""
  state = inputs.state.replace(rng=jax.random.key(0))
  state = jax.device_put(state, setup.state_sharding)  # The step donates it.
  batch = jax.device_put(inputs.batch, sharding.of_batch(setup.mesh))
  state, metrics = step(state, batch)
  return Result(*jax.device_get((state.opt, state.stats, metrics)))


def differences(one: Result, other: Result) -> dict[str, float]:
  """Returns the relative differences of all arrays, {path: difference}.

  An infinite difference stands for a number that is not finite in one of two
  results only, or is another one there. Other such numbers are left out.
  """
  groups = [
    *((f'grads/{player}', one.grads[player], other.grads[player])
      for player in one.grads),
    *((f'stats/{kind}/{player}', one.stats[kind][player],
       other.stats[kind][player])
      for kind in one.stats for player in one.stats[kind]),
    *((f'metrics/{name}', one.metrics[name], other.metrics[name])
      for name in one.metrics),
  ]  # fmt: skip
  found = {}
  for group, tree, other_tree in groups:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    norms = [np.linalg.norm(_finite(x)) for _, x in leaves]
    others = jax.tree.leaves(other_tree)
    # Optimizers also count updates, as integers.
    is_float = [np.issubdtype(x.dtype, np.inexact) for _, x in leaves]
    whole = np.linalg.norm(np.compress(is_float, norms))
    # Metrics near zero are differences of numbers near one.
    whole = max(whole, group.startswith('metrics'), 1e-30)
    for (path, x), y, norm in zip(leaves, others, norms, strict=True):
      error = np.linalg.norm(_finite(y) - _finite(x))
      if not np.array_equal(_not_finite(x), _not_finite(y), equal_nan=True):
        error = np.inf
      name = group + jax.tree_util.keystr(path)
      found[name] = error / max(norm, FLOOR * whole)
  return found


def _finite(x) -> np.ndarray:
  """Returns float64 numbers; zeros replace those that are not finite."""
  x = np.asarray(x, float)
  return np.where(np.isfinite(x), x, 0)


def _not_finite(x) -> np.ndarray:
  """Returns float64 numbers; zeros replace those that are finite."""
  x = np.asarray(x, float)
  return np.where(np.isfinite(x), 0, x)


def largest(found: dict[str, float]) -> tuple[str, float]:
  """Returns the path of the largest difference, and the difference."""
  return max(found.items(), key=lambda item: item[1])
