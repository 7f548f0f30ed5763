"""Adapters: the features of TFDS video datasets from which clips are read.

A feature is identified by its path, such as 'video/frames'. For datasets that
are not in CATALOGUE, the names and types of their features decide.
"""

from collections.abc import Iterator, Mapping
import dataclasses
from typing import Any

import numpy as np

from vgen_jax.core import checks


@dataclasses.dataclass(frozen=True)
class Adapter:
  """Paths of the features of a dataset; None if it has no such feature.

  Attributes:
    video: Path of the frames.
    label: Path of the class.
    caption: Path of the caption.
    action: Path of the actions, a vector for each frame.
    fps: Path of the number of frames per second, or that number.
    splits: Names of the splits.
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
ENTRIES = ('label', 'caption', 'action', 'fps')
KEYS = ('video', *ENTRIES)


def adapter(
  name: str, features: Any, paths: Mapping[str, str] | None = None
) -> Adapter:
  """Returns the adapter of a dataset.

  Args:
    name: Name of the dataset, without config and version.
    features: `builder.info.features`.
    paths: Paths of features by keys of KEYS, which override the catalogue.

  Raises:
    ValueError: If it is ambiguous which feature is the video.
  """
  paths = dict(paths or {})
  for key in paths:
    checks.known_key('config.data.features', key, KEYS)
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
        f' {list(known)}; select one with config.data.features ='
        " {'video': 'path/of/video'}."
      )
    found['video'] = videos[0]
  return Adapter(**(found | paths), splits=())


def kind(stored: Any) -> str | None:
  """Returns the format of the video in a feature, None if it has no video.

  The format is 'images' for a sequence of images, 'pixels' for one uint8 array,
  and 'mp4' for the content of a file.
  """
  from vgen_jax.data.tfds import compat

  features = compat.load().features
  if isinstance(stored, features.Dataset):
    return None  # Nested examples: their parts are not frames.
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
  """Returns the feature at `path`, including the sequence that contains it.

  Raises:
    ValueError: If there is no such feature.
  """
  known = dict(flat(features))
  if path not in known:
    raise ValueError(
      f'config.data.features has the path {path!r}, which the dataset does not'
      f' have. Choose one of its features: {list(known)}.'
    )
  return known[path]


def flat(
  features: Any, path: str = '', in_sequence: bool = False
) -> Iterator[tuple[str, Any]]:
  """Yields the path and the feature of each entry of an example.

  Args:
    features: Feature of TFDS, which may contain others.
    path: Path of this feature in the example, such as 'steps/image'.
    in_sequence: Whether the feature is in a sequence.
  """
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
  """Returns the TFDS slice of `split`, for a dataset with these splits.

  If a dataset has no validation split, 'validation' raises an error, since a
  slice of training could contain segments of the same videos as the rest. To
  accept that, give slices as in TFDS, such as 'train[:5%]' and 'train[5%:]'.
  Any other value of `split` is used as such a slice.

  Args:
    split: 'train', 'validation', 'test', 'all', or a slice.
    splits: Names of the splits of the dataset.
    name: Name of the dataset, for the message.

  Raises:
    ValueError: If the dataset has no such split.
  """
  if split not in ('train', 'validation', 'test', 'all'):
    return split
  if split == 'all':
    return '+'.join(splits)
  if split not in splits:
    raise ValueError(
      f'config.data.split is {split!r}; {name!r} has {list(splits)}. Use one of'
      " these, or a slice such as 'train[90%:]', whose videos may have other"
      ' segments in training.'
    )
  return split
