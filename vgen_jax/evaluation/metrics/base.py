"""What a metric is: features of each clip, and what they say together.

The two are apart so that an evaluation can be cut off anywhere and go on, that
features of real clips are found once, and that metrics share a network.
"""

import abc
from collections.abc import Mapping
import dataclasses
import hashlib
import inspect
import types
from typing import Any

import numpy as np

from vgen_jax.evaluation.metrics import results

# 'video', uint8 [b, t, h, w, c], and what else is known: 'label', ...
Clips = Mapping[str, np.ndarray]
Features = Mapping[str, np.ndarray]  # {name: array}, whose rows are clips.

# Where clips come from; the first three are made by the model.
GENERATED = 'drawn'  # From noise.
PREDICTED = 'predicted'  # 'video' [b, n, t, h, w, c], n futures of 'truth'.
RECONSTRUCTED = (
  'rebuilt'  # By its autoencoder, of 'truth'; with 'codes' if any.
)
REAL = 'real'  # Not trained on, if the data has such clips.
TRAIN = 'train'  # Trained on.

_NORMAL = 1.96  # Standard deviations that hold 95 %.


class Probe(abc.ABC):
  """Finds features of clips, each by itself.

  Attributes:
    name: Of the files that keep them.
    protocol: All that makes them what they are, fit for JSON.
  """

  name: str
  protocol: dict[str, Any]

  @abc.abstractmethod
  def __call__(self, clips: Clips) -> Features:
    """Returns features of some clips, a row for each."""


@dataclasses.dataclass
class Findings:
  """What metrics say; see results.py.

  Attributes:
    clips: A few, to be looked at, {where they come from: clips}.
  """

  values: dict[str, results.Value] = dataclasses.field(default_factory=dict)
  curves: dict[str, results.Curve] = dataclasses.field(default_factory=dict)
  groups: dict[str, dict[str, dict]] = dataclasses.field(default_factory=dict)
  clips: dict[str, Clips] = dataclasses.field(default_factory=dict)

  def add(self, other: 'Findings') -> None:
    """Takes in what another metric says."""
    self.values |= other.values
    self.curves |= other.curves
    self.groups |= other.groups


class Metric(abc.ABC):
  """Sums up the features of many clips.

  Attributes:
    probe: Finds the features.
  """

  probe: Probe

  def counts(self, num_clips: int) -> dict[str, int]:
    """Returns of where it wants how many clips; fewer real ones may come."""
    return {GENERATED: num_clips, REAL: num_clips}

  @abc.abstractmethod
  def conclude(
    self, features: Mapping[str, Features], rng: np.random.Generator
  ) -> Findings:
    """Returns what the features of clips from each place say.

    Args:
      features: {where clips come from: their features}.
      rng: For subsets and the like; the same in each evaluation.
    """


def code(*modules: types.ModuleType) -> str:
  """Returns a digest of modules, so that features do not outlive them."""
  text = ''.join(map(inspect.getsource, modules))
  return hashlib.sha256(text.encode()).hexdigest()[:16]


def share(p: float, n: int, **fields: Any) -> results.Value:
  """Returns the share p of n clips with Wilson's interval, 95 %.

  Wilson, "Probable Inference, the Law of Succession, and Statistical
  Inference", 1927: unlike the usual one it does not close at 0 and 1.
  """
  if not n:
    return results.Value(None, status='undefined', **fields)
  p, z = float(p), _NORMAL
  middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
  half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
  interval = (max(0.0, float(middle - half)), min(1.0, float(middle + half)))
  return results.Value(p, interval=interval, **fields)


def mean(
  value_n: np.ndarray,
  bounds: tuple[float, float] = (-np.inf, np.inf),
  **fields: Any,
) -> results.Value:
  """Returns the mean of clips with the interval of a normal mean, 95 %.

  Args:
    value_n: A number for each clip.
    bounds: Least and largest that it can be; the interval is cut to them.
    **fields: What else is known of the value.
  """
  value_n = np.asarray(value_n, np.float64)
  if not len(value_n) or not np.isfinite(value_n).all():
    return results.Value(None, status='undefined', **fields)
  value = float(value_n.mean())
  interval = None
  if len(value_n) > 1:
    half = _NORMAL * float(value_n.std(ddof=1)) / np.sqrt(len(value_n))
    interval = tuple(np.clip([value - half, value + half], *bounds).tolist())
  return results.Value(value, interval=interval, **fields)


def around(value: float, deviation: float) -> tuple[float, float]:
  """Returns the 95 % interval of a number of known standard deviation."""
  return value - _NORMAL * deviation, value + _NORMAL * deviation
