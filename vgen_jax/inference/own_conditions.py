"""Conditions from files of the user: videos to continue, and arrays.

Functions return the entries of one clip, without a batch dimension. `repeated`
converts them to a condition of any number of clips.
"""

from collections.abc import Mapping, Sequence
import pathlib
import re

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core import file_paths
from vgen_jax.core import modalities
from vgen_jax.core import pixels
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Schema
from vgen_jax.data import clips
from vgen_jax.data.files import codecs
from vgen_jax.data.files import segments
from vgen_jax.families.base import VideoModel

_RANGE = re.compile(r'(\d+):(\d+)')


def read_video(
  path: str, clip_shape: ClipShape, frames_per_second: float | None = None
) -> np.ndarray:
  """Returns the first frames of a video, uint8 `[n, h, w, c]`, n <= t.

  Frames are cropped in the middle and resized as those of a folder of videos. A
  video that is shorter than a clip has fewer than t frames.

  Args:
    path: Local video file.
    clip_shape: (t, h, w, c) of the clips of the model.
    frames_per_second: Rate at which frames are taken; None for every frame.

  Raises:
    ClipError: If the file is missing or not a video.
  """
  index = codecs.scan(str(file_paths.local(path)))
  spec = segments.ClipSpec(clip_shape[0], frames_per_second)
  if spec.is_timed:
    position_n = np.arange(spec.num_frames) * spec.frame_interval
    position_n = position_n[position_n <= index.time_n[-1] + 1e-9]
    number_n = index.at(position_n)
  else:
    number_n = np.arange(min(spec.num_frames, len(index)))
  return codecs.read(index, number_n, clips.frame_resizer(clip_shape[1:]))


def known_ranges(text: str) -> list[tuple[int, int]]:
  """Returns ranges of frames, [(start, stop)], from a text such as '0:2,6:8'.

  Frames are counted from 0; `stop` is not included.

  Raises:
    ValueError: If the text is not of this form, or a range is empty.
  """
  ranges = []
  for part in text.split(','):
    match = _RANGE.fullmatch(part.strip())
    if match is None or int(match[1]) >= int(match[2]):
      raise ValueError(
        f'--known is {text!r}; give ranges START:STOP of frames, with the first'
        ' frame 0 and START < STOP, such as 0:2 or 0:2,6:8.'
      )
    ranges.append((int(match[1]), int(match[2])))
  return ranges


def known_frames(
  model: VideoModel,
  video_nhwc: np.ndarray,
  clip_shape: ClipShape,
  ranges: Sequence[tuple[int, int]] = (),
) -> dict[str, np.ndarray]:
  """Returns the entries 'known_video' and 'known' of a clip to complete.

  'known_video' is float32 `[t, h, w, c]` in [-1, 1], and 0 in frames that are
  not known; 'known' is bool `[t, h, w, 1]`.

  Args:
    model: Model that completes the clip.
    video_nhwc: First frames of the clip, uint8, up to the last known one or
      more. Frames that are not known may have any values.
    clip_shape: (t, h, w, c) of the clips of the model.
    ranges: [(start, stop)] of the frames that are known; empty for the number
      of first frames that the model needs.

  Raises:
    ValueError: If the model cannot be given frames, or needs others, or a range
      is not within the clip or the video.
  """
  if 'known_video' not in model.condition_keys:
    keys = list(model.condition_keys)
    raise ValueError(
      f'{type(model).__name__} cannot continue a video: its conditions are'
      f' {keys}, without known_video. Use a model of prediction or a prior over'
      ' codes.'
    )
  t, num_known = clip_shape[0], model.num_known
  if not ranges and not num_known:
    raise ValueError(
      f'{type(model).__name__} accepts any known frames; state which frames of'
      ' the video are known, such as --known=0:2.'
    )
  ranges = list(ranges) or [(0, num_known)]
  limit = min(t, len(video_nhwc))
  if wrong := [x for x in ranges if x[1] > limit]:
    raise ValueError(
      f'--known has the range {wrong[0][0]}:{wrong[0][1]}, but clips have {t}'
      f' frames and the video has {len(video_nhwc)}; ranges must end at {limit}'
      ' or before. Change --known, or give a longer video.'
    )
  known_t = np.zeros(t, bool)
  for start, stop in ranges:
    known_t[start:stop] = True
  if num_known and not np.array_equal(known_t, np.arange(t) < num_known):
    raise ValueError(
      f'{type(model).__name__} continues exactly {num_known} known frames, but'
      f' the known frames are {np.flatnonzero(known_t).tolist()}; leave out'
      f' --known, or set it to 0:{num_known}.'
    )
  video_thwc = np.zeros(clip_shape, np.uint8)
  num = min(t, len(video_nhwc))
  video_thwc[:num] = video_nhwc[:num]
  given = with_known_frames(video_thwc, known_t)
  return given | {'known_video': given['known_video'] * given['known']}


