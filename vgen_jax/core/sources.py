"""Optional capabilities of sources, in addition to returning clips by index.

A source declares a capability by deriving from its base class.
`pipeline.Source` states what every source has.
"""

import abc
from collections.abc import Mapping
import dataclasses

import numpy as np

from vgen_jax.core.types import Clip


@dataclasses.dataclass(frozen=True)
class Contents:
  """Numbers of clips in a source.

  Attributes:
    splits: {split: number of examples} of the whole dataset; {} if unknown.
    unit: What an example is, in the plural, such as 'clips' or 'videos'.
    clips_per_class: Number of clips of each label, int `[num_classes]`; None if
      unknown.
  """

  splits: Mapping[str, int] = dataclasses.field(default_factory=dict)
  unit: str = 'clips'
  clips_per_class: np.ndarray | None = None


class Captioned(abc.ABC):
  """Base class of sources whose clips have captions."""

  @abc.abstractmethod
  def caption(self, index: int) -> str:
    """Returns the caption of clip `index`; '' if this clip has none."""


class HasContents(abc.ABC):
  """Base class of sources that can count their clips without decoding them."""

  @abc.abstractmethod
  def contents(self) -> Contents:
    """Returns the numbers of clips of splits and of classes."""


class HasRandomViews(abc.ABC):
  """Base class of sources that take random views of their examples.

  Training uses `random_view` instead of `__getitem__`.
  """

  @abc.abstractmethod
  def random_view(self, index: int, rng: np.random.Generator) -> Clip:
    """Returns a random view of example `index`: its window, crop and flip.

    Args:
      index: Number of the example, from 0.
      rng: Generator of all random numbers of the view. It must not be kept.

    Raises:
      faults.ClipError: If the example cannot be read.
    """
