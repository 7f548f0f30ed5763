"""Operations on a clip between a file and a batch, in time and in space."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image

from vgen_jax.core import pixels

# What to do with a video that is shorter than a clip.
SHORT = ('error', 'loop', 'hold')

# A clip may extend beyond the end of a video by this part of a frame interval:
# containers round the times of frames, and rates such as 30000 / 1001 are not
# round numbers.
TOLERANCE = 0.05


def num_windows(length: float, num_frames: int, frame_interval: float) -> int:
  """Returns the number of consecutive clips in a segment of a video.

  Args:
    length: Distance from the first frame of the segment to its last, in any
      unit.
    num_frames: Number of frames of a clip.
    frame_interval: Distance from one frame of a clip to the next, in the same
      unit.

  Returns:
    The number of clips without a common frame; 0 if none fits.
  """
  slack = length - (num_frames - 1 - TOLERANCE) * frame_interval
  return int(slack // (num_frames * frame_interval)) + 1 if slack >= 0 else 0


def positions(
  start: float,
  num_frames: int,
  frame_interval: float,
  first: float,
  last: float,
  short: str,
) -> np.ndarray:
  """Returns the positions of the frames of a clip in a video, float `[t]`.

  Positions are times in seconds, or indices of frames.

  Args:
    start: Position of the first frame of the clip.
    num_frames: Number of frames of the clip.
    frame_interval: Distance from one frame of the clip to the next.
    first: First position in the video that may be used.
    last: Last position in the video that may be used.
    short: What to do about positions after `last`: 'hold' repeats the last
      frame; 'loop' plays the video forward and backward, without a cut;
      'error' raises an error.

  Raises:
    ValueError: If the clip ends too late and `short` is 'error'.
  """
  position_t = start + frame_interval * np.arange(num_frames)
  if position_t[-1] <= last + TOLERANCE * frame_interval:
    return position_t
  if short == 'hold':
    return np.minimum(position_t, last)
  if short == 'loop':
    length = max(last - first, 1e-9)  # A video of one frame has length 0.
    position_t = last - np.abs((position_t - first) % (2 * length) - length)
    return np.clip(position_t, first, last)
  raise ValueError(
    f'A clip from {start:g} to {position_t[-1]:g} does not fit in a video from'
    f" {first:g} to {last:g}, and short is {short!r}. Set short='loop' or"
    " 'hold', or use shorter clips."
  )


def evenly_spaced(length: float, number: int) -> np.ndarray:
  """Returns evenly spaced positions from 0 to `length`, float `[number]`.

  A single position is in the middle.
  """
  if number == 1:
    return np.array([length / 2])
  return np.linspace(0, length, number)


def jittered(
  position_t: np.ndarray,
  max_shift: float,
  first: float,
  last: float,
  rng: np.random.Generator,
) -> np.ndarray:
  """Returns positions with random shifts.

  Args:
    position_t: Positions of the frames of a clip, in frames or seconds.
    max_shift: Largest shift in either direction, in the same unit; 0 for none.
    first: Smallest position that is returned.
    last: Largest position that is returned.
    rng: Generator of the shifts, which are uniformly distributed.
  """
  if not max_shift:
    return position_t
  shift_t = rng.uniform(-max_shift, max_shift, position_t.shape)
  return np.clip(position_t + shift_t, first, last)


def crop_and_resize(
  video_thwc: np.ndarray,
  height: int,
  width: int,
  vertical: float = 0.5,
  horizontal: float = 0.5,
) -> np.ndarray:
  """Returns the largest crop of an aspect ratio, resized with antialiasing.

  Downsampling takes the mean of the area of each pixel; upsampling is bicubic.

  Args:
    video_thwc: uint8 video with 1 channel or 3.
    height: Height of the result in pixels.
    width: Width of the result in pixels.
    vertical: Position of the crop, from 0 (top) to 1 (bottom).
    horizontal: Position of the crop, from 0 (left) to 1 (right).
  """
  h, w = video_thwc.shape[1:3]
  scale = min(h / height, w / width)
  crop_h, crop_w = height * scale, width * scale
  y, x = (h - crop_h) * vertical, (w - crop_w) * horizontal
  if scale == 1:
    y, x = round(y), round(x)
    return video_thwc[:, y : y + height, x : x + width]
  method = Image.Resampling.BOX if scale > 1 else Image.Resampling.BICUBIC
  box = (x, y, min(x + crop_w, w), min(y + crop_h, h))
  is_grey = video_thwc.shape[-1] == 1
  images = [
    np.asarray(
      Image.fromarray(image_hwc[..., 0] if is_grey else image_hwc).resize(
        (width, height), method, box
      )
    )
    for image_hwc in video_thwc
  ]
  return np.stack(images).reshape(len(images), height, width, -1)


def frame_resizer(
  shape: Sequence[int], vertical: float = 0.5, horizontal: float = 0.5
) -> Callable[[np.ndarray], np.ndarray]:
  """Returns a function that crops and resizes a frame, uint8 `[h, w, c]`.

  The result does not keep the memory of the frame in use.

  Args:
    shape: (h, w, c) of the result, with c 1 or 3.
    vertical: Position of the crop, as in `crop_and_resize`.
    horizontal: Position of the crop, as in `crop_and_resize`.
  """
  height, width, num_channels = shape

  def resize(image_hwc: np.ndarray) -> np.ndarray:
    video_thwc = crop_and_resize(
      image_hwc[None], height, width, vertical, horizontal
    )
    return with_channels(video_thwc, num_channels)[0].copy()

  return resize


def with_channels(video_thwc: np.ndarray, num_channels: int) -> np.ndarray:
  """Returns the video in grey (1 channel) or colour (3 channels), uint8.

  Grey is the luma of ITU-R BT.601, as in readers of PNG and JPEG.
  """
  if video_thwc.shape[-1] == num_channels:
    return video_thwc
  if num_channels == 3:
    return np.repeat(video_thwc, 3, axis=-1)
  return np.round(pixels.luma(video_thwc)).astype(np.uint8)[..., None]


def mirrored(video_thwc: np.ndarray) -> np.ndarray:
  """Returns the video with left and right exchanged."""
  return video_thwc[:, :, ::-1]


def check_actions(width: int, changes: Mapping[str, bool]) -> None:
  """Raises ValueError if clips with actions are to be mirrored or resampled.

  The mirror image of an action is not known, and if frames are skipped, so are
  the actions that lead to the next frame.

  Args:
    width: Number of values of an action; 0 if clips have no actions.
    changes: For each key of `config.data`, whether it mirrors clips or skips
      frames.
  """
  given = [key for key, is_given in changes.items() if is_given]
  if width and given:
    raise ValueError(
      f'config.data has {given} for clips with actions. An action belongs to a'
      ' frame of the original video and does not fit mirrored or skipped'
      f' frames: remove {given}, or the actions.'
    )
