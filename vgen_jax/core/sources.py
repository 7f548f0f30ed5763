"""What a source of clips may offer in addition to clips by index.

A source declares an offer by its base class. `pipeline.Source` states what
every source has.
"""

import abc

import numpy as np

from vgen_jax.core.types import Clip


class Captioned(abc.ABC):
  """Base class of sources whose clips have captions."""

  @abc.abstractmethod
  def caption(self, index: int) -> str:
    """Returns the caption of clip `index`; '' if this clip has none."""


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
