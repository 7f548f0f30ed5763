"""Criteria for clips generated from layouts, and clips that must not meet them.

Pixels are from 0 to 1.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from vgen_jax.nn import warp
from vgen_jax.synthetic import drawing
from vgen_jax.synthetic.layouts import source

_NEAR = 0.15  # Largest distance of a pixel's hue from that of its class.
_FLICKER = 0.08  # Amplitude of the texture of independent frames.


class Clips(NamedTuple):
  """Real clips with their truth; pixels from 0 to 1.

  Attributes:
    video_bthwc: Real clips.
    layout_bthw: Layouts.
    flow_bthwx: Exact flow to the previous frame, in pixels.
    hidden_bthw: Whether the pixel was hidden in the previous frame.
  """

  video_bthwc: np.ndarray
  layout_bthw: np.ndarray
  flow_bthwx: np.ndarray
  hidden_bthw: np.ndarray


class Video(NamedTuple):
  """Measurements of clips.

  Attributes:
    color_error: Error of the mean colour of each class, from 0 to 1.
    iou: Intersection over union of objects in clips and in layouts.
    warp_error: Difference between frames and warped previous frames, as a
      multiple of that of the real clips.
  """

  color_error: float
  iou: float
  warp_error: float

  @property
  def passes(self) -> bool:
    """Whether all numbers are within the limits of `video_translation.py`."""
    return (
      self.color_error <= 0.05 and self.iou >= 0.9 and self.warp_error <= 1.5
    )


class Layers(NamedTuple):
  """Measurements of flow and masks.

  Attributes:
    flow_error: Mean error of the flow on visible pixels of objects, in pixels.
    mask_hidden: Mean of the mask on pixels that were hidden before.
    mask_visible: Mean of the mask on all other pixels.
  """

  flow_error: float
  mask_hidden: float
  mask_visible: float

  @property
  def passes(self) -> bool:
    """Whether flow and mask are within the limits of `video_translation.py`."""
    return (
      self.flow_error <= 0.5
      and self.mask_hidden >= 0.7
      and self.mask_visible <= 0.3
    )


def load(clip_shape: tuple[int, ...], num: int, **options) -> Clips:
  """Returns clips of the split `validation`.

  Args:
    clip_shape: (t, h, w, c).
    num: Number of clips.
    **options: Arguments of the dataset.
  """
  data = source.Layouts(clip_shape, 'validation', **{**options, 'flow': True})
  found = [data[i] for i in range(num)]
  stack = lambda key: np.stack([clip[key] for clip in found])
  hidden = [data.truth(i).flow.occluded_before_thw for i in range(num)]
  return Clips(
    stack('video') / np.float32(255), stack('layout'), stack('flow'),
    np.stack(hidden),
  )  # fmt: skip


def video_numbers(video_bthwc: np.ndarray, clips: Clips) -> Video:
  """Returns the measurements of clips from 0 to 1."""
  errors, ious = [], []
  found_bthw = segments(video_bthwc)
  for number in range(len(source.CLASSES)):
    wanted = clips.layout_bthw == number
    errors.append(_color_error(video_bthwc, clips.video_bthwc, wanted))
    if number:
      found = found_bthw == number
      ious.append((found & wanted).sum() / max((found | wanted).sum(), 1))
  ratio = _change(video_bthwc, clips) / _change(clips.video_bthwc, clips)
  return Video(float(np.mean(errors)), float(np.mean(ious)), float(ratio))


def layer_numbers(
  flow_bthwx: np.ndarray, mask_bthw: np.ndarray, clips: Clips
) -> Layers:
  """Returns the measurements of flow and masks of frames with a previous one.

  Args:
    flow_bthwx: Flow to the frame before, in pixels.
    mask_bthw: Weights of new pixels.
    clips: Truth of the same frames.
  """
  hidden = clips.hidden_bthw
  error = np.linalg.norm(flow_bthwx - clips.flow_bthwx, axis=-1)
  return Layers(
    float(error[(clips.layout_bthw > 0) & ~hidden].mean()),
    float(mask_bthw[hidden].mean()),
    float(mask_bthw[~hidden].mean()),
  )


def segments(video_bthwc: np.ndarray) -> np.ndarray:
  """Returns the class of each pixel by its difference from grey, int32."""
  colors = np.array([drawing.COLORS[name] for name in drawing.COLOR_NAMES])
  hues = np.concatenate([np.zeros((1, 3)), 0.8 * _hue(colors / 255)])
  hue_bthwc = _hue(video_bthwc)
  distance = np.stack(
    [np.linalg.norm(hue_bthwc - hue, axis=-1) for hue in hues], axis=-1
  )
  nearest = distance.argmin(axis=-1)
  return np.where(distance.min(axis=-1) < _NEAR, nearest, -1)


def drift(video_bthwc: np.ndarray, clips: Clips) -> float:
  """Returns the colour error of classes in the last tenth of the frames."""
  last = -video_bthwc.shape[1] // 10
  errors = [
    _color_error(
      video_bthwc[:, last:],
      clips.video_bthwc[:, last:],
      clips.layout_bthw[:, last:] == number,
    )
    for number in range(len(source.CLASSES))
  ]
  return float(np.mean(errors))


def back_and_forth(clips: Clips, num_frames: int) -> Clips:
  """Returns longer clips that play forwards and backwards alternately.

  Flow and hidden pixels are those of the forward direction only.
  """
  t = clips.video_bthwc.shape[1]
  order = np.resize([*range(t), *range(t - 2, 0, -1)], num_frames)
  return Clips(*(x[:, order] for x in clips))


def cheats(clips: Clips) -> dict[str, np.ndarray]:
  """Returns clips that must not pass, {name: clips}."""
  video = clips.video_bthwc
  rng = np.random.default_rng(0)
  phase_bt1 = rng.uniform(0, 2 * np.pi, (*video.shape[:2], 1))
  # Each frame has waves of its own phase.
  waves_btw = _FLICKER * np.sin(np.arange(video.shape[3]) + phase_bt1)
  return {
    'first frame repeated': video[:, :1].repeat(video.shape[1], axis=1),
    'frames delayed by one': np.concatenate(
      [video[:, :1], video[:, :-1]], axis=1
    ),
    'independent frames': (video + waves_btw[:, :, None, :, None]).clip(0, 1),
    'layouts of other clips': np.roll(video, 1, axis=0),
  }


def layer_cheats(
  flow_bthwx: np.ndarray, mask_bthw: np.ndarray, clips: Clips
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """Returns flow and masks that must not pass, {name: (flow, mask)}.

  Args:
    flow_bthwx: Flow of a network, in pixels.
    mask_bthw: Masks of the network, from 0 to 1.
    clips: Truth of the same frames.
  """
  ones = np.ones_like(mask_bthw)
  return {
    'true flow, mask of ones': (clips.flow_bthwx, ones),
    'true flow, mask of zeros': (clips.flow_bthwx, 0 * ones),
    'no flow': (0 * flow_bthwx, mask_bthw),
  }


def _color_error(
  video: np.ndarray, other: np.ndarray, where: np.ndarray
) -> float:
  """Returns the difference of mean colours of clips; 0 without any pixel."""
  if not where.any():
    return 0.0
  return abs(video[where].mean(axis=0) - other[where].mean(axis=0)).mean()


def _change(video_bthwc: np.ndarray, clips: Clips) -> float:
  """Returns the mean difference of frames from warped previous frames."""
  flow = clips.flow_bthwx[:, 1:]
  before = warp.backward(jnp.asarray(video_bthwc[:, :-1]), jnp.asarray(flow))
  error = abs(np.asarray(before) - video_bthwc[:, 1:]).mean(axis=-1)
  return float(error[np.asarray(warp.inside(jnp.asarray(flow)))].mean())


def _hue(color_c: np.ndarray) -> np.ndarray:
  """Returns the difference of colours from grey."""
  return color_c - color_c.mean(axis=-1, keepdims=True)
