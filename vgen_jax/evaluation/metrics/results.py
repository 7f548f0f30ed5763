"""What an evaluation found, as it lies in `<workdir>/evaluation/<step>.json`.

result = results.read('runs/dit')       # The latest step.
result.metrics['fvd'].value
"""

from collections.abc import Mapping, Sequence
import dataclasses
import json
import math
from typing import Any

from etils import epath
import numpy as np

from vgen_jax.core import checks

STATUSES = ('ok', 'weights-missing', 'undefined')
BETTER = ('higher', 'lower', '')
FOLDER = 'evaluation'

Numbers = Sequence[float | None]


@dataclasses.dataclass(frozen=True)
class Value:
  """One number, and what it takes to believe it.

  Attributes:
    value: The number; None if there is none, and `status` tells why.
    interval: Where it lies with 95 %, (low, high); None if that is unknown.
    floor: What real clips score against as many other real clips.
    real: What real clips score in place of the generated ones.
    better: 'higher', 'lower', or '' if neither is.
    unit: Such as 'dB'; '' for none.
    status: One of `STATUSES`. A value that is no finite number is 'undefined'.
    note: For a reader, in words; with weights missing, what to do.
    protocol: What makes the number comparable, fit for JSON.

  Raises:
    ValueError: If `better` or `status` is none of theirs, or `interval` is not
      two numbers, of which the first is no larger.
  """

  value: float | None
  interval: tuple[float, float] | None = None
  floor: float | None = None
  real: float | None = None
  better: str = ''
  unit: str = ''
  status: str = 'ok'
  note: str = ''
  protocol: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    for name, known in (('better', BETTER), ('status', STATUSES)):
      given = getattr(self, name)
      if given not in known:
        raise ValueError(
          f'{name} of a value is {given!r}.{checks.hint(given, list(known))}'
        )
    interval = None if self.interval is None else tuple(_plain(self.interval))
    if interval and None in interval:
      interval = None
    if interval is not None and not (
      len(interval) == 2 and interval[0] <= interval[1]
    ):
      raise ValueError(f'interval of a value is {interval}; give (low, high).')
    object.__setattr__(self, 'interval', interval)
    for name in ('value', 'floor', 'real', 'protocol'):
      object.__setattr__(self, name, _plain(getattr(self, name)))
    if self.value is None and self.status == 'ok':
      object.__setattr__(self, 'status', 'undefined')


@dataclasses.dataclass(frozen=True)
class Curve:
  """Numbers over frames, or over whatever `x_name` says.

  Attributes:
    x_name: Of the horizontal axis, with its unit.
    y_name: Of the vertical one.
    x: Where the numbers are, rising.
    series: {label: a number for each x, None where there is none}.
    bands: {label: (low, high)} of those series whose 95 % intervals are known.

  Raises:
    ValueError: If a series is not as long as `x`, a number of `x` is not
      finite, or a band has no series.
  """

  x_name: str
  y_name: str
  x: Sequence[float]
  series: Mapping[str, Numbers]
  bands: Mapping[str, tuple[Numbers, Numbers]] = dataclasses.field(
    default_factory=dict
  )

  def __post_init__(self):
    for name in ('x', 'series', 'bands'):
      object.__setattr__(self, name, _plain(getattr(self, name)))
    if None in self.x:
      raise ValueError(f'x of a curve is {self.x}; each must be finite.')
    lines = [*self.series.items()]
    for label, band in self.bands.items():
      if label not in self.series:
        raise ValueError(
          f'A band of {label!r} has no series; there are {list(self.series)}.'
        )
      lines += [(f'{label}, an end of its band', end) for end in band]
    for label, line in lines:
      if len(line) != len(self.x):
        raise ValueError(
          f'Curve {label!r} has {len(line)} numbers; x has {len(self.x)}, and'
          ' each needs one (None where there is none).'
        )


