"""All that a config can say, and the check that it says nothing else."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from ml_collections import ConfigDict

from vgen_jax.core import checks
from vgen_jax.core import faults as faults_lib
from vgen_jax.core.types import ClipShape

Spec = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Mesh:
  """How many devices stand along each axis; -1 once means "all the rest"."""

  data: int = -1
  fsdp: int = 1
  tensor: int = 1


@dataclasses.dataclass(frozen=True)
class Guard:
  """What to do with an update that would harm the run.

  An update whose loss or gradient is not finite is never made.

  Attributes:
    policy: 'raise' stops the run at the next log; 'skip' goes on without the
      update.
    spike: An update whose gradient norm is more than this many times its
      recent average is not made either; 0 makes all.
    max_skips: Updates skipped in a row that stop the run under 'skip'.
  """

  policy: str = 'raise'
  spike: float = 0.0
  max_skips: int = 20


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """What an evaluation measures, and on how many clips.

  Attributes:
    metrics: Names of `evaluation/metrics/registry.py`.
    num_clips: Clips to draw.
    batch_size: Clips to draw at a time.
    seed: Of their noise.
    real_split: Of the data, to compare with; '' takes 'validation' if there is
      such a split, and else what is trained on.
    context: Frames that predictions are given.
    num_samples: Predictions for each clip.
    infinity: Whether to tell what Frechet distances of endless sets would be.
  """

  metrics: tuple[str, ...] = ('verifier',)
  num_clips: int = 64
  batch_size: int = 64
  seed: int = 0
  real_split: str = ''
  context: int = 2
  num_samples: int = 10
  infinity: bool = False

  def __post_init__(self):
    for key in ('num_clips', 'batch_size', 'context', 'num_samples'):
      if (value := getattr(self, key)) < 1:
        raise ValueError(
          f'config.evaluation.{key} is {value}; it must be 1 or more.'
        )
    if isinstance(self.metrics, str) or not self.metrics:
      raise ValueError(
        f'config.evaluation.metrics is {self.metrics!r}; it must be a tuple of'
        " names, such as ('verifier',)."
      )


@dataclasses.dataclass(frozen=True)
class Settings:
  """All that a config can say; a field that is not here is an error.

  Attributes:
    clip_shape: (t, h, w, c) of a clip.
    batch_size: Clips a step, over all devices.
    num_steps: Length of the run in steps; schedules end there.
    data: Spec of the source, of `vgen_jax/data`.
    model: Spec of the family and its networks.
    optim: Spec of the optimizers (training/optimizers.py).
    seed: Of everything random.
    accumulate: Micro-batches a batch is learned in, one after the other.
    ema: {name: spec} of averages of the parameters (training/averages.py).
    sample_from: Name of the average to sample from, or 'params'; may be left
      out unless there are several averages.
    frozen: {part: workdir} of parts that other runs have trained.
    mesh: Devices along each axis.
    guard: What happens to harmful updates.
    faults: What happens to clips that cannot be read (core/faults.py).
    num_workers: Processes that load data; 0 loads in threads.
    num_samples: Clips to draw every `sample_every` steps.
    log_every: Period of metrics, in steps.
    sample_every: Period of sample clips, in steps; 0 for none.
    evaluate_every: Period of evaluations, in steps; 0 for none.
    evaluation: What they measure.
    checkpoint_every: Period of checkpoints, in steps.
    keep: Latest checkpoints to keep.
    best: Metric by whose best value one more checkpoint is kept, as
      'denoiser/loss'; '' for none. '-name' keeps the highest, not the lowest.
    tensorboard: Whether to write TensorBoard files too.
    wandb: Project on Weights & Biases to write to; '' for none.
  """

  clip_shape: ClipShape
  batch_size: int
  num_steps: int
  data: Spec
  model: Spec
  optim: Spec
  seed: int = 0
  accumulate: int = 1
  ema: dict[str, Spec] = dataclasses.field(
    default_factory=lambda: {'slow': {'decay': 0.999, 'warmup': True}}
  )
  sample_from: str = ''
  frozen: dict[str, str] = dataclasses.field(default_factory=dict)
  mesh: Mesh = Mesh()
  guard: Guard = Guard()
  faults: faults_lib.Faults = dataclasses.field(
    default_factory=faults_lib.Faults
  )
  num_workers: int = 0
  num_samples: int = 8
  log_every: int = 50
  sample_every: int = 1000
  evaluate_every: int = 0
  evaluation: Evaluation = Evaluation()
  checkpoint_every: int = 1000
  keep: int = 2
  best: str = ''
  tensorboard: bool = True
  wandb: str = ''


SECTIONS = {
  'mesh': Mesh,
  'guard': Guard,
  'faults': faults_lib.Faults,
  'evaluation': Evaluation,
}
_POSITIVE = ('batch_size', 'num_steps', 'accumulate', 'log_every')
_POSITIVE += ('checkpoint_every', 'keep', 'num_samples')
_NOT_NEGATIVE = ('seed', 'sample_every', 'evaluate_every', 'num_workers')


def read(config: ConfigDict | Mapping[str, Any]) -> Settings:
  """Returns the config with every field checked.

  Raises:
    ValueError: If a field is unknown, missing, or out of range.
  """
  fields = plain(config)
  for key, cls in SECTIONS.items():
    if key in fields:
      fields[key] = _checked(cls, fields[key], f'config.{key}')
  result = _checked(Settings, fields, 'config')
  for key in _POSITIVE:
    if getattr(result, key) < 1:
      raise ValueError(
        f'config.{key} is {getattr(result, key)}; it must be 1 or more.'
      )
  for key in _NOT_NEGATIVE:
    if getattr(result, key) < 0:
      raise ValueError(
        f'config.{key} is {getattr(result, key)}; it must be 0 or more.'
      )
  if result.guard.spike < 0 or result.guard.max_skips < 0:
    raise ValueError(f'config.guard is {result.guard}; 0 is the least in it.')
  if len(result.clip_shape) != 4 or min(result.clip_shape) < 1:
    raise ValueError(
      f'config.clip_shape is {result.clip_shape}; it must be (t, h, w, c).'
    )
  if result.batch_size % result.accumulate:
    raise ValueError(
      f'config.batch_size is {result.batch_size}; it must be a multiple of'
      f' config.accumulate, {result.accumulate}.'
    )
  if result.guard.policy not in ('raise', 'skip'):
    raise ValueError(
      f"config.guard.policy is {result.guard.policy!r}; it can be 'raise' or"
      " 'skip'."
    )
  averages = [*result.ema, 'params']
  if not result.sample_from and len(averages) <= 2:
    return dataclasses.replace(result, sample_from=averages[0])
  if result.sample_from not in averages:
    raise ValueError(
      f'config.sample_from is {result.sample_from!r}, no average of'
      f' config.ema.{checks.hint(result.sample_from, averages)}'
    )
  return result


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a copy of plain dicts and tuples: JSON and lists lose tuples."""
  if isinstance(config, ConfigDict):
    config = config.to_dict()
  return _tuples(config)


def _checked(cls: type, fields: Mapping[str, Any], path: str) -> Any:
  """Calls a dataclass with fields of its own kinds."""
  known = {f.name: f for f in dataclasses.fields(cls)}
  for key, value in fields.items():
    if key not in known:
      raise ValueError(
        f'{path} has a field {key!r} that nothing reads.'
        f'{checks.hint(key, list(known))}'
      )
    kind = known[key].type
    if kind is float and isinstance(value, int):
      continue
    if isinstance(kind, type) and (
      not isinstance(value, kind) or (kind is int and isinstance(value, bool))
    ):
      raise ValueError(
        f'{path}.{key} is {value!r}; it must be of kind {kind.__name__}.'
      )
  missing = [
    name
    for name, field in known.items()
    if name not in fields
    and field.default is field.default_factory is dataclasses.MISSING
  ]
  if missing:
    raise ValueError(f'{path} lacks {missing}; it needs them.')
  return cls(**fields)


def _tuples(value: Any) -> Any:
  """Copies nested dicts, with lists as tuples: JSON knows no tuples."""
  if isinstance(value, Mapping):
    return {k: _tuples(v) for k, v in value.items()}
  if isinstance(value, list | tuple):
    return tuple(_tuples(v) for v in value)
  return value
