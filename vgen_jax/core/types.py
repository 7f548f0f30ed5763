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
  `position` and `step`. Losses see the float form. There is no `video`
  where clips come as the `codes` or `latents` that a tokenizer made of them.

  What is known of a clip is optional, and named alike in every source.
  """

  video: NotRequired[Array]  # uint8 [b, t, h, w, c]; in a step in [-1, 1].
  label: NotRequired[Array]  # int32 [b], class ids from 0.
  text: NotRequired[Array]  # int32 [b, n], tokens (data/text.py).
  text_mask: NotRequired[Array]  # bool [b, n], False where text is padding.
  action: NotRequired[Array]  # float32 [b, t, a], done at each frame.
  audio: NotRequired[Array]  # float32 [b, t, f], log-mel (data/files/audio.py).
  codes: NotRequired[Array]  # int32 [b, t, h, w], for families over codes.
  latents: NotRequired[Array]  # float [b, t, h, w, d], standardized.
  position: NotRequired[Array]  # int32 [b], a clip's place in the batch.
  step: NotRequired[Array]  # int32 [b], all alike: the updates made before.


class Condition(TypedDict, total=False):
  """What a model is told of the clips to draw: keys of a Batch, or fewer."""

  label: Array  # int32 [b], class ids from 0.
  text: Array  # int32 [b, n], with `text_mask`.
  text_mask: Array  # bool [b, n].
  action: Array  # float32 [b, t, a].
  audio: Array  # float32 [b, t, f].
  known_video: Array  # float32 [b, t, h, w, c] in [-1, 1], where `known`.
  known: Array  # bool [b, t, h, w, 1], or of codes [b, t, h, w].
  known_codes: Array  # int32 [b, t, h, w], of families over codes.


@dataclasses.dataclass(frozen=True)
class Schema:
  """What a source promises of its clips, and a model is built with.

  Attributes:
    clip_shape: (t, h, w, c), in frames, pixels, pixels, channels.
    num_classes: Number of labels; 0 if clips bear none.
    class_names: A name for each label, or () if they have none.
    frames_per_second: Speed at which a clip is meant to be shown.
    vocab_size: Number of text tokens; 0 if clips bear no text.
    action_width: Numbers that an action is; 0 if clips bear none.
    audio_bands: Mel bands of the sound; 0 if clips bear none.
  """

  clip_shape: ClipShape
  num_classes: int = 0
  class_names: tuple[str, ...] = ()
  frames_per_second: float = 8.0
  vocab_size: int = 0
  action_width: int = 0
  audio_bands: int = 0
