"""What is done to a clip between a file and a batch, in time and in space."""

from collections.abc import Mapping

import numpy as np
from PIL import Image

# What to do with a video that is shorter than a clip.
SHORT = ('error', 'loop', 'hold')

# By how much of its pitch a clip may overrun a video, by rounding: containers
# round the times of frames, and rates such as 30000 / 1001 are no round number.
TOLERANCE = 0.05


def num_windows(length: float, num_frames: int, pitch: float) -> int:
  """Returns how many clips, one after another, lie in a stretch of video.

  Args:
    length: From the first frame of the stretch to its last, in any unit.
    num_frames: Frames of a clip.
    pitch: From one frame of a clip to the next, in the same unit.

  Returns:
    A number of clips without a frame in common; 0 if none fits.
  """
  room = length - (num_frames - 1 - TOLERANCE) * pitch
  return int(room // (num_frames * pitch)) + 1 if room >= 0 else 0


def places(
  start: float,
  num_frames: int,
  pitch: float,
  first: float,
  last: float,
  short: str,
) -> np.ndarray:
  """Returns where the frames of a clip are taken, float `[t]`.

  Args:
    start: Of the clip.
    num_frames: Frames of the clip.
    pitch: From one frame of the clip to the next.
    first: First place that may be taken.
    last: Last one; what comes later goes by `short`.
    short: 'hold' stays at `last`; 'loop' plays there and back, with no cut;
      'error' raises.

  Raises:
    ValueError: If the clip ends too late, or `short` is none of these.
  """
  place_t = start + pitch * np.arange(num_frames)
  if place_t[-1] <= last + TOLERANCE * pitch:
    return place_t
  if short == 'hold':
    return np.minimum(place_t, last)
  if short == 'loop':
    length = max(last - first, 1e-9)  # 0 if there is but one frame.
    place_t = last - np.abs((place_t - first) % (2 * length) - length)
    return np.clip(place_t, first, last)
  raise ValueError(
    f'A clip from {start:g} to {place_t[-1]:g} does not fit in {first:g} to'
    f" {last:g}, and short is {short!r}; take 'loop' or 'hold'."
  )


def spread(room: float, number: int) -> np.ndarray:
  """Returns where to put `number` windows evenly in `room`, float `[number]`.

  They begin at 0 and end at `room`; one alone is in the middle.
  """
  return np.linspace(0, room, number) if number > 1 else np.array([room / 2])


def jittered(
  place_t: np.ndarray,
  most: float,
  first: float,
  last: float,
  rng: np.random.Generator,
) -> np.ndarray:
  """Returns places, each moved by up to `most`, within `first` to `last`."""
  if not most:
    return place_t
  place_t = place_t + rng.uniform(-most, most, place_t.shape)
  return np.clip(place_t, first, last)


def fit(
  video_thwc: np.ndarray,
  height: int,
  width: int,
  down: float = 0.5,
  right: float = 0.5,
) -> np.ndarray:
  """Cuts the largest piece of the right shape, and resizes it, antialiased.

  A smaller piece is an average of what each of its pixels covers; a larger one
  is interpolated. Nothing is stretched.

  Args:
    video_thwc: uint8, of 1 channel or 3.
    height: Of the outcome, in pixels.
    width: Of the outcome, in pixels.
    down: Where to cut: 0 is at the top, 1 at the bottom.
    right: Where to cut: 0 is at the left, 1 at the right.
  """
  h, w = video_thwc.shape[1:3]
  scale = min(h / height, w / width)
  cut_h, cut_w = height * scale, width * scale
  y, x = (h - cut_h) * down, (w - cut_w) * right
  if scale == 1:
    y, x = round(y), round(x)
    return video_thwc[:, y : y + height, x : x + width]
  method = Image.Resampling.BOX if scale > 1 else Image.Resampling.BICUBIC
  box = (x, y, min(x + cut_w, w), min(y + cut_h, h))
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


def with_channels(video_thwc: np.ndarray, num_channels: int) -> np.ndarray:
  """Returns the video in grey (1 channel) or colour (3), uint8.

  Grey is the luma of ITU-R BT.601, which is what PNG and JPEG readers take.
  """
  if video_thwc.shape[-1] == num_channels:
    return video_thwc
  if num_channels == 3:
    return np.repeat(video_thwc, 3, axis=-1)
  luma_thw = video_thwc.astype(np.float32) @ np.float32([0.299, 0.587, 0.114])
  return np.round(luma_thw).astype(np.uint8)[..., None]


def mirrored(video_thwc: np.ndarray) -> np.ndarray:
  """Returns the video with left and right exchanged."""
  return video_thwc[:, :, ::-1]


def check_actions(width: int, changes: Mapping[str, bool]) -> None:
  """Raises ValueError if clips with actions are to be changed.

  What an action is in the mirror nobody says, and of frames left out the
  actions would be lost, though they led to the next frame that is shown.

  Args:
    width: Numbers in an action; 0 allows all.
    changes: Whether each key of `config.data` mirrors clips or skips frames.
  """
  asked = [key for key, is_asked in changes.items() if is_asked]
  if width and asked:
    raise ValueError(
      f'config.data has {asked} for clips with actions: these are of each frame'
      ' as it was filmed, and would not fit mirrored or skipped frames. Leave'
      f' {asked} out, or the actions.'
    )
