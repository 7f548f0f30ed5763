"""Views of clips: which frames, which part of them, in which colours.

`Transformed` wraps any source, and serves smaller clips than that source does:

  config.clip_shape = (16, 64, 64, 3)
  config.data = {
    'name': 'data.transforms.Transformed',
    'source': {'name': 'synthetic.world.source.World', 'clip_shape': (32, 80,
    80, 3)}, 'strides': (1, 2), 'flips': True,
  }

A view is one for the whole clip: all frames have the same cut and colours.
"""

from collections.abc import Sequence
import dataclasses
import math
from typing import Any

import numpy as np

from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Schema
from vgen_jax.data import clips

# What a clip has of each frame; the first axis is time.
_TIMED = ('video', 'action', 'audio')
# What it has of the whole.
_UNTIMED = ('label', 'text', 'text_mask')
# Luma and the two axes of colour about it, of NTSC's YIQ.
_YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


class Transformed:
  """Views of the clips of another source.

  `source[i]` takes the first stride, no jitter, colours as they are, and the
  middle; or, with several windows and views, these in turn: clip i is of
  example `i // (num_windows * num_views)`, each of them once. `draw` takes a
  random view with the numbers it is given.

  Of sound one gets what belongs to the frames that are shown. Text and label
  stay: `flips` is not for those that tell left from right. Actions allow no
  `flips`, as nothing here knows their mirror image, and neither strides above 1
  nor jitter, as these pass over actions that led to the next frame shown. Clips
  with other entries, such as layouts, are a ValueError.

  Args:
    clip_shape: (t, h, w, c) of the views.
    source: What has the clips. Its own are longer, where strides ask for it.
    strides: Frames of a clip for one of a view; `draw` takes any of them.
    time_jitter: By how much of its stride `draw` moves each frame, up to 0.5.
    resize: What the shorter side of a clip is resized to, antialiased, before
      a view is cut out; None cuts the largest piece, then resizes it.
    crops_at_random: Whether `draw` cuts anywhere, not in the middle.
    flips: Whether `draw` mirrors half of the views.
    brightness: `draw` scales pixels by 1 - brightness to 1 + brightness.
    contrast: Likewise what differs from the clip's mean luma.
    saturation: Likewise what differs from grey.
    hue: `draw` turns colours by up to this part of the circle, up to 0.5.
    num_windows: Windows of each clip that `source[i]` shows, evenly spread.
    num_views: Cuts of each window, evenly spread along the longer side.
  """

  def __init__(
    self,
    clip_shape: ClipShape,
    source: Any,
    strides: Sequence[int] = (1,),
    time_jitter: float = 0.0,
    resize: int | None = None,
    crops_at_random: bool = True,
    flips: bool = False,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    hue: float = 0.0,
    num_windows: int = 1,
    num_views: int = 1,
  ):
    self.clip_shape = tuple(clip_shape)
    self.source = source
    self.strides = tuple(strides)
    self.time_jitter = time_jitter
    self.resize = resize
    self.crops_at_random = crops_at_random
    self.flips = flips
    self.colors = (brightness, contrast, saturation, hue)
    self.num_windows = num_windows
    self.num_views = num_views
    self._check()

  @property
  def schema(self) -> Schema:
    """That of the source, for clips of another shape, at the first stride."""
    inner = self.source.schema
    rate = inner.frames_per_second / self.strides[0]
    return dataclasses.replace(
      inner, clip_shape=self.clip_shape, frames_per_second=rate
    )

  def __len__(self) -> int:
    return len(self.source) * self.num_windows * self.num_views

  def __getitem__(self, index: int) -> Clip:
    if not 0 <= index < len(self):
      raise IndexError(f'Clip {index} of {len(self)} does not exist.')
    index, view = divmod(index, self.num_views)
    index, window = divmod(index, self.num_windows)
    start = clips.spread(self._room(self.strides[0]), self.num_windows)[window]
    place_t = int(start) + self.strides[0] * np.arange(self.clip_shape[0])
    clip = _at(self.source[index], place_t)
    place = clips.spread(1, self.num_views)[view]
    h, w = clip['video'].shape[1:3]
    is_tall = h * self.clip_shape[2] > w * self.clip_shape[1]
    down, right = (place, 0.5) if is_tall else (0.5, place)
    return clip | {'video': self._cut(clip['video'], down, right)}

  def draw(self, index: int, rng: np.random.Generator) -> Clip:
    """Returns a random view of the example of clip `index`."""
    if not 0 <= index < len(self):
      raise IndexError(f'Clip {index} of {len(self)} does not exist.')
    index //= self.num_windows * self.num_views
    draw = getattr(self.source, 'draw', None)
    clip = self.source[index] if draw is None else draw(index, rng)
    stride = int(rng.choice(self.strides))
    start = rng.integers(self._room(stride), endpoint=True)
    place_t = start + stride * np.arange(self.clip_shape[0])
    last = len(clip['video']) - 1
    most = self.time_jitter * stride
    place_t = clips.jittered(place_t, most, 0, last, rng)
    clip = _at(clip, np.round(place_t).astype(int))
    down, right = rng.random(2) if self.crops_at_random else (0.5, 0.5)
    video_thwc = self._cut(clip['video'], down, right)
    if self.flips and rng.random() < 0.5:
      video_thwc = clips.mirrored(video_thwc)
    if any(self.colors):
      amount_4 = np.array(self.colors) * rng.uniform(-1, 1, 4)
      video_thwc = recolored(video_thwc, *(1 + amount_4[:3]), amount_4[3])
    return clip | {'video': video_thwc}

  def _room(self, stride: int) -> int:
    """Returns the last frame of a clip that a view can begin with."""
    return self.source.schema.clip_shape[0] - _span(self.clip_shape[0], stride)

  def _cut(
    self, video_thwc: np.ndarray, down: float, right: float
  ) -> np.ndarray:
    h, w = self.clip_shape[1:3]
    if self.resize is None:
      return clips.fit(video_thwc, h, w, down, right)
    video_thwc = resized(video_thwc, self.resize)
    y = round((video_thwc.shape[1] - h) * down)
    x = round((video_thwc.shape[2] - w) * right)
    return video_thwc[:, y : y + h, x : x + w]

  def _check(self) -> None:
    t, h, w, c = self.clip_shape
    inner = tuple(self.source.schema.clip_shape)
    if not self.strides or min(self.strides) < 1:
      raise ValueError(
        f'config.data.strides is {self.strides}; it needs numbers from 1 on.'
      )
    clips.check_actions(
      self.source.schema.action_width,
      {
        'flips': self.flips,
        'strides': max(self.strides) > 1,
        'time_jitter': self.time_jitter > 0,
      },
    )
    span = _span(t, max(self.strides))
    if inner[0] < span or inner[3] != c:
      raise ValueError(
        f'config.data.source has clips {inner}; views {self.clip_shape} with'
        f' strides {self.strides} need {span} frames or more, in {c} channels:'
        " give the source a 'clip_shape' of its own."
      )
    if self.resize is not None:
      sides = _sides(inner[1], inner[2], self.resize)
      if sides[0] < h or sides[1] < w:
        raise ValueError(
          f'config.data.resize is {self.resize}, which makes frames'
          f' {sides[0]} x {sides[1]}; views of {h} x {w} need as many pixels or'
          ' more.'
        )
    if not (0 <= self.time_jitter <= 0.5 and 0 <= self.colors[3] <= 0.5):
      raise ValueError(
        f'config.data has time_jitter {self.time_jitter} and hue'
        f' {self.colors[3]}; both go from 0 to 0.5.'
      )
    if min(self.colors) < 0 or max(self.colors) > 1:
      raise ValueError(
        f'config.data has brightness, contrast and saturation'
        f' {self.colors[:3]}; they go from 0 to 1.'
      )
    if c == 1 and any(self.colors[2:]):
      raise ValueError(
        'config.data.saturation and hue must be 0 for clips in 1 channel: grey'
        ' has no colour.'
      )
    if self.num_windows < 1 or self.num_views < 1:
      raise ValueError(
        f'config.data has num_windows {self.num_windows} and num_views'
        f' {self.num_views}; both must be 1 or more.'
      )


