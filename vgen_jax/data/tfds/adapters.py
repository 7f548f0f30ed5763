"""Where TFDS's datasets of videos keep what our clips hold.

A feature is named by its path, as in 'video/frames'. Datasets that are not in
CATALOGUE, ours among them, tell by the names and kinds of their features.
"""

from collections.abc import Iterator, Mapping
import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Adapter:
  """Where a dataset keeps what.

  Attributes:
    video: Path of the frames.
    label: Path of the class, or None, as below.
    caption: Path of a text.
    action: Path of vectors, one for each frame.
    fps: Path of the number of frames per second, or that number.
    splits: Names of its splits.
  """

  video: str
  label: str | None = None
  caption: str | None = None
  action: str | None = None
  fps: str | float | None = None
  splits: tuple[str, ...] = ('train', 'validation', 'test')


CATALOGUE: Mapping[str, Adapter] = {
  'bair_robot_pushing_small': Adapter(
    'image_main', action='action', splits=('train', 'test')
  ),
  'davis': Adapter('video/frames', fps=24.0, splits=('train', 'validation')),
  'moving_mnist': Adapter('image_sequence', splits=('test',)),
  'robonet': Adapter('video', action='actions', splits=('train',)),
  'starcraft_video': Adapter('rgb_screen'),
  'tao': Adapter('video'),
  'ucf101': Adapter('video', label='label', fps=25.0, splits=('train', 'test')),
  'webvid': Adapter(
    'video', caption='caption', fps=30.0, splits=('train', 'validation')
  ),
  'youtube_vis': Adapter('video'),
}
KEYS = ('video', 'label', 'caption', 'action', 'fps')


def adapter(
  name: str, features: Any, paths: Mapping[str, str] | None = None
) -> Adapter:
  """Returns where a dataset keeps what.

  Args:
    name: Of the dataset, without config and version.
    features: `builder.info.features`.
    paths: Of features, by our name for them; they come before what is known.

  Raises:
    ValueError: If it cannot be told which feature is the video.
  """
  paths = dict(paths or {})
  if unknown := set(paths) - set(KEYS):
    raise ValueError(
      f'config.data.features names {sorted(unknown)}; it may name {list(KEYS)}.'
    )
  for path in paths.values():
    feature(features, path)
  if name in CATALOGUE:
    return dataclasses.replace(CATALOGUE[name], **paths)
  known = dict(flat(features))
  found = {key: key for key in KEYS if key in known}
  videos = [p for p, x in known.items() if kind(x) in ('images', 'pixels')]
  if 'video' not in paths and not kind(known.get('video')):
    if len(videos) != 1:
      raise ValueError(
        f'Dataset {name!r} has the videos {videos} among its features'
        f' {list(known)}; name one by config.data.features,'
        " {'video': 'its/path'}."
      )
    found['video'] = videos[0]
  return Adapter(**(found | paths), splits=())


def kind(stored: Any) -> str | None:
  """Returns how a feature keeps a video: 'images', 'pixels', 'mp4', or None."""
  from vgen_jax.data.tfds import compat

  features = compat.load().features
  if isinstance(stored, features.Dataset):
    return None  # Examples within examples: their parts are no frames.
  if isinstance(stored, features.Sequence):
    return 'images' if isinstance(stored.feature, features.Image) else None
  if isinstance(stored, features.Text | features.ClassLabel):
    return None
  if isinstance(stored, features.Tensor):
    if len(stored.shape) == 4 and np.dtype(stored.np_dtype) == np.uint8:
      return 'pixels'
    if stored.shape == () and np.dtype(stored.np_dtype) == np.object_:
      return 'mp4'
  return None


def feature(features: Any, path: str) -> Any:
  """Returns the feature at `path`, with the sequence that it is in.

  Raises:
    ValueError: If there is none.
  """
  known = dict(flat(features))
  if path not in known:
    raise ValueError(
      f'config.data.features names {path!r}; the dataset has {list(known)}.'
    )
  return known[path]


def flat(
  features: Any, path: str = '', in_sequence: bool = False
) -> Iterator[tuple[str, Any]]:
  """Yields path and feature, of all that an example holds."""
  from vgen_jax.data.tfds import compat

  kinds = compat.load().features
  is_sequence = isinstance(features, kinds.Sequence) and not isinstance(
    features, kinds.Dataset
  )
  if is_sequence and isinstance(features.feature, kinds.FeaturesDict):
    yield from flat(features.feature, path, in_sequence=True)
  elif isinstance(features, kinds.FeaturesDict):
    for name, inner in features.items():
      yield from flat(inner, f'{path}/{name}'.strip('/'), in_sequence)
  else:
    yield path, kinds.Sequence(features) if in_sequence else features


def slices(split: str, splits: tuple[str, ...], name: str) -> str:
  """Returns the TFDS slice that `split` means, for a dataset of these splits.

  A dataset without a split for validation has none: a slice of training would
  hold other pieces of the films that are trained on. Whoever accepts that asks
  for it in TFDS's own language, which is what any other word is taken for, as
  in 'train[:5%]' against 'train[5%:]'.

  Raises:
    ValueError: If the dataset has nothing like it.
  """
  if split not in ('train', 'validation', 'test', 'all'):
    return split
  if split == 'all':
    return '+'.join(splits)
  if split not in splits:
    raise ValueError(
      f'config.data.split is {split!r}; {name!r} has {list(splits)}. Take one'
      " of these, or a slice, as in 'train[90%:]', if it may show films of"
      ' which other pieces are trained on.'
    )
  return split
