"""The types that every floor shares."""

import dataclasses
from typing import Any, NotRequired, TypedDict

import jax
import numpy as np

Array = jax.Array
Clip = dict[str, np.ndarray]  # An entry of a Batch, on a host, without axis b.
ClipShape = tuple[int, int, int, int]  # (t, h, w, c)
Metrics = dict[str, Array]  # {name: float32 scalar}
Params = dict[str, Any]  # {part: tree of arrays}


class Batch(TypedDict):
  """A batch of clips with what is known of them.

  The pipeline yields `video` as uint8, a quarter of the bytes of float32; the
  train step turns it into float32 in [-1, 1] once, on the device, and adds
  `position`. Losses see the float form.
  """

  video: Array  # uint8 [b, t, h, w, c]; float32 in [-1, 1] within a step.
  label: NotRequired[Array]  # int32 [b], class ids from 0.
  position: NotRequired[Array]  # int32 [b], a clip's place in the batch.


class Condition(TypedDict, total=False):
  """What a model is told of the clips to draw: keys of a Batch, or fewer."""

  label: Array  # int32 [b], class ids from 0.


@dataclasses.dataclass(frozen=True)
class Schema:
  """What a source promises of its clips, and a model is built with.

  Attributes:
    clip_shape: (t, h, w, c), in frames, pixels, pixels, channels.
    num_classes: Number of labels; 0 if clips bear none.
    class_names: A name for each label, or () if they have none.
    frames_per_second: Speed at which a clip is meant to be shown.
  """

  clip_shape: ClipShape
  num_classes: int = 0
  class_names: tuple[str, ...] = ()
  frames_per_second: float = 8.0