def resized(video_thwc: np.ndarray, shorter: int) -> np.ndarray:
  """Returns the video with its shorter side `shorter` pixels, antialiased."""
  h, w = _sides(*video_thwc.shape[1:3], shorter)
  return clips.fit(video_thwc, h, w)


def recolored(
  video_thwc: np.ndarray,
  brightness: float = 1.0,
  contrast: float = 1.0,
  saturation: float = 1.0,
  hue: float = 0.0,
) -> np.ndarray:
  """Returns a video in other colours, the same change in every frame.

  The four changes, in this order, are one linear map, rounded once: nothing is
  clipped in between. Grey stays grey, and luma is kept by the last two.

  Args:
    video_thwc: uint8, of 1 channel or 3.
    brightness: Factor of all.
    contrast: Factor of what differs from the mean luma of the whole clip.
    saturation: Factor of what differs from grey; not for 1 channel.
    hue: Part of a circle to turn colours by, about grey; likewise.
  """
  yiq_33 = np.array(_YIQ)
  if video_thwc.shape[-1] == 1:
    map_cc, luma_c = np.ones((1, 1)), np.ones(1)
  else:
    # Grey must have no colour at all, and so no rounded coefficients.
    yiq_33[1:] -= yiq_33[1:].mean(1, keepdims=True)
    cos, sin = (f(2 * math.pi * hue) * saturation for f in (math.cos, math.sin))
    turn_33 = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    map_cc, luma_c = np.linalg.inv(yiq_33) @ turn_33 @ yiq_33, yiq_33[0]
  mean = float(video_thwc.mean((0, 1, 2)) @ luma_c) * brightness
  map_cc = (map_cc * brightness * contrast).astype(np.float32)
  pixels = video_thwc.astype(np.float32) @ map_cc.T
  pixels += np.float32((1 - contrast) * mean)
  return np.round(np.clip(pixels, 0, 255)).astype(np.uint8)


def _at(clip: Clip, place_t: np.ndarray) -> Clip:
  """Returns the frames of a clip at these places, and what goes with them."""
  if unknown := sorted(set(clip) - {*_TIMED, *_UNTIMED}):
    raise ValueError(
      f'config.data.source has clips with {unknown}, which transforms cannot'
      f' cut like the video; they know {[*_TIMED, *_UNTIMED]}. Take the source'
      ' as it is, in the size you need.'
    )
  return {k: x[place_t] if k in _TIMED else x for k, x in clip.items()}


def _span(num_frames: int, stride: int) -> int:
  """Returns how many frames lie from the first to the last, both included."""
  return (num_frames - 1) * stride + 1


def _sides(height: int, width: int, shorter: int) -> tuple[int, int]:
  scale = shorter / min(height, width)
  return round(height * scale), round(width * scale)
