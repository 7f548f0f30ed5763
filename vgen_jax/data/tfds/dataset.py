"""Source of TFDS video datasets in ArrayRecord, without TensorFlow.

An example is parsed first, and then only the frames of the clip are decoded: a
clip of 16 of 300 JPEG frames takes about a twelfth of the time of all frames.
`adapters.py` states the names of the features of each dataset.
"""

from collections.abc import Callable, Mapping, Sequence
import contextlib
import functools
import pathlib
from typing import Any

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core import faults
from vgen_jax.core import file_paths
from vgen_jax.core import sources
from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import PathText
from vgen_jax.core.types import Schema
from vgen_jax.data import clips
from vgen_jax.data import text
from vgen_jax.data.files import segments
from vgen_jax.data.tfds import adapters
from vgen_jax.data.tfds import examples

_MAX_COUNTED = 1000  # Examples that are parsed to count their classes.


class TFDSVideo(sources.Captioned, sources.HasContents, sources.HasRandomViews):
  """Clips of a TFDS dataset, one clip per example.

  `source[i]` takes the middle frames and the centre crop of example i;
  `source.random_view(i, rng)` takes a clip from anywhere in it.

  Args:
    clip_shape: (t, h, w, c), with c 1 or 3.
    dataset: Name of the dataset, 'name/config:version'; config and version are
      optional. If it is None, `data_dir` is the folder of one dataset, which
      contains `dataset_info.json`.
    data_dir: Folder of datasets; None is the default folder of TFDS.
    split: 'train', 'validation', 'test', 'all', or a slice as in TFDS, such as
      'train[:50%]', which may put segments of one video in two slices.
    keys: Entries of clips in addition to `video`, if the dataset has them:
      'label', 'action' (float32 [t, a]), 'fps', 'caption' (a Python string,
      which cannot be copied to a device).
    tokenizer: Tokenizer, a spec of data/text.py, that maps captions to `text`
      and `text_mask`.
    features: Paths of features by keys of `adapters.KEYS`, such as
      {'video': 'steps/image'}, for datasets whose features are ambiguous.
    frames_per_second: Rate at which videos are sampled; the dataset must state
      the rate of its videos. None for every `stride`-th frame.
    stride: Number of video frames per clip frame.
    short: What to do with a video that is shorter than a clip: 'error' raises
      an error, 'loop' plays it forward and backward, 'hold' repeats its last
      frame.
    crops_at_random: Whether `random_view` crops at a random position along the
      longer side.
    flips: Whether `random_view` mirrors half of its clips.
  """

  def __init__(
    self,
    clip_shape: ClipShape,
    dataset: str | None = None,
    data_dir: PathText | None = None,
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
    segments.check_channels(clip_shape)
    segments.check_rate(frames_per_second, (stride,))
    checks.one_of('config.data.short', short, clips.SHORT)
    for key in keys:
      checks.known_key('config.data.keys', key, adapters.ENTRIES)
    self.clip_shape = tuple(clip_shape)
    self.dataset = dataset
    self.data_dir = file_paths.expanded(data_dir) if data_dir else data_dir
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
        ' remove the tokenizer, or set config.data.features.caption.'
      )
    self.split = adapters.slices(
      split, tuple(opened.splits) or opened.adapter.splits, opened.name
    )
    self.keys = tuple(k for k in keys if getattr(opened.adapter, k) is not None)
    if frames_per_second and opened.adapter.fps is None:
      raise ValueError(
        f'config.data.frames_per_second is {frames_per_second}, but'
        f' {opened.name!r} does not state its own rate; set config.data.stride'
        ' instead.'
      )
    _ = len(self)  # A missing split raises an error here.

  @functools.cached_property
  def schema(self) -> Schema:
    """Schema of the clips.

    The rate is `frames_per_second`, or else that of the first example.
    """
    names, number = (), 0
    if 'label' in self.keys:
      names, number = self._opened.classes()
    rate = self.frames_per_second
    if rate is None and self._opened.adapter.fps is not None and len(self):
      rate = self._opened.rate(self._parsed(0)) / self.stride
    return Schema(
      clip_shape=self.clip_shape,
      num_classes=number,
      class_names=names,
      frames_per_second=rate or 8.0,
      vocab_size=self.tokenizer.vocab_size if self.tokenizer else 0,
      vocabulary=self.tokenizer.vocabulary if self.tokenizer else '',
      action_width=self._opened.action_width if 'action' in self.keys else 0,
    )

  @property
  def splits(self) -> tuple[str, ...]:
    """Names of the splits of the dataset that have an example."""
    return self._opened.existing_splits()

  def files(self) -> dict[str, pathlib.Path]:
    """Returns the files of the dataset, {name: path}, if they are local."""
    found = self._opened.files()
    if path := getattr(self.tokenizer, 'path', None):
      found['text'] = pathlib.Path(path)
    return found

  def __len__(self) -> int:
    return len(self._records)

  def contents(self) -> sources.Contents:
    """Returns the numbers of examples; damaged examples are not counted.

    Classes are counted if there are few examples, because all are parsed.
    """
    counts, number = None, self.schema.num_classes
    if number and len(self) <= _MAX_COUNTED:
      counts = np.zeros(number, int)
      for index in range(len(self)):
        with contextlib.suppress(faults.ClipError):
          label = int(self._parsed(index)[self._opened.adapter.label])
          if 0 <= label < number:
            counts[label] += 1
    return sources.Contents(self._opened.num_examples, 'examples', counts)

  def __getitem__(self, index: int) -> Clip:
    return self._clip(index, lambda slack: slack / 2, (0.5, 0.5))

  def random_view(self, index: int, rng: np.random.Generator) -> Clip:
    """Returns a clip from anywhere in example `index`."""
    fraction, *crop = rng.random(3)
    is_flipped = rng.random() < 0.5
    if not self.crops_at_random:
      crop = (0.5, 0.5)
    clip = self._clip(index, lambda slack: fraction * (slack + 1), crop)
    if self.flips and is_flipped:
      clip['video'] = clips.mirrored(clip['video'])
    return clip

  def caption(self, index: int) -> str:
    """Returns the caption of example `index`; '' if the dataset has none."""
    return self._opened.entry(self._parsed(index), 'caption', None) or ''

  def frames(self, index: int) -> tuple[np.ndarray, float | None]:
    """Returns the video `index`, uint8, and its frames per second or None."""
    parsed = self._parsed(index)
    video_thwc, _ = self._read(index, parsed, np.arange)
    has_rate = self._opened.adapter.fps is not None
    return video_thwc, self._opened.rate(parsed) if has_rate else None

  def record(self, index: int) -> bytes:
    """Returns the bytes of example `index`.

    Raises:
      ClipError: If it is damaged.
    """
    checks.clip_index(index, len(self))
    try:
      return self._records[index]
    except Exception as error:  # The reader may raise any type.
      raise self._fault(
        index, f'it cannot be read ({error}); prepare the dataset again.'
      ) from error

  def __getstate__(self) -> dict[str, Any]:
    # Files and parsers cannot be pickled; a worker process opens its own.
    cached = ('_opened', '_records')
    return {k: v for k, v in self.__dict__.items() if k not in cached}

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
    crop: Sequence[float],
  ) -> Clip:
    """Returns a clip of an example.

    Args:
      index: Index of the example.
      start: Function that returns the start of the clip, given the number of
        frames by which it can be moved.
      crop: Vertical and horizontal position, as in `clips.crop_and_resize`.
    """
    t = self.clip_shape[0]
    parsed = self._parsed(index)
    stride = float(self.stride)
    if self.frames_per_second:
      stride = self._opened.rate(parsed) / self.frames_per_second

    def choose(num_frames: int) -> np.ndarray:
      if not num_frames:
        raise ValueError('it has no frames')
      last = num_frames - 1
      slack = max(last - (t - 1) * stride, 0)
      first = min(int(start(slack)), int(slack))
      position_t = clips.positions(first, t, stride, 0, last, self.short)
      # A frame is shown until the next one; rates are rounded.
      number_t = np.floor(position_t + clips.TOLERANCE * min(stride, 1))
      return np.clip(number_t.astype(int), 0, last)

    resize = clips.frame_resizer(self.clip_shape[1:], *crop)
    video_thwc, number_t = self._read(index, parsed, choose, resize)
    clip = {'video': video_thwc}
    for key in self.keys:
      clip[key] = self._opened.entry(parsed, key, number_t)
    if self.tokenizer:
      caption = self._opened.entry(parsed, 'caption', None)
      clip |= text.entries(self.tokenizer, caption)
    if 'label' in clip and clip['label'] < 0:
      raise self._fault(
        index, "it has no label; remove 'label' from config.data.keys."
      )
    return clip

  def _parsed(self, index: int) -> dict[str, Any]:
    record = self.record(index)
    try:
      return self._opened.parse(record)
    except Exception as error:  # The parser may raise any type.
      raise self._fault(
        index, f'it cannot be parsed ({error}); prepare the dataset again.'
      ) from error

  def _read(
    self, index: int, parsed: Mapping[str, Any], *functions: Callable
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns `Examples.read` with these functions; errors name the example."""
    try:
      return self._opened.read(parsed, *functions)
    except ValueError as error:
      reason = str(error)  # Reasons with advice are complete sentences.
      if not reason.endswith('.'):
        reason += '; prepare the dataset again.'
      raise self._fault(index, reason) from error

  def _fault(self, index: int, reason: str) -> faults.ClipError:
    name = self._opened.name
    return faults.ClipError(f'{name}, {self.split}, example {index}', reason)
