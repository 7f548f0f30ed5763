"""Reading of the examples of a TFDS dataset and of the frames in them.

Without TensorFlow, TFDS itself can only decode whole examples. Here, only the
necessary features of an example are parsed, and then only the necessary frames
are decoded.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import pathlib
from typing import Any

import numpy as np

from vgen_jax.data.tfds import adapters
from vgen_jax.data.tfds import compat
from vgen_jax.data.tfds import storage

# Parts in which a tensor of unknown shape is stored.
_DYNAMIC = ('shape', 'value')


class Examples:
  """An open TFDS dataset that parses its examples.

  Attributes:
    name: Name of the dataset.
    adapter: Paths of its features.
    splits: Names of its splits; () if it was not prepared.
    num_examples: {split: number of examples}.
  """

  def __init__(
    self, name: str | None, data_dir: str | None, paths: Mapping[str, str]
  ):
    """Opens the dataset.

    Args:
      name: Name of the dataset, 'name/config:version'; None if `data_dir` is
        the folder of one dataset.
      data_dir: Folder of datasets, or of the dataset; None for the default
        folder of TFDS.
      paths: {key of `adapters.KEYS`: path of a feature}, which override the
        catalogue.

    Raises:
      FileNotFoundError: If the dataset does not exist.
      ValueError: If neither a name nor a folder is given, or the features are
        ambiguous or damaged.
    """
    compat.load()
    from tensorflow_datasets.proto import tf_example_pb2

    builder = _builder(name, data_dir)
    features = builder.info.features
    self.name = builder.name
    self.splits = tuple(builder.info.splits)
    self.num_examples = {
      name: int(split.num_examples)
      for name, split in builder.info.splits.items()
    }
    self.adapter = adapters.adapter(self.name, features, paths)
    self._builder = builder
    self._features = {
      path: adapters.feature(features, path)
      for path in dataclasses.astuple(self.adapter)
      if isinstance(path, str)
    }
    self._wanted = _wanted(features, self._features)
    self._example = tf_example_pb2.Example
    self._kind = adapters.kind(self._features[self.adapter.video])

  def records(self, split: str) -> Sequence[bytes]:
    """Returns the bytes of the examples of a split.

    Raises:
      FileNotFoundError: If the dataset does not exist in ArrayRecord.
      ValueError: If the split does not exist, or is empty.
    """
    tfds = compat.load()
    if self.splits and not self._builder.info.splits[split].num_examples:
      raise ValueError(
        f'The split {split!r} of {self.name!r} has no example; choose another.'
      )
    try:
      return self._builder.as_data_source(
        split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
      )
    except (AssertionError, NotImplementedError) as error:
      raise FileNotFoundError(
        f'{self._builder.data_dir} is not a dataset in ArrayRecord; prepare it'
        ' with file_format=array_record, or convert it: vgen data prepare'
        ' tfrecord --source=... --out=...'
      ) from error

  def existing_splits(self) -> tuple[str, ...]:
    """Returns the names of the splits that have an example."""
    splits = self._builder.info.splits
    return tuple(name for name in self.splits if splits[name].num_examples)

  def files(self) -> dict[str, pathlib.Path]:
    """Returns the files of the dataset, {name: path}; {} if it is remote."""
    folder = str(self._builder.data_dir)
    if '://' in folder:
      return {}
    paths = sorted(pathlib.Path(folder).rglob('*'))
    return {path.name: path for path in paths if path.is_file()}

  def classes(self) -> tuple[tuple[str, ...], int]:
    """Returns the names of the classes (or ()), and their number.

    Raises:
      ValueError: If the dataset does not state the number of classes.
    """
    label = self._features[self.adapter.label]
    if not (number := getattr(label, 'num_classes', None)):
      raise ValueError(
        f'Feature {self.adapter.label!r} of {self.name!r} is {label}, which'
        " does not state the number of classes; remove 'label' from"
        ' config.data.keys.'
      )
    return tuple(label.names), number

  @property
  def action_width(self) -> int:
    """Number of values of an action."""
    shape = self._features[self.adapter.action].shape
    return int(shape[-1])

  def parse(self, record: bytes) -> dict[str, Any]:
    """Returns {path: value} of the features of an example, not decoded.

    Raises:
      KeyError, IndexError or ValueError: If a feature is missing or wrong.
    """
    # The parser of TFDS fails at nested sequences, also if they are not used.
    stored = self._example.FromString(record).features.feature
    for path in self._wanted:
      if path not in stored:
        raise KeyError(f'no feature {path!r}')
    parsed = {
      path: _plain(stored[path], info) for path, info in self._wanted.items()
    }
    video = self.adapter.video
    if f'{video}/shape' in parsed:
      parts = {part: parsed.pop(f'{video}/{part}') for part in _DYNAMIC}
      parsed[video] = parts
    return parsed

  def read(
    self,
    parsed: Mapping[str, Any],
    choose: storage.Choose,
    resize: storage.Resize | None = None,
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns selected frames `[t, h, w, c]`, uint8, and their indices.

    Args:
      parsed: Parsed example, {path of feature: value}.
      choose: Function that selects frames.
      resize: Function that resizes a frame; None for the original size.
    """
    value = parsed[self.adapter.video]
    feature = self._features[self.adapter.video]
    if self._kind == 'mp4':
      return storage.read_mp4(value, choose, resize)
    if self._kind == 'images':
      num_channels = feature.feature.shape[-1]
      return storage.read_images(value, choose, num_channels, resize)
    video_thwc = feature.decode_example_np(value)
    number_t = choose(len(video_thwc))
    if resize is not None:
      return np.stack([resize(video_thwc[i]) for i in number_t]), number_t
    first, last = number_t[0], number_t[-1] + 1
    if np.array_equal(number_t, np.arange(first, last)):
      return video_thwc[first:last], number_t  # A view, without a copy.
    return video_thwc[number_t], number_t

  def entry(
    self, parsed: Mapping[str, Any], key: str, number_t: np.ndarray | None
  ) -> Any:
    """Returns entry `key` of a clip; None if the dataset has no such entry.

    Args:
      parsed: Parsed example, {path of feature: value}.
      key: One of `adapters.ENTRIES`.
      number_t: Indices of the frames of the clip; only actions need them.
    """
    path = getattr(self.adapter, key)
    if path is None:
      return None
    if key == 'fps':
      return np.float32(self.rate(parsed))
    value = parsed[path]
    if key == 'label':
      return np.int32(value)
    if key == 'caption':
      return value.decode() if isinstance(value, bytes) else str(value)
    # The action at the last frame may be missing.
    return np.asarray(value, np.float32)[np.minimum(number_t, len(value) - 1)]

  def rate(self, parsed: Mapping[str, Any]) -> float:
    """Returns the frames per second of the video of an example."""
    fps = self.adapter.fps
    return float(parsed[fps] if isinstance(fps, str) else fps)


