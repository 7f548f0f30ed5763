"""Views of clips: windows, strides, crops, flips and changes of colour.

`Transformed` wraps any source, and returns smaller clips than that source:

  config.clip_shape = (16, 64, 64, 3)
  config.data = {
    'name': 'data.transforms.Transformed',
    'source': {
      'name': 'synthetic.world.source.World',
      'clip_shape': (32, 80, 80, 3),
    },
    'strides': (1, 2),
    'flips': True,
  }

All frames of a view have the same crop and the same change of colour.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core import modalities
from vgen_jax.core import sources
from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Schema
from vgen_jax.data import clips
from vgen_jax.data import colors


class Transformed(sources.HasContents, sources.HasRandomViews):
  """Source of views of the clips of another source.

  `source[i]` takes the first stride and the centre window and crop, without
  jitter and changes of colour. With several windows and views, it takes these
  in turn: clip i is a view of example `i // (num_windows * num_views)`.
  `random_view` takes a random view with the given random numbers.

  Audio is that of the frames in the view. Text and label are unchanged, so do
  not use `flips` if they depend on left and right. For clips with actions,
  `flips`, strides above 1 and jitter raise an error: the mirror image of an
  action is unknown, and skipped frames would have actions that lead to the next
  frame of the view. Clips with other entries, such as layouts, raise an error.

  Args:
    clip_shape: (t, h, w, c) of the views.
    source: Source of the clips, which must be long enough for the strides.
    strides: Numbers of clip frames per frame of a view; `random_view` takes any
      of them.
    time_jitter: Largest random shift of each frame in `random_view`, in units
      of the stride, 0 to 0.5.
    resize: Size in pixels to which the shorter side of a clip is resized, with
      antialiasing, before a view is cropped; None takes the largest crop, and
      resizes it to the view.
    crops_at_random: Whether `random_view` crops at a random position.
    flips: Whether `random_view` mirrors half of the views.
    brightness: `random_view` scales pixels by a factor from 1 - brightness to
      1 + brightness.
    contrast: In the same way, range of the factor of the difference from the
      mean luma of the clip.
    saturation: In the same way, range of the factor of the difference from
      grey.
    hue: Largest random rotation of hue in `random_view`, as a fraction of the
      circle, 0 to 0.5.
    num_windows: Number of windows per clip for `source[i]`, evenly spaced.
    num_views: Number of crops per window, evenly spaced along the longer side.
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
    """Schema of the source, with the shape and the rate of the views."""
    inner = self.source.schema
    rate = inner.frames_per_second / self.strides[0]
    return dataclasses.replace(
      inner, clip_shape=self.clip_shape, frames_per_second=rate
    )

  def __len__(self) -> int:
    return len(self.source) * self.num_windows * self.num_views

  def contents(self) -> sources.Contents:
    """Returns the contents of the source, with the number of views."""
    if not isinstance(self.source, sources.HasContents):
      return sources.Contents()
    found = self.source.contents()
    if found.clips_per_class is None:
      return found
    counts = found.clips_per_class * self.num_windows * self.num_views
    return dataclasses.replace(found, clips_per_class=counts)

  def __getitem__(self, index: int) -> Clip:
    checks.clip_index(index, len(self))
    index, view = divmod(index, self.num_views)
    index, window = divmod(index, self.num_windows)
    stride = self.strides[0]
    last_start = self._last_start(stride)
    start = clips.evenly_spaced(last_start, self.num_windows)[window]
    frame_t = int(start) + stride * np.arange(self.clip_shape[0])
    clip = _frames(self.source[index], frame_t)
    crop = clips.evenly_spaced(1, self.num_views)[view]
    h, w = clip['video'].shape[1:3]
    is_tall = h * self.clip_shape[2] > w * self.clip_shape[1]
    crops = (crop, 0.5) if is_tall else (0.5, crop)
    return clip | {'video': self._crop(clip['video'], *crops)}

  def random_view(self, index: int, rng: np.random.Generator) -> Clip:
    """Returns a random view of the example of clip `index`."""
    checks.clip_index(index, len(self))
    index //= self.num_windows * self.num_views
    if isinstance(self.source, sources.HasRandomViews):
      clip = self.source.random_view(index, rng)
    else:
      clip = self.source[index]
    stride = int(rng.choice(self.strides))
    start = rng.integers(self._last_start(stride), endpoint=True)
    position_t = start + stride * np.arange(self.clip_shape[0])
    last = len(clip['video']) - 1
    max_shift = self.time_jitter * stride
    position_t = clips.jittered(position_t, max_shift, 0, last, rng)
    clip = _frames(clip, np.round(position_t).astype(int))
    crops = rng.random(2) if self.crops_at_random else (0.5, 0.5)
    video_thwc = self._crop(clip['video'], *crops)
    if self.flips and rng.random() < 0.5:
      video_thwc = clips.mirrored(video_thwc)
    if any(self.colors):
      amount_4 = np.array(self.colors) * rng.uniform(-1, 1, 4)
      video_thwc = colors.recolored(
        video_thwc, *(1 + amount_4[:3]), amount_4[3]
      )
    return clip | {'video': video_thwc}

  def _last_start(self, stride: int) -> int:
    """Returns the index of the last frame at which a view can start."""
    return self.source.schema.clip_shape[0] - _span(self.clip_shape[0], stride)

  def _crop(
    self, video_thwc: np.ndarray, vertical: float, horizontal: float
  ) -> np.ndarray:
    h, w = self.clip_shape[1:3]
    if self.resize is None:
      return clips.crop_and_resize(video_thwc, h, w, vertical, horizontal)
    video_thwc = resized(video_thwc, self.resize)
    y = round((video_thwc.shape[1] - h) * vertical)
    x = round((video_thwc.shape[2] - w) * horizontal)
    return video_thwc[:, y : y + h, x : x + w]

  def _check(self) -> None:
    t, h, w, c = self.clip_shape
    inner = tuple(self.source.schema.clip_shape)
    if not self.strides or min(self.strides) < 1:
      raise ValueError(
        f'config.data.strides is {self.strides}; it must contain integers of 1'
        ' or more.'
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
        f'The clips of config.data.source have shape {inner}; views of shape'
        f' {self.clip_shape} with strides {self.strides} need {span} frames or'
        f" more, with {c} channels. Set 'clip_shape' in the spec of the source."
      )
    if self.resize is not None:
      sides = _sides(inner[1], inner[2], self.resize)
      if sides[0] < h or sides[1] < w:
        raise ValueError(
          f'config.data.resize is {self.resize}, so that frames have'
          f' {sides[0]} x {sides[1]} pixels; views of {h} x {w} need as many or'
          ' more.'
        )
    checks.in_range('config.data.time_jitter', self.time_jitter, 0, 0.5)
    checks.in_range('config.data.hue', self.colors[3], 0, 0.5)
    for name, value in zip(
      ('brightness', 'contrast', 'saturation'), self.colors, strict=False
    ):
      checks.in_range(f'config.data.{name}', value, 0, 1)
    if c == 1 and any(self.colors[2:]):
      raise ValueError(
        'config.data.saturation and config.data.hue are'
        f' {self.colors[2]} and {self.colors[3]}; both must be 0 for clips with'
        ' 1 channel, which have no colour.'
      )
    checks.at_least('config.data.num_windows', self.num_windows, 1)
    checks.at_least('config.data.num_views', self.num_views, 1)


def resized(video_thwc: np.ndarray, shorter: int) -> np.ndarray:
  """Returns the video with a shorter side of `shorter` pixels, antialiased."""
  h, w = _sides(*video_thwc.shape[1:3], shorter)
  return clips.crop_and_resize(video_thwc, h, w)


def _frames(clip: Clip, frame_t: np.ndarray) -> Clip:
  """Returns a clip with only these frames, in all entries that have frames."""
  timed = ('video', *modalities.timed())
  allowed = [*timed, *modalities.untimed()]
  if unknown := sorted(set(clip) - set(allowed)):
    raise ValueError(
      f'config.data.source has clips with {unknown}, which Transformed cannot'
      f' crop like the video. Allowed entries: {allowed}. Use the source'
      ' directly, with the clip_shape that you need.'
    )
  return {k: x[frame_t] if k in timed else x for k, x in clip.items()}


def _span(num_frames: int, stride: int) -> int:
  """Returns the number of frames from the first to the last, both included."""
  return (num_frames - 1) * stride + 1


def _sides(height: int, width: int, shorter: int) -> tuple[int, int]:
  scale = shorter / min(height, width)
  return round(height * scale), round(width * scale)
