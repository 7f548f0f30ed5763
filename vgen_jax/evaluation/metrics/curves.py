"""Curves of numbers, such as quality by frame, for reports of evaluations."""

from collections.abc import Mapping, Sequence
import dataclasses

from vgen_jax.core import json_files

Numbers = Sequence[float | None]


@dataclasses.dataclass(frozen=True)
class Curve:
  """Numbers over frames, or over another quantity.

  Attributes:
    x_name: Label of the horizontal axis, with its unit.
    y_name: Label of the vertical axis.
    x: Positions of the numbers, ascending.
    series: {label: a number for each x, None where there is none}.
    bands: {label: (low, high)}, 95 % intervals of some of the series; low and
      high have a number for each x.

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
      object.__setattr__(self, name, json_files.plain(getattr(self, name)))
    if None in self.x:
      raise ValueError(f'x of a curve is {self.x}; all numbers must be finite.')
    lines = [*self.series.items()]
    for label, band in self.bands.items():
      if label not in self.series:
        raise ValueError(
          f'A band of {label!r} has no series; the series are'
          f' {list(self.series)}. Name the band after one of them.'
        )
      lines += [(f'{label} (limit of its band)', limit) for limit in band]
    for label, line in lines:
      if len(line) != len(self.x):
        raise ValueError(
          f'Curve {label!r} has {len(line)} numbers; x has {len(self.x)}. Give'
          ' one for each x, or None where there is none.'
        )
