"""The interface of metrics: features of each clip, then a summary of them.

The two steps are separate for three reasons: an interrupted evaluation can
resume, features of real clips are computed once, and metrics share networks.

A new metric is one subclass of `Metric` in a module of this folder, or in
`vgen_jax/synthetic/<dataset>/metric.py`. Its class attributes state what it
needs, and registry.py finds it by them.
"""

import abc
from collections.abc import Mapping, Sequence
import dataclasses
import fnmatch
import hashlib
import inspect
import types
from typing import Any, ClassVar, Self

import numpy as np

from vgen_jax.data import pipeline
from vgen_jax.evaluation.metrics import curves as curves_lib
from vgen_jax.evaluation.metrics import results

# 'video', uint8 [b, t, h, w, c], and conditions of the clips, such as 'label'.
Clips = Mapping[str, np.ndarray]
Features = Mapping[str, np.ndarray]  # {name: array with one row per clip}.

# Sources of clips. The model makes the clips of the first three.
GENERATED = 'generated'  # Sampled from noise.
PREDICTED = 'predicted'  # 'video' [b, n, t, h, w, c]: n samples per 'truth'.
RECONSTRUCTED = 'reconstructed'  # Autoencoded 'truth'; 'codes' if discrete.
REAL = 'real'  # Clips of the data, not trained on if there are such clips.
TRAIN = 'train'  # Clips that the model was trained on.

_Z_95 = 1.96  # Standard deviations on each side of a 95 % interval.


@dataclasses.dataclass(frozen=True)
class MetricInputs:
  """Properties of a run from which its metrics are built.

  Attributes:
    dataset: Real clips to compare with.
    sources: Sources of clips that the run has, such as `GENERATED`.
    context: Number of known frames that predictions are conditioned on.
    num_codes: Size of the codebook; 0 without one.
    infinity: Whether to also report Frechet distances extrapolated to
      infinitely many clips.
  """

  dataset: pipeline.Source
  sources: Sequence[str]
  context: int = 0
  num_codes: int = 0
  infinity: bool = False

  @property
  def clip_shape(self) -> tuple[int, ...]:
    """Shape of the clips, (t, h, w, c)."""
    return tuple(self.dataset.schema.clip_shape)


class FeatureExtractor(abc.ABC):
  """Computes features of clips, of each clip independently of the others.

  Attributes:
    name: Beginning of the names of the folders that store the features.
    protocol: Everything that the features depend on, as plain JSON values.
  """

  name: str
  protocol: dict[str, Any]

  @abc.abstractmethod
  def __call__(self, clips: Clips) -> Features:
    """Returns the features of some clips, one row per clip."""


@dataclasses.dataclass
class Findings:
  """Results of metrics; results.py describes the types.

  Attributes:
    values: {name: value}.
    curves: {title: curve}.
    groups: {title: {group: {'value': float | None, 'num': clips in it}}}.
    clips: A few clips for the report, {source: clips}.
  """

  values: dict[str, results.Value] = dataclasses.field(default_factory=dict)
  curves: dict[str, curves_lib.Curve] = dataclasses.field(default_factory=dict)
  groups: dict[str, dict[str, dict]] = dataclasses.field(default_factory=dict)
  clips: dict[str, Clips] = dataclasses.field(default_factory=dict)

  def add(self, other: 'Findings') -> None:
    """Adds the findings of another metric, in place."""
    self.values |= other.values
    self.curves |= other.curves
    self.groups |= other.groups


