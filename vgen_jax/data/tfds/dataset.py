"""Any TFDS dataset of videos that was prepared as ArrayRecord, without TF.

An example is parsed first, and then only the frames of the clip are decoded:
of 300 frames kept as JPEG, a clip of 16 costs a twelfth of all. What a dataset
calls its features is told by `tfds_adapters.py`.
"""

from collections.abc import Callable, Mapping, Sequence
import functools
from typing import Any

import numpy as np

from vgen_jax.core import faults
from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Schema
from vgen_jax.data import clips
from vgen_jax.data import text
from vgen_jax.data.tfds import adapters
from vgen_jax.data.tfds import examples
from vgen_jax.data.tfds import storage


class TFDSVideo:
  """Clips of a TFDS dataset, one of each example.

  `source[i]` takes the middle of example i, and its centre; `source.draw(i,
  rng)` a clip from anywhere in it.

  Args:
    clip_shape: (t, h, w, c), with c 1 or 3.
    dataset: Its name, as 'name/config:version', the latter two optional.
      Without it, `data_dir` is the folder of one dataset: that with
      `dataset_info.json`.
    data_dir: Where datasets are; None is TFDS's own folder.
    split: 'train', 'validation', 'test', 'all', or a slice in TFDS's language,
      as in 'train[:50%]', which may cut one film in two.
    keys: What clips bear besides `video`, where the dataset has it: 'label',
      'action' (float32 [t, a]), 'fps', 'caption' (a Python string, which no
      device takes).
    tokenizer: From text.py; turns the captions of a dataset that has them into
      `text` and `text_mask`.
    features: Paths of features by our names for them, as in
      {'video': 'steps/image'}, for datasets which leave that open.
    frames_per_second: Rate to sample at; the dataset must tell its own. None
      takes every `stride`-th frame.
    stride: Frames of a video for one of a clip.
    short: What to do with a video shorter than a clip: 'error', 'loop' plays
      it there and back, 'hold' stays at its last frame.
    crops_at_random: Whether `draw` moves the crop along the longer side.
    flips: Whether `draw` mirrors half of its clips.
  """

  def __init__(
    self,
    clip_shape: ClipShape,
    dataset: str | None = None,
    data_dir: str | None = None,
    split: str = 'train',
    keys: Sequence[str] = ('label', 'action'),
    tokenizer: text.Tokenizer | None = None,
    features: Mapping[str, str] | None = None,
    frames_per_second: float | None = None,
    stride: int = 1,
    short: str = 'error',
    crops_at_random: bool = True,
    flips: bool = False,
  ):
    _check(clip_shape, keys, frames_per_second, stride, short)
    self.clip_shape = tuple(clip_shape)
    self.dataset = dataset
    self.data_dir = data_dir
    self.frames_per_second = frames_per_second
    self.stride = stride
    self.tokenizer = tokenizer
    self.short = short
    self.crops_at_random = crops_at_random
    self.flips = flips
    self._paths = dict(features or {})
    opened = self._opened
    if tokenizer and opened.adapter.caption is None:
      raise ValueError(
        f'config.data.tokenizer is set, but {opened.name!r} has no captions;'
        ' leave it out, or name them by config.data.features.'
      )
    self.split = adapters.slices(
      split, tuple(opened.splits) or opened.adapter.splits, opened.name
    )
    self.keys = tuple(k for k in keys if getattr(opened.adapter, k) is not None)
    if frames_per_second and opened.adapter.fps is None:
      raise ValueError(
        f'config.data.frames_per_second is {frames_per_second}, but'
        f' {opened.name!r} does not tell its own rate; take stride instead.'
      )
    _ = len(self)  # A split that is not there is told at once.

  @functools.cached_property
  def schema(self) -> Schema:
    """The rate is the one asked for, or that of the first example."""
    names, number = (), 0
    if 'label' in self.keys:
      names, number = self._opened.classes()
    rate = self.frames_per_second
    if rate is None and self._opened.adapter.fps is not None and len(self):
      rate = self._rate(self._parsed(0)) / self.stride
    return Schema(
      clip_shape=self.clip_shape,
      num_classes=number,
      class_names=names,
      frames_per_second=rate or 8.0,
      vocab_size=self.tokenizer.vocab_size if self.tokenizer else 0,
      action_width=self._opened.action_width if 'action' in self.keys else 0,
    )

  def __len__(self) -> int:
    return len(self._records)

  def __getitem__(self, index: int) -> Clip:
    return self._clip(index, lambda room: room / 2, 0.5, 0.5)

  def draw(self, index: int, rng: np.random.Generator) -> Clip:
    """Returns a clip from anywhere in example `index`."""
    part, down, right = rng.random(3)
    flipped = rng.random() < 0.5
    if not self.crops_at_random:
      down = right = 0.5
    clip = self._clip(index, lambda room: part * (room + 1), down, right)
    if self.flips and flipped:
      clip['video'] = clips.mirrored(clip['video'])
    return clip

  def caption(self, index: int) -> str:
    """Returns example `index` in words; '' if the dataset has none."""
    return self._value(self._parsed(index), 'caption', None) or ''

  def frames(self, index: int) -> tuple[np.ndarray, float | None]:
    """Returns the whole video of example `index`, and its rate if told."""
    parsed = self._parsed(index)
    video_thwc, _ = self._read(index, parsed, np.arange)
    has_rate = self._opened.adapter.fps is not None
    return video_thwc, self._rate(parsed) if has_rate else None

  def record(self, index: int) -> bytes:
    """Returns example `index` as it is stored.

    Raises:
      ClipError: If it is damaged.
    """
    if not 0 <= index < len(self):
      raise IndexError(f'Clip {index} of {len(self)}.')
    try:
      return self._records[index]
    except Exception as error:  # Of whatever kind the reader likes.
      raise self._fault(index, f'it cannot be read ({error})') from error

  def __getstate__(self) -> dict[str, Any]:
    # Files and parsers cannot be pickled; a worker process opens its own.
    own = ('_opened', '_records')
    return {k: v for k, v in self.__dict__.items() if k not in own}

  @functools.cached_property
  def _opened(self) -> examples.Examples:
    return examples.Examples(self.dataset, self.data_dir, self._paths)

  @functools.cached_property
  def _records(self) -> Sequence[bytes]:
    return self._opened.records(self.split)

  def _clip(
    self,
    index: int,
    start: Callable[[float], float],
    down: float,
    right: float,
  ) -> Clip:
    """Returns a clip of an example.

    Args:
      index: Of the example.
      start: From how much room there is, in frames, to where the clip begins.
      down: Where to crop, as in `clips.fit`.
      right: Likewise.
    """
    t, h, w, c = self.clip_shape
    parsed = self._parsed(index)
    pitch = float(self.stride)
    if self.frames_per_second:
      pitch = self._rate(parsed) / self.frames_per_second

    def choose(num_frames: int) -> np.ndarray:
      if not num_frames:
        raise ValueError('it has no frames')
      room = max(num_frames - 1 - (t - 1) * pitch, 0)
      first = min(int(start(room)), int(room))
      place_t = clips.places(first, t, pitch, 0, num_frames - 1, self.short)
      # A frame is shown until the next one comes; rates are rounded.
      number_t = np.floor(place_t + clips.TOLERANCE * min(pitch, 1))
      return np.clip(number_t.astype(int), 0, num_frames - 1)

    video_thwc, number_t = self._read(index, parsed, choose)
    video_thwc = clips.fit(video_thwc, h, w, down, right)
    clip = {'video': clips.with_channels(video_thwc, c)}
    for key in self.keys:
      clip[key] = self._value(parsed, key, number_t)
    if self.tokenizer:
      caption = self._value(parsed, 'caption', None)
      clip |= text.entries(self.tokenizer, caption)
    if 'label' in clip and clip['label'] < 0:
      raise self._fault(index, "it has no label; leave 'label' out of keys")
    return clip

  def _value(
    self, parsed: Mapping[str, Any], key: str, number_t: np.ndarray | None
  ) -> Any:
    """Returns what a clip bears as `key`, given the numbers of its frames."""
    path = getattr(self._opened.adapter, key)
    if path is None:
      return None
    if key == 'fps':
      return np.float32(self._rate(parsed))
    value = parsed[path]
    if key == 'label':
      return np.int32(value)
    if key == 'caption':
      return value.decode() if isinstance(value, bytes) else str(value)
    # The last frame may have none: nothing follows it.
    return np.asarray(value, np.float32)[np.minimum(number_t, len(value) - 1)]

  def _rate(self, parsed: Mapping[str, Any]) -> float:
    fps = self._opened.adapter.fps
    return float(parsed[fps] if isinstance(fps, str) else fps)

  def _parsed(self, index: int) -> dict[str, Any]:
    record = self.record(index)
    try:
      return self._opened.parse(record)
    except Exception as error:  # The parser has kinds of its own, too.
      raise self._fault(index, f'it cannot be parsed ({error})') from error

  def _read(
    self, index: int, parsed: Mapping[str, Any], choose: storage.Choose
  ) -> tuple[np.ndarray, np.ndarray]:
    try:
      return self._opened.read(parsed, choose)
    except ValueError as error:
      raise self._fault(index, str(error)) from error

  def _fault(self, index: int, reason: str) -> faults.ClipError:
    name = self._opened.name
    return faults.ClipError(f'{name}, {self.split}, example {index}', reason)


def _check(
  clip_shape: ClipShape,
  keys: Sequence[str],
  frames_per_second: float | None,
  stride: int,
  short: str,
) -> None:
  if clip_shape[-1] not in (1, 3):
    raise ValueError(
      f'config.clip_shape is {tuple(clip_shape)}; videos come in 1 channel or'
      f' 3, not in {clip_shape[-1]}.'
    )
  known = [key for key in adapters.KEYS if key != 'video']
  if unknown := set(keys) - set(known):
    raise ValueError(
      f'config.data.keys has {sorted(unknown)}; it may have {known}.'
    )
  if short not in clips.SHORT:
    raise ValueError(
      f'config.data.short is {short!r}; it must be one of {list(clips.SHORT)}.'
    )
  if stride < 1 or (frames_per_second is not None and frames_per_second <= 0):
    raise ValueError(
      f'config.data has stride {stride} and frames_per_second'
      f' {frames_per_second}; both must be positive.'
    )
  if frames_per_second and stride != 1:
    raise ValueError(
      f'config.data has stride {stride} and frames_per_second'
      f' {frames_per_second}; give one of them.'
    )
