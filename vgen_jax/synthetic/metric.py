"""What the metrics of all synthetic datasets share."""

import dataclasses
from typing import Literal

import numpy as np

from vgen_jax.data import pipeline


@dataclasses.dataclass(frozen=True)
class ValueInfo:
  """How one value of a metric is computed and read.

  Attributes:
    better: 'higher', 'lower', or '' if neither direction is better.
    unit: Unit, such as 'px'; '' for none.
    statistic: 'mean' of a number per clip, 'proportion' of clips, or 'number'
      for a value of the whole set, which has no interval.
    bounds: Smallest and largest possible value of a 'mean'.
  """

  better: Literal['higher', 'lower', '']
  unit: str = ''
  statistic: Literal['mean', 'proportion', 'number'] = 'mean'
  bounds: tuple[float, float] = (0.0, np.inf)


def check_source(metric: str, source: pipeline.Source, *classes: type) -> None:
  """Raises ValueError unless `source` is an instance of one of `classes`.

  Args:
    metric: Name of the metric that needs such a source.
    source: Source of the reference clips.
    *classes: Datasets that the metric can verify.
  """
  if not isinstance(source, classes):
    allowed = ' or '.join(
      f'{cls.__module__.removeprefix("vgen_jax.")}.{cls.__name__}'
      for cls in classes
    )
    raise ValueError(
      f'Metric {metric!r} can only verify clips of {allowed}; the data is'
      f' {type(source).__name__}. Use metrics that fit any data, such as'
      ' flicker or copies.'
    )