def _builder(name: str | None, data_dir: str | None) -> Any:
  """Returns the builder of an existing dataset.

  Raises:
    FileNotFoundError: If the dataset does not exist, or is unknown.
    ValueError: If neither a name nor a folder is given.
  """
  tfds = compat.load()
  if name is None and data_dir is None:
    raise ValueError(
      'config.data has neither dataset nor data_dir; give the name or the'
      ' folder of a dataset.'
    )
  from tensorflow_datasets.core import dataset_info

  absent = (
    tfds.core.DatasetNotFoundError,
    dataset_info.DatasetInfoFileError,
    FileNotFoundError,
  )
  try:
    if name is None:
      return compat.from_directory(data_dir)
    return compat.builder(name, data_dir)
  except absent as error:
    reason = str(error).strip().partition('\n')[0]
    raise FileNotFoundError(
      f'No dataset {name or data_dir!r} ({reason}). data_dir must be the folder'
      ' with dataset_info.json or, if a dataset is named, the folder of'
      ' datasets.'
    ) from error


def _wanted(features: Any, paths: Mapping[str, Any]) -> dict[str, Any]:
  """Returns {path: TensorInfo} of the features at `paths`, as they are stored.

  A feature may be stored as several arrays, `path/part`.
  """
  from tensorflow_datasets.core import utils

  known = utils.flatten_nest_dict(features.get_serialized_info())
  return {
    path: info
    for path, info in known.items()
    if path in paths or path.rpartition('/')[0] in paths
  }


def _plain(feature: Any, info: Any) -> Any:
  """Returns the value of a feature: bytes, a list, a number or an array."""
  kind = feature.WhichOneof('kind')
  values = getattr(feature, kind).value if kind else ()
  if kind == 'bytes_list' or np.dtype(info.np_dtype) == np.object_:
    return values if info.shape else values[0]
  if not info.shape:
    return values[0]
  shape = [-1 if size is None else size for size in info.shape]
  return np.array(values, info.np_dtype).reshape(shape)
