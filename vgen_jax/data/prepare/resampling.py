"""Selection, division and resizing of the frames of a raw video to store."""

import numpy as np

from vgen_jax.data import clips


def sampled(
  num_frames: int, fps: float, frames_per_second: float | None
) -> tuple[np.ndarray, float]:
  """Returns the indices of the frames to keep, int `[n]`, and their rate.

  If the new rate is higher, frames are repeated.

  Args:
    num_frames: Number of frames of the video.
    fps: Frames per second of the video.
    frames_per_second: Frames per second to keep; None to keep all frames.
  """
  if frames_per_second is None:
    return np.arange(num_frames), fps
  stride = fps / frames_per_second
  number_n = np.arange(0, num_frames - 1 + 0.05 * stride, stride)
  number_n = np.floor(number_n + 0.05 * min(stride, 1)).astype(int)
  return np.minimum(number_n, num_frames - 1), frames_per_second


def parts(number_n: np.ndarray, max_frames: int) -> list[np.ndarray]:
  """Returns parts of nearly equal length, of at most `max_frames` each.

  Args:
    number_n: Indices of frames.
    max_frames: Largest length of a part, 1 or more.
  """
  return np.array_split(number_n, -(-len(number_n) // max_frames))


def resized(video_thwc: np.ndarray, size: int | None) -> np.ndarray:
  """Returns a video with a shorter side of `size` and an even longer side.

  Args:
    video_thwc: Video, uint8.
    size: Shorter side in pixels; smaller videos are not changed. None to keep
      all sizes.
  """
  h, w = video_thwc.shape[1:3]
  if size is None or min(h, w) <= size:
    return video_thwc
  scale = size / min(h, w)
  h, w = (
    size if x == min(h, w) else max(size, 2 * round(x * scale / 2))
    for x in (h, w)
  )
  return clips.crop_and_resize(video_thwc, h, w)
