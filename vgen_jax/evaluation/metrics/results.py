"""Results of evaluations, and the files `<workdir>/evaluation/<name>.json`.

  result = results.read('runs/dit')  # The latest step.
  result.metrics['fvd-stylegan-v_16f'].value

The name of a result starts with its step. It also has the number of clips and a
digest of everything else on which the values depend, so that evaluations of one
step by different protocols are kept in separate files.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

from etils import epath
import numpy as np

from vgen_jax.config import typed
from vgen_jax.core import checks
from vgen_jax.core import file_paths
from vgen_jax.core import json_files
from vgen_jax.core.checked import array_files
from vgen_jax.core.checked import checked_json
from vgen_jax.evaluation.metrics import curves as curves_lib

STATUSES = ('ok', 'weights-missing', 'undefined')
BETTER = ('higher', 'lower', '')
FOLDER = 'evaluation'


@dataclasses.dataclass(frozen=True)
class Value:
  """One number with its uncertainty, references and protocol.

  Attributes:
    value: The number; None if there is none, and `status` states why.
    interval: 95 % interval, (low, high); None if unknown.
    floor: Score of real clips against equally many other real clips. No model
      is expected to be better.
    real: Score of real clips in place of the generated ones.
    better: 'higher', 'lower', or '' if neither is better.
    unit: Unit, such as 'dB'; '' for none.
    status: One of `STATUSES`. A value that is not finite is 'undefined'.
    note: Remark for the reader; if weights are missing, what to do.
    protocol: Settings that must be equal for numbers to be comparable, as plain
      JSON values.
    definition: What the number is, in one sentence, and its source; '' if that
      is unknown.

  Raises:
    ValueError: If `better` or `status` is unknown, or `interval` is not two
      numbers in ascending order.
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
  definition: str = ''

  def __post_init__(self):
    for name, known in (('better', BETTER), ('status', STATUSES)):
      checks.one_of(f'{name} of a value', getattr(self, name), known)
    interval = (
      None if self.interval is None else tuple(json_files.plain(self.interval))
    )
    if interval and None in interval:
      interval = None
    if interval is not None and not (
      len(interval) == 2 and interval[0] <= interval[1]
    ):
      raise ValueError(
        f'interval of a value is {interval}; it must be (low, high), with low'
        ' at most high.'
      )
    object.__setattr__(self, 'interval', interval)
    for name in ('value', 'floor', 'real', 'protocol'):
      object.__setattr__(self, name, json_files.plain(getattr(self, name)))
    if self.value is None and self.status == 'ok':
      object.__setattr__(self, 'status', 'undefined')


@dataclasses.dataclass(frozen=True)
class Result:
  """Results of the evaluation of one step of a run.

  Attributes:
    run: Name of the run.
    workdir: Directory of the run.
    step: Step that was evaluated.
    date: Time of the evaluation, in ISO 8601.
    config: Config of the run, {dotted path: value}.
    protocol: How clips were generated and what they were compared with.
    metrics: {name: value}.
    curves: {title: curve}, such as quality by frame.
    groups: {title: {group: {'value': float | None, 'num': clips in it}}}.
    clips: Name of the .npz file in the same folder that `read_clips` reads; ''
      for none.
    name: Name of the files of this result without extension; '' for the number
      of the step.
  """

  run: str
  workdir: str
  step: int
  date: str
  config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  protocol: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  metrics: Mapping[str, Value] = dataclasses.field(default_factory=dict)
  curves: Mapping[str, curves_lib.Curve] = dataclasses.field(
    default_factory=dict
  )
  groups: Mapping[str, Mapping[str, Mapping[str, float | None]]] = (
    dataclasses.field(default_factory=dict)
  )
  clips: str = ''
  name: str = ''

  def __post_init__(self):
    if not self.name:
      object.__setattr__(self, 'name', str(self.step))
    for name in ('config', 'protocol', 'groups'):
      object.__setattr__(self, name, json_files.plain(getattr(self, name)))

  def to_json(self) -> dict[str, Any]:
    """Returns plain JSON values; numbers that are not finite become None."""
    return json_files.plain(dataclasses.asdict(self))

  @classmethod
  def from_json(cls, entry: Mapping[str, Any]) -> 'Result':
    """Returns the result that `to_json` returned as plain values.

    Raises:
      ValueError: If fields are unknown or missing.
    """
    return _from_json(entry, 'The result')


