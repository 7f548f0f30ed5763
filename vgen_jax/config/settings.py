"""All fields of a config, and the check that a config has no others.

The fields of its sections are in config/sections.py.
"""

from collections.abc import Mapping
import dataclasses
import fnmatch
from typing import Any

from ml_collections import ConfigDict

from vgen_jax.config import initial
from vgen_jax.config import sections
from vgen_jax.config import typed
from vgen_jax.core import checks
from vgen_jax.core import faults as faults_lib
from vgen_jax.core import fields
from vgen_jax.core.types import ClipShape

Spec = dict[str, Any]
# Keys of config.optim that may change on resume.
_RATES = ('schedule', 'clip_norm', 'players.*.schedule', 'players.*.clip_norm')


@dataclasses.dataclass(frozen=True)
class Settings:
  """A checked config: its fields are all that a config may have.

  Attributes:
    clip_shape: (t, h, w, c) of a clip.
    batch_size: Clips in each step, over all devices.
    num_steps: Length of the run, where schedules end. If it is changed when the
      run is resumed, schedules end at the new value.
    data: Spec of the source of clips, a class of `data/` or `synthetic/`.
    model: Spec of the family with its networks.
    optim: Spec of the optimizers (training/optimizers.py).
    seed: Seed of everything random in the run.
    accumulate: Number of micro-batches into which each batch is split; their
      gradients are averaged. Only batch norm and dropout depend on it.
    ema: {name: spec} of averages of the parameters (training/averages.py); no
      name is 'params'.
    sample_from: Name of the average to sample from, or 'params'; may be left
      out unless there are several averages.
    frozen: {part: workdir} of parts that were trained by other runs.
    init: Weights of another run to start from (config/initial.py).
    mesh: Number of devices along each axis.
    guard: What happens to harmful updates.
    faults: What happens to clips that cannot be read (core/faults.py).
    num_workers: Number of processes that load data; 0 loads in threads.
    num_samples: Number of clips to generate every `sample_every` steps.
    log_every: Period of metrics.
    sample_every: Period of generated clips; 0 for none.
    validate_every: Period of losses on validation clips; 0 for none.
    validate_clips: Number of validation clips; all if there are fewer.
    evaluate_every: Period of evaluations; 0 for none.
    evaluation: What evaluations compute.
    checkpoint_every: Period of checkpoints. One is also saved before samples
      and evaluations, and when a signal stops the run.
    keep: Number of latest checkpoints to keep.
    best: Metric by which one more checkpoint, the best one, is kept, such as
      'denoiser/loss'; '' for none. The lowest value is best; with a '-' in
      front of the name, the highest.
    tensorboard: Whether to write TensorBoard files.
    wandb: Project on Weights & Biases to write to; '' for none.
  """

  clip_shape: ClipShape = fields.field(
    unit='frames, pixels, pixels, channels',
    allowed='4 numbers, each 1 or more',
    on_load=True,
  )
  batch_size: int = fields.field(unit='clips', least=1)
  num_steps: int = fields.field(unit='steps', least=1, on_resume=True)
  data: Spec = fields.field(on_resume=('folder',), on_load=True)
  model: Spec = fields.field(on_load=True)
  optim: Spec = fields.field(on_resume=_RATES)
  seed: int = fields.field(0, least=0, most=checks.MAX_SEED)
  accumulate: int = fields.field(1, unit='micro-batches', least=1)
  ema: dict[str, Spec] = fields.field(
    default_factory=lambda: {'slow': {'decay': 0.999, 'warmup': True}}
  )
  sample_from: str = fields.field('', on_resume=True, on_load=True)
  frozen: dict[str, str] = fields.field(default_factory=dict, on_resume=True)
  init: initial.Init = fields.field(initial.Init(), on_resume=True)
  mesh: sections.Mesh = fields.field(
    sections.Mesh(), on_resume=True, on_load=True
  )
  guard: sections.Guard = fields.field(sections.Guard())
  faults: faults_lib.Faults = fields.field(
    faults_lib.Faults(), on_resume=True, on_load=True
  )
  num_workers: int = fields.field(0, unit='processes', least=0, on_resume=True)
  num_samples: int = fields.field(8, unit='clips', least=1, on_resume=True)
  log_every: int = fields.field(50, unit='steps', least=1, on_resume=True)
  sample_every: int = fields.field(1000, unit='steps', least=0, on_resume=True)
  validate_every: int = fields.field(0, unit='steps', least=0, on_resume=True)
  validate_clips: int = fields.field(64, unit='clips', least=1, on_resume=True)
  evaluate_every: int = fields.field(0, unit='steps', least=0, on_resume=True)
  evaluation: sections.Evaluation = fields.field(
    sections.Evaluation(), on_resume=True, on_load=True
  )
  checkpoint_every: int = fields.field(
    1000, unit='steps', least=1, on_resume=True
  )
  keep: int = fields.field(2, unit='checkpoints', least=1, on_resume=True)
  best: str = fields.field('', on_resume=True)
  tensorboard: bool = fields.field(True, on_resume=True)
  wandb: str = fields.field('', on_resume=True)