def with_known_frames(
  video: np.ndarray, known_t: np.ndarray
) -> dict[str, np.ndarray]:
  """Returns the entries 'known_video' and 'known' of clips.

  'known_video' is float32 in [-1, 1], with the shape of `video`; 'known' is
  bool, with one channel. The pixels of frames that are not known remain in
  'known_video'.

  Args:
    video: uint8 `[t, h, w, c]`, or `[b, t, h, w, c]`.
    known_t: Which frames are known, bool.
  """
  return {
    'known_video': pixels.to_float(video),
    'known': np.broadcast_to(
      known_t[:, None, None, None], (*video.shape[:-1], 1)
    ),
  }


def from_files(
  model: VideoModel, files: Sequence[str], schema: Schema
) -> dict[str, np.ndarray]:
  """Returns the conditions that files contain, {key: array of one clip}.

  Args:
    model: Model that uses them.
    files: Texts 'KEY=FILE': KEY is a condition of the model, and FILE an array
      for one clip (.npy) or, if it has pixels, a video.
    schema: Schema of the clips that the model was trained on.

  Raises:
    ValueError: If a text has another form, the model has no such condition, or
      an array has another shape, dtype or range; the message names it.
    ClipError: If a video cannot be read.
  """
  allowed = set(modalities.without_target(model.condition_keys)) - {'label'}
  found = {}
  for text in files:
    key, _, path = text.partition('=')
    if not key or not path:
      raise ValueError(
        f'--condition is {text!r}; give KEY=FILE, such as layout=scene.npy.'
      )
    checks.known_key('condition of this model', key, allowed)
    found[key] = _array(key, path, schema)
  return found


def repeated(
  condition: Mapping[str, np.ndarray], num_clips: int
) -> dict[str, np.ndarray]:
  """Returns the same entries for each of b clips, `[b, ...]`."""
  return {
    key: np.broadcast_to(x, (num_clips, *x.shape))
    for key, x in condition.items()
  }


def _array(key: str, path: str, schema: Schema) -> np.ndarray:
  """Returns the array of one clip; pixels are float32 in [-1, 1]."""
  clip_shape = schema.clip_shape
  row = next(x for x in modalities.TABLE if key in x.keys)
  is_mask = key == row.mask
  axes = (row.mask_axes if is_mask else row.axes)[1:]  # Without that of clips.
  dtype = np.dtype(bool if is_mask else row.dtype)
  is_pixels = dtype == np.uint8
  if pathlib.Path(path).suffix == '.npy':
    array = _loaded(path)
  elif is_pixels:
    array = read_video(path, clip_shape)
    array = array[None] if axes == 'nthwc' else array
  else:
    raise ValueError(
      f'--condition={key}={path}: {key} needs an array of {dtype} numbers;'
      f' save it with numpy.save as a file {key}.npy.'
    )
  kinds = {'i': 'iu', 'u': 'u', 'f': 'f', 'b': 'b'}[dtype.kind]
  if array.dtype.kind not in kinds or (is_pixels and array.dtype != np.uint8):
    raise ValueError(
      f'{path} has dtype {array.dtype}; the condition {key} needs {dtype}.'
      ' Convert the array with astype before you save it.'
    )
  sizes = dict(zip('thwc', clip_shape, strict=True))
  wanted = [sizes.get(axis, axis) for axis in axes]
  if array.ndim != len(axes) or any(
    isinstance(size, int) and size != given
    for size, given in zip(wanted, array.shape, strict=True)
  ):
    raise ValueError(
      f'{path} has shape {array.shape}; for clips of shape {clip_shape}, the'
      f' condition {key} of one clip has shape [{", ".join(map(str, wanted))}].'
      ' Save an array of this shape, without a batch dimension.'
    )
  if dtype.kind == 'i' and array.size:
    limit = modalities.sizes(schema).get(row.size) or np.iinfo(dtype).max + 1
    if array.min() < 0 or array.max() >= limit:
      raise ValueError(
        f'{path} has numbers from {array.min()} to {array.max()}; those of'
        f' {key} must be from 0 to {limit - 1}. Correct the array.'
      )
  elif dtype.kind == 'f' and not np.isfinite(array).all():
    raise ValueError(
      f'{path} has numbers that are NaN or infinite; all must be finite.'
      ' Correct the array.'
    )
  return pixels.to_float(array) if is_pixels else array.astype(dtype)


def _loaded(path: str) -> np.ndarray:
  """Returns the array of a .npy file, which may not hold Python objects."""
  try:
    return np.load(file_paths.local(path), allow_pickle=False)
  except (OSError, ValueError, EOFError) as error:
    raise ValueError(
      f'{path} cannot be read as an array: {error} Save it with numpy.save.'
    ) from error