@dataclasses.dataclass(frozen=True)
class Result:
  """All that one evaluation of one step of a run found.

  Attributes:
    run: Name of the run.
    workdir: Where the run lives.
    step: That was evaluated.
    date: When, in ISO 8601.
    config: Of the run, {dotted path: value}.
    protocol: How clips were drawn and against what they were held.
    metrics: {name: value}.
    curves: {name: curve}, such as quality by frame.
    groups: {name: {group: {'value': float | None, 'num': clips in it}}}.
    clips: Name of the .npz beside the file, that `read_clips` reads; or ''.
  """

  run: str
  workdir: str
  step: int
  date: str
  config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  protocol: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  metrics: Mapping[str, Value] = dataclasses.field(default_factory=dict)
  curves: Mapping[str, Curve] = dataclasses.field(default_factory=dict)
  groups: Mapping[str, Mapping[str, Mapping[str, Any]]] = dataclasses.field(
    default_factory=dict
  )
  clips: str = ''

  def __post_init__(self):
    for name in ('config', 'protocol', 'groups'):
      object.__setattr__(self, name, _plain(getattr(self, name)))

  def to_json(self) -> dict[str, Any]:
    """Returns it as strict JSON has it: what is not finite is None."""
    return _plain(dataclasses.asdict(self))

  @classmethod
  def from_json(cls, entry: Mapping[str, Any]) -> 'Result':
    """Returns what `to_json` gave.

    Raises:
      ValueError: If it has fields that are unknown, or lacks some.
    """
    entry = dict(entry)
    for name, kind in (('metrics', Value), ('curves', Curve)):
      parts = entry.get(name, {}).items()
      entry[name] = {key: _made(kind, key, part) for key, part in parts}
    return _made(cls, 'The result', entry)


def steps(workdir: epath.PathLike) -> list[int]:
  """Returns the steps of a run that were evaluated, rising."""
  files = (epath.Path(workdir) / FOLDER).glob('*.json')
  return sorted(int(file.stem) for file in files if file.stem.isdecimal())


def read(workdir: epath.PathLike, step: int | None = None) -> Result:
  """Returns the evaluation of a run.

  Args:
    workdir: Of the run, local or gs://.
    step: Which one; None takes the latest.

  Raises:
    ValueError: If the run, or this step of it, was not evaluated.
  """
  known = steps(workdir)
  if not known:
    raise ValueError(
      f'{workdir} has no evaluation (no {FOLDER}/<step>.json); make one with:'
      f' vgen evaluate --workdir={workdir}'
    )
  step = known[-1] if step is None else step
  if step not in known:
    raise ValueError(
      f'Step {step} of {workdir} was not evaluated; {known} were. Do it with:'
      f' vgen evaluate --workdir={workdir} --step={step}'
    )
  file = epath.Path(workdir) / FOLDER / f'{step}.json'
  try:
    return Result.from_json(json.loads(file.read_text()))
  except (ValueError, TypeError, AttributeError) as error:
    raise ValueError(f'{file} is no evaluation: {error}') from error


def read_clips(
  workdir: epath.PathLike, result: Result
) -> dict[str, np.ndarray]:
  """Returns the clips to look at; {} if none were kept, or they are gone.

  Returns:
    {'generated': uint8 [n, t, h, w, c], 'real': likewise, 'title': texts [n],
    'seed': int [n]}.
  """
  file = epath.Path(workdir) / FOLDER / result.clips
  if not result.clips or not file.exists():
    return {}
  with file.open('rb') as opened, np.load(opened) as arrays:
    return dict(arrays)


def _made(kind: type, name: str, entry: Any) -> Any:
  """Returns `kind(**entry)`, or tells what it takes."""
  fields = {field.name: field for field in dataclasses.fields(kind)}
  for key in entry:
    if key not in fields:
      raise ValueError(f'{name} has {key!r}.{checks.hint(key, list(fields))}')
  no_default = dataclasses.MISSING
  for key, field in fields.items():
    is_free = (field.default, field.default_factory) != (no_default,) * 2
    if key not in entry and not is_free:
      raise ValueError(f'{name} lacks {key!r}.')
  return kind(**entry)


def _plain(value: Any) -> Any:
  """Returns what JSON can hold; None for numbers that are not finite."""
  if isinstance(value, Mapping):
    return {str(key): _plain(part) for key, part in value.items()}
  if hasattr(value, 'tolist'):  # Arrays and their scalars, NumPy's and JAX's.
    value = value.tolist()
  if isinstance(value, list | tuple):
    return [_plain(part) for part in value]
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value
