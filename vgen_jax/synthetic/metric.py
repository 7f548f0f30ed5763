"""Descriptions of the values of metrics of synthetic datasets."""

import dataclasses
from typing import Literal

import numpy as np


@dataclasses.dataclass(frozen=True)
class ValueInfo:
  """Description of one value of a metric.

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
