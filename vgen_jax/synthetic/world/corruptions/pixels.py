"""Corruptions that change the pixels of frames.

Each function is called as `(clips, level, rng)` and returns corrupted clips,
uint8 `[b, t, h, w, c]`; the second argument states the strength of the
corruption. registry.py lists the levels and their units.
"""

import numpy as np

from vgen_jax.synthetic.world import drawing
from vgen_jax.synthetic.world.corruptions import frames
from vgen_jax.synthetic.world.corruptions import rerendering

Clips, Rng = rerendering.Clips, rerendering.Rng


def blur(clips: Clips, deviation: float, rng: Rng) -> np.ndarray:
  """Blurs frames with a Gaussian kernel of this deviation, in pixels."""
  video = clips.video_bthwc.astype(np.float32)
  for axis in (2, 3):
    position = np.arange(video.shape[axis], dtype=np.float32)
    weight_xy = np.exp(-0.5 * ((position - position[:, None]) / deviation) ** 2)
    weight_xy /= weight_xy.sum(1, keepdims=True)
    video = np.moveaxis(np.moveaxis(video, axis, -1) @ weight_xy.T, -1, axis)
  return _to_uint8(video)


def pixelate(clips: Clips, width: float, rng: Rng) -> np.ndarray:
  """Replaces squares of `width` x `width` pixels by their mean.

  The width must divide the height and width of the frames.
  """
  b, t, h, w, c = clips.video_bthwc.shape
  k = int(width)
  shape = (b, t, h // k, k, w // k, k, c)
  mean = clips.video_bthwc.reshape(shape).mean((3, 5), keepdims=True)
  return _to_uint8(np.broadcast_to(mean, shape).reshape(b, t, h, w, c))


def noise(clips: Clips, deviation: float, rng: Rng) -> np.ndarray:
  """Adds Gaussian noise of this standard deviation to uint8 values."""
  noise_bthwc = rng.standard_normal(clips.video_bthwc.shape, np.float32)
  return _to_uint8(clips.video_bthwc + deviation * noise_bthwc)


def gradient(clips: Clips, height: float, rng: Rng) -> np.ndarray:
  """Adds a ramp to uint8 values: 0 at the left, `height` at the right."""
  ramp_w1 = np.linspace(0, height, clips.video_bthwc.shape[3])[:, None]
  return _to_uint8(clips.video_bthwc + ramp_w1)


def checkerboard(clips: Clips, height: float, rng: Rng) -> np.ndarray:
  """Adds a checkerboard of contrast `height` to uint8 values.

  It has about 16 cells along the shorter side of the frame.
  """
  h, w = clips.video_bthwc.shape[2:4]
  y_hw, x_hw = np.indices((h, w)) // max(1, min(h, w) // 16)
  sign_hw1 = np.where((y_hw + x_hw) % 2, 0.5, -0.5)[..., None]
  return _to_uint8(clips.video_bthwc + height * sign_hw1)


def flash(clips: Clips, height: float, rng: Rng) -> np.ndarray:
  """Makes one frame brighter, by `height` levels."""
  flash_bt = frames.frames_since_event(clips, 1, rng) == 1
  return _to_uint8(clips.video_bthwc + height * flash_bt[..., None, None, None])


def trail(clips: Clips, fraction: float, rng: Rng) -> np.ndarray:
  """Adds trails: a fraction of each frame remains visible in the next one."""
  video = clips.video_bthwc - float(drawing.BACKGROUND)
  for t in range(1, video.shape[1]):
    old, new = fraction * video[:, t - 1], video[:, t]
    video[:, t] = np.where(np.abs(new) >= np.abs(old), new, old)
  return _to_uint8(video + drawing.BACKGROUND)


def ghost(clips: Clips, strength: float, rng: Rng) -> np.ndarray:
  """Adds the object of the next clip, with the opacity `strength`."""
  other = np.roll(clips.video_bthwc, -1, 0) - float(drawing.BACKGROUND)
  return _to_uint8(clips.video_bthwc + strength * other)


def random(clips: Clips, level: float, rng: Rng) -> np.ndarray:
  """Shows uniform noise instead of the clips; `level` is not used."""
  return rng.integers(0, 256, clips.video_bthwc.shape, np.uint8)


def mean(clips: Clips, level: float, rng: Rng) -> np.ndarray:
  """Shows the mean of all clips; `level` is not used."""
  mean_thwc = np.rint(clips.video_bthwc.mean(0)).astype(np.uint8)
  return np.repeat(mean_thwc[None], len(clips.video_bthwc), 0)


def _to_uint8(video: np.ndarray) -> np.ndarray:
  return np.rint(np.clip(video, 0, 255)).astype(np.uint8)