class Metric(abc.ABC):
  """Summary of the features of many clips.

  The class attributes state what the registry needs to know. A class without
  `name` is not listed: it is a base of others.

  Class attributes:
    name: Name on the command line and in configs. An instance may have a longer
      one that includes its protocol; its random generator is seeded with it.
    sources: Sources of the clips that it compares.
    datasets: Classes of the synthetic datasets that it applies to; () for any.
    protocols: Names of protocols, each of which gives a metric
      '<name>-<protocol>'.
    default_protocol: Protocol of '<name>'; '' if the metric has only one way to
      compute it.
    for_reconstructions: Whether the metric 'r<name>' exists, which compares
      reconstructed clips instead of generated ones.
    better: Direction of its values: 'higher', 'lower', or '' for neither.
    unit: Unit of its values, such as 'px'; '' for none.
    definitions: {name of a value: what it is, in one sentence, and its source}.
      A name may have wildcards, as in 'accuracy_*'; the first match counts.

  Attributes:
    extractor: Computes the features.
  """

  name: str
  sources: tuple[str, ...] = (GENERATED, REAL)
  datasets: ClassVar[tuple[type, ...]] = ()
  protocols: ClassVar[tuple[str, ...]] = ()
  default_protocol: ClassVar[str] = ''
  for_reconstructions: ClassVar[bool] = False
  better: ClassVar[str] = ''
  unit: ClassVar[str] = ''
  definitions: ClassVar[Mapping[str, str]] = {}

  extractor: FeatureExtractor

  @classmethod
  def from_inputs(cls, inputs: MetricInputs, protocol: str = '') -> Self:
    """Returns the metric for a run.

    By default the constructor gets the dataset if `datasets` is set, and
    nothing otherwise.

    Args:
      inputs: Properties of the run. Its sources and dataset were checked.
      protocol: One of `protocols`, or `default_protocol`.

    Raises:
      checks.NotApplicableError: If the metric does not fit the run.
      weights.WeightsMissingError: If a network has no weights.
    """
    return cls(inputs.dataset) if cls.datasets else cls()

  @classmethod
  def value_name(cls, inputs: MetricInputs, protocol: str = '') -> str:
    """Returns the name of the entry that reports missing weights."""
    return cls.name

  def counts(self, num_clips: int) -> dict[str, int]:
    """Returns {source: number of clips}, if the model generates `num_clips`."""
    return dict.fromkeys(self.sources, num_clips)

  @abc.abstractmethod
  def compute(
    self, features: Mapping[str, Features], rng: np.random.Generator
  ) -> Findings:
    """Returns the summary of features.

    Args:
      features: {source: features of its clips}.
      rng: Generator for random subsets; the same in each evaluation.
    """

  @classmethod
  def define(cls, name: str) -> str:
    """Returns what a value is, from `definitions`; '' if there is no match."""
    found = (x for k, x in cls.definitions.items() if fnmatch.fnmatch(name, k))
    return next(found, '')

  def defined(self, findings: Findings) -> Findings:
    """Returns the findings with `definition` filled in for each value."""
    values = {
      name: dataclasses.replace(value, definition=self.define(name))
      for name, value in findings.values.items()
    }
    return dataclasses.replace(findings, values=values)

  def fields(self, **overrides: Any) -> dict[str, Any]:
    """Returns the fields of `results.Value` that all its values share."""
    fields = {
      'better': self.better,
      'unit': self.unit,
      'protocol': self.extractor.protocol,
    }
    return fields | overrides


def code_digest(*modules: types.ModuleType) -> str:
  """Returns a digest of the source code of modules.

  As part of a protocol it keeps stored features from being reused after a
  change of the code.
  """
  text = ''.join(map(inspect.getsource, modules))
  return hashlib.sha256(text.encode()).hexdigest()[:16]


def proportion(p: float, n: int, **fields: Any) -> results.Value:
  """Returns a proportion of clips with its 95 % Wilson interval.

  The status of the value is 'undefined' if there is no clip.

  Wilson, "Probable Inference, the Law of Succession, and Statistical
  Inference", 1927: unlike the normal interval it has a positive width at 0 and
  1. It is computed here because `scipy.stats.binomtest` takes the quantile
  1.95996 instead of 1.96, which all intervals of this package use.

  Args:
    p: Proportion, from 0 to 1.
    n: Number of clips.
    **fields: Other fields of the value.
  """
  if not n:
    return results.Value(None, status='undefined', **fields)
  p, z = float(p), _Z_95
  middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
  half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
  interval = (max(0.0, float(middle - half)), min(1.0, float(middle + half)))
  return results.Value(p, interval=interval, **fields)


def mean(
  value_n: np.ndarray,
  bounds: tuple[float, float] = (-np.inf, np.inf),
  **fields: Any,
) -> results.Value:
  """Returns the mean over clips with its 95 % interval.

  The interval assumes that the mean is normally distributed; it is None for one
  clip. The status of the value is 'undefined' if there is no clip, or a number
  is not finite.

  Args:
    value_n: One number per clip.
    bounds: Smallest and largest possible mean; the interval is clipped to them.
    **fields: Other fields of the value.
  """
  value_n = np.asarray(value_n, np.float64)
  if not len(value_n) or not np.isfinite(value_n).all():
    return results.Value(None, status='undefined', **fields)
  value = float(value_n.mean())
  interval = None
  if len(value_n) > 1:
    half = _Z_95 * float(value_n.std(ddof=1)) / np.sqrt(len(value_n))
    interval = tuple(np.clip([value - half, value + half], *bounds).tolist())
  return results.Value(value, interval=interval, **fields)


def normal_interval(value: float, deviation: float) -> tuple[float, float]:
  """Returns the 95 % interval of a number with a known standard deviation."""
  return value - _Z_95 * deviation, value + _Z_95 * deviation
