"""Types of arrays, batches, conditions and schemas."""

import dataclasses
from typing import Annotated, Any, NotRequired, TypedDict

import jax
import numpy as np

Array = jax.Array
Clip = dict[str, np.ndarray]  # One clip of a Batch on a host, without axis b.
ClipShape = tuple[int, int, int, int]  # (t, h, w, c)
Metrics = dict[str, Array]  # {name: float32 scalar}
Params = dict[str, Any]  # {part: tree of arrays}


@dataclasses.dataclass(frozen=True)
class Mark:
  """Mark in an annotation of a value in a spec.

  Attributes:
    kind: 'path', or the name of a range in config/ranges.py.
  """

  kind: str


# Text of a path in a config; `~` in it stands for the home directory.
PathText = Annotated[str, Mark('path')]
# Numbers and lists in specs with a range, which config/ranges.py checks.
Size = Annotated[int, Mark('size')]  # 1 or more.
Count = Annotated[int, Mark('count')]  # 0 or more.
Rate = Annotated[float, Mark('rate')]  # 0 or more and less than 1.
Positive = Annotated[float, Mark('positive')]
Sizes = Annotated[tuple[Size, ...], Mark('not empty')]


class Batch(TypedDict):
  """A batch of clips with their labels, texts and other conditions.

  The pipeline yields `video` as uint8, a quarter of the bytes of float32; the
  train step converts it to float32 in [-1, 1] once, on the device, and adds
  `position` and `step`. Losses are given the float form. A batch of `codes` or
  `latents` that a tokenizer computed has no `video`.

  All keys are optional, and have the same meaning in every source.
  """

  video: NotRequired[Array]  # uint8 [b, t, h, w, c]; in a step in [-1, 1].
  label: NotRequired[Array]  # int32 [b], class indices from 0.
  text: NotRequired[Array]  # int32 [b, n], tokens (data/text.py).
  text_mask: NotRequired[Array]  # bool [b, n], False where text is padding.
  action: NotRequired[Array]  # float32 [b, t, a], taken at each frame.
  audio: NotRequired[Array]  # float32 [b, t, f], log-mel (data/files/audio.py).
  layout: NotRequired[Array]  # int32 [b, t, h, w], the class of each pixel.
  flow: NotRequired[Array]  # float32 [b, t, h, w, 2], to the previous frame.
  degraded: NotRequired[Array]  # uint8 [b, t, h, w, c], a clip to restore.
  reference: NotRequired[Array]  # uint8 [b, n, t, h, w, c], same subject.
  reference_layout: NotRequired[Array]  # int32 [b, n, t, h, w].
  codes: NotRequired[Array]  # int32 [b, t, h, w], for families over codes.
  latents: NotRequired[Array]  # float [b, t, h, w, d], standardized.
  position: NotRequired[Array]  # int32 [b], index of the clip in the batch.
  step: NotRequired[Array]  # int32 [b], all equal: completed steps.


class Condition(TypedDict, total=False):
  """Conditions of clips in sampling; all keys are optional.

  core/modalities.py states kind, size and origin of each.
  """

  label: Array  # int32 [b], class indices from 0.
  text: Array  # int32 [b, n], with `text_mask`.
  text_mask: Array  # bool [b, n].
  action: Array  # float32 [b, t, a].
  audio: Array  # float32 [b, t, f].
  layout: Array  # int32 [b, t, h, w].
  flow: Array  # float32 [b, t, h, w, 2], in pixels.
  degraded: Array  # float32 [b, t, h, w, c] in [-1, 1].
  reference: Array  # float32 [b, n, t, h, w, c] in [-1, 1].
  reference_layout: Array  # int32 [b, n, t, h, w].
  known_video: Array  # float32 [b, t, h, w, c] in [-1, 1], where `known`.
  known: Array  # bool [b, t, h, w, 1], or of codes [b, t, h, w].
  known_codes: Array  # int32 [b, t, h, w], of families over codes.


@dataclasses.dataclass(frozen=True)
class Schema:
  """Sizes and names that hold for all clips of a source; models use them.

  Attributes:
    clip_shape: (t, h, w, c), in frames, pixels, pixels, channels.
    num_classes: Number of labels; 0 if clips have none.
    class_names: Name of each label, or () if they have none.
    frames_per_second: Frame rate at which clips are shown.
    vocab_size: Number of text tokens; 0 if clips have no text.
    action_width: Width of an action; 0 if clips have none.
    audio_bands: Number of mel bands of the audio; 0 if clips have none.
    num_segments: Number of classes of pixels in layouts; 0 if clips have none.
    sizes: Sizes of further modalities, ((name, size), ...), as
      core/modalities.py names them.
    vocabulary: Name that identifies the vocabulary of the text; '' if clips
      have no text.
  """

  clip_shape: ClipShape
  num_classes: int = 0
  class_names: tuple[str, ...] = ()
  frames_per_second: float = 8.0
  vocab_size: int = 0
  action_width: int = 0
  audio_bands: int = 0
  num_segments: int = 0
  sizes: tuple[tuple[str, int], ...] = ()
  vocabulary: str = ''