SECTIONS = {
  f.name: f.type
  for f in dataclasses.fields(Settings)
  if dataclasses.is_dataclass(f.type)
}


def read(config: ConfigDict | Mapping[str, Any]) -> Settings:
  """Returns the settings of a config, after a check of every field.

  Raises:
    ValueError: If a field is unknown, missing, or out of range.
  """
  values = plain(config)
  for key, cls in SECTIONS.items():
    if key in values:
      values[key] = _checked(cls, values[key], f'config.{key}')
  clip_shape = values.get('clip_shape', (1, 1, 1, 1))
  if not typed.matches(clip_shape, ClipShape) or min(clip_shape) < 1:
    raise ValueError(
      f'config.clip_shape is {clip_shape!r:.80}; it must be (t, h, w, c), each'
      ' 1 or more.'
    )
  result = _checked(Settings, values, 'config')
  fields.check(result, 'config')
  checks.multiple_of(
    'config.batch_size',
    result.batch_size,
    result.accumulate,
    'config.accumulate',
  )
  if 'params' in result.ema:
    raise ValueError(
      "config.ema has an average with the name 'params', which stands for the"
      ' parameters of the last step in config.sample_from. Give it another'
      " name, such as 'slow'."
    )
  averages = [*result.ema, 'params']
  if not result.sample_from and len(averages) <= 2:
    return dataclasses.replace(result, sample_from=averages[0])
  if result.sample_from not in averages:
    raise ValueError(
      f'config.sample_from is {result.sample_from!r}; it must be the name of an'
      " average in config.ema, or 'params'."
      f'{checks.hint(result.sample_from, averages)}'
    )
  return result


def may_change_on_resume(path: str) -> bool:
  """Returns whether a field may change when a run is resumed.

  Args:
    path: Dotted path without 'config', such as 'guard.policy'.
  """
  name, _, inner = path.partition('.')
  allowed = fields.rules(Settings)[name].on_resume
  if isinstance(allowed, tuple):
    return any(
      fnmatch.fnmatch(inner, pattern + end)
      for pattern in allowed
      for end in ('', '.*')
    )
  if not allowed and inner and name in SECTIONS:
    return bool(fields.rules(SECTIONS[name])[inner].on_resume)
  return allowed


def changeable_on_load() -> list[str]:
  """Returns the fields that may be overridden in a trained run."""
  rules = fields.rules(Settings)
  return sorted(name for name, rule in rules.items() if rule.on_load)


def plain(config: ConfigDict | Mapping[str, Any]) -> dict[str, Any]:
  """Returns a copy as plain dicts, with tuples in place of JSON's lists."""
  if isinstance(config, ConfigDict):
    config = config.to_dict()
  return _with_tuples(config)


def _checked(cls: Any, values: Mapping[str, Any], path: str) -> Any:
  """Returns the section of these values, after a check of names and types."""
  known = {f.name: f for f in dataclasses.fields(cls)}
  checks.mapping(path, values, f'fields: {", ".join(known)}')
  for key, value in values.items():
    if key not in known:
      raise ValueError(
        f'{path} has no field {key!r}.{checks.hint(key, list(known))}'
      )
    kind = known[key].type
    if not typed.matches(value, kind):
      raise ValueError(
        f'{path}.{key} is {value!r:.80}; it must be of type'
        f' {typed.words(kind)}.'
      )
  missing = [
    name
    for name, f in known.items()
    if name not in values
    and f.default is f.default_factory is dataclasses.MISSING
  ]
  if missing:
    raise ValueError(f'{path} lacks the fields {missing}; add them.')
  return cls(**values)


def _with_tuples(value: Any) -> Any:
  """Returns a copy of nested dicts in which lists have become tuples."""
  if isinstance(value, Mapping):
    return {k: _with_tuples(v) for k, v in value.items()}
  if isinstance(value, list | tuple):
    return tuple(_with_tuples(v) for v in value)
  return value