def steps(workdir: epath.PathLike) -> list[int]:
  """Returns the evaluated steps of a run, ascending."""
  return sorted(_files(workdir))


def read(workdir: epath.PathLike, step: int | None = None) -> Result:
  """Returns the result of the evaluation of a run.

  If a step was evaluated with several protocols, the latest evaluation is
  returned.

  Args:
    workdir: Directory of the run, local or gs://, or the .json file of one of
      its evaluations.
    step: Step; None for the latest evaluated one.

  Raises:
    ValueError: If the run, or this step of it, was not evaluated, or a file is
      of another step or damaged.
  """
  path = file_paths.read(workdir)
  if path.suffix == '.json':
    found = read_file(path)
    if step not in (None, found.step):
      raise ValueError(
        f'{path} is of step {found.step}, not {step}; omit the step.'
      )
    return found
  files = _files(workdir)
  known = sorted(files)
  if not known:
    raise ValueError(
      f'{workdir} has no evaluation ({FOLDER}/*.json). Evaluate it with:'
      f' vgen evaluate --workdir={workdir}'
    )
  step = known[-1] if step is None else step
  if step not in known:
    raise ValueError(
      f'Step {step} of {workdir} was not evaluated; steps {known} were.'
      f' Evaluate it with: vgen evaluate --workdir={workdir} --step={step}'
    )
  return max(map(read_file, files[step]), key=lambda result: result.date)


def run_folder(path: epath.PathLike) -> epath.Path:
  """Returns the directory of a run, given that or one of its evaluations."""
  path = file_paths.read(path)
  return path.parent.parent if path.suffix == '.json' else path


def _files(workdir: epath.PathLike) -> dict[int, list[epath.Path]]:
  """Returns the files of the evaluations of a run, {step: files}."""
  found: dict[int, list[epath.Path]] = {}
  for file in sorted((file_paths.read(workdir) / FOLDER).glob('*.json')):
    step = file.stem.partition('_')[0]
    if step.isdecimal() and file_paths.is_file(file):
      found.setdefault(int(step), []).append(file)
  return found


def read_file(file: epath.PathLike) -> Result:
  """Returns the result in a file.

  Raises:
    ValueError: If there is no such file.
    json_files.BadFileError: If the file is damaged.
  """
  if not file_paths.read(file).exists():
    raise ValueError(f'No such evaluation: {file}; give an existing file.')
  content = checked_json.read(file, 'remove the file and evaluate again')
  return _from_json(content, f'{file} is not a valid evaluation')


def read_clips(
  workdir: epath.PathLike, result: Result
) -> dict[str, np.ndarray]:
  """Returns the clips of a result that were stored for the report.

  Args:
    workdir: Directory of the run, or the .json file of an evaluation.
    result: Result of one of its evaluations.

  Returns:
    {'generated': uint8 [n, t, h, w, c], 'real': the same, 'has_real': bool
    [n], False where there is no real clip of the class; 'title': str [n];
    'clip' and 'seed': int [n], the number of each clip and the seed of its
    noise}; {} if there is no such file.

  Raises:
    json_files.BadFileError: If the file is damaged.
  """
  if not result.clips:
    return {}
  file = file_paths.named(run_folder(workdir) / FOLDER, result.clips, '.npz')
  return array_files.read(file) if file_paths.is_file(file) else {}


def _from_json(entry: Mapping[str, Any], name: str) -> Result:
  """Returns the result of plain values; `name` is that of their file."""
  entry = dict(json_files.of_kind(entry, dict, name))
  for key, kind in (('metrics', Value), ('curves', curves_lib.Curve)):
    parts = json_files.of_kind(entry.get(key, {}), dict, f'{name}: {key}')
    entry[key] = {
      label: typed.build(kind, part, f'{name}: {key}, {label}')
      for label, part in parts.items()
    }
  result = typed.build(Result, entry, name)
  for title, groups in result.groups.items():
    for group, numbers in groups.items():
      if set(numbers) != {'value', 'num'}:
        about = f'{name}: group {group!r} of {title!r} has {numbers!r:.80}'
        raise json_files.BadFileError(f"{about}; it needs 'value' and 'num'.")
  return result
