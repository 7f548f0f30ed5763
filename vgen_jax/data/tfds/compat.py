"""Patches of TFDS 4.9.10 for use without TensorFlow.

Call `load()` instead of importing the package. If TensorFlow is installed,
nothing is patched. Each patch states its reason. Its test fails as soon as TFDS
no longer needs the patch, so that it can be removed.

  python -m vgen_jax.data.tfds.compat build DATASET --file_format=array_record

is the command `tfds`, for datasets whose code does not need TensorFlow.
"""

from collections.abc import Sequence
import dataclasses
import functools
import importlib
import importlib.util
import io
import pathlib
import shutil
import sys
import types
from typing import Any

import numpy as np
from PIL import Image

from vgen_jax.core import file_paths
from vgen_jax.core import json_files
from vgen_jax.data.tfds import prepared_files
from vgen_jax.data.tfds import shuffling
from vgen_jax.data.tfds import trusted_features

_FEATURE = 'tensorflow_datasets.core.features.feature'
_VIDEO = 'tensorflow_datasets.core.features.video_feature'
_IMAGE = 'tensorflow_datasets.core.features.image_feature'
_SHUFFLE = 'tensorflow_datasets.core.shuffle'
_CLI = 'tensorflow_datasets.scripts.cli'


@functools.cache
def load() -> Any:
  """Returns the package `tensorflow_datasets`, patched if necessary.

  Raises:
    ModuleNotFoundError: If it is not installed.
  """
  import tensorflow_datasets as tfds

  if importlib.util.find_spec('tensorflow') is None:
    for patch in PATCHES:
      patch()
  return tfds


def builder(name: str, data_dir: str | None = None) -> Any:
  """Returns the builder of a dataset of the TFDS catalogue, or of a folder.

  Args:
    name: 'dataset/config:version'; config and version are optional.
    data_dir: Folder that contains `dataset/`; None is the default of TFDS.
  """
  tfds = load()
  # TFDS only knows the names of datasets whose modules have been imported.
  importlib.import_module('tensorflow_datasets.video')
  if data_dir is not None:
    stem = name.partition(':')[0].partition('/')[0]
    data_dir = file_paths.expanded(data_dir)
    trusted_features.check_all(file_paths.read(data_dir) / stem)
    prepared_files.check_all(file_paths.read(data_dir) / stem)
  return tfds.builder(name, data_dir=data_dir, try_gcs=False)


def from_directory(folder: str) -> Any:
  """Returns the builder of a dataset in a folder that is not trusted.

  Args:
    folder: Folder of a version of the dataset, with dataset_info.json.

  Raises:
    ValueError: If its features would run code; see trusted_features.py. Also
      if a file that describes the examples was damaged since it was written.
  """
  trusted_features.check_folder(folder)
  prepared_files.check(folder)
  tfds = load()
  info = file_paths.read(folder) / 'dataset_info.json'
  if info.exists():
    json_files.read(info)
  try:
    return tfds.builder_from_directory(file_paths.expanded(folder))
  except Exception as error:  # TFDS and protobuf raise errors of many types.
    if not info.exists():
      raise
    raise json_files.BadFileError(
      f'{folder} is not a valid dataset: its features.json or dataset_info.json'
      f' cannot be used ({type(error).__name__}: {error}). Prepare it again, or'
      ' copy it again.'
    ) from error


def patch_video_init() -> None:
  """Replaces the dtypes and files of TensorFlow in `Video.__init__`.

  The dtypes of NumPy and the files of Python are sufficient.
  """
  video_feature = importlib.import_module(_VIDEO)
  video_feature.tf = types.SimpleNamespace(
    dtypes=types.SimpleNamespace(as_dtype=lambda dtype: dtype),
    io=types.SimpleNamespace(
      gfile=types.SimpleNamespace(GFile=open, copy=_copy)
    ),
    uint8=np.uint8,
    uint16=np.uint16,
  )


def patch_dtypes() -> None:
  """Replaces `dtype` of features, a TensorFlow dtype, by the NumPy dtype.

  The patch is needed to save a `Video`, or a sequence in a sequence, such as
  the boxes of YouTube-VIS.
  """
  feature_lib = importlib.import_module(_FEATURE)
  for cls in (feature_lib.TensorInfo, feature_lib.FeatureConnector):
    cls.dtype = property(lambda self: self.np_dtype)


def patch_image_encoder() -> None:
  """Replaces the TensorFlow graph with which `Image` and `Video` encode arrays.

  JPEGs are 4:4:4: at 64 to 128 pixels, subsampled chroma causes most of the
  loss.
  """
  image_feature = importlib.import_module(_IMAGE)

  def encode(self, image_hwc: np.ndarray) -> bytes:
    image_feature._validate_np_array(
      image_hwc, shape=self.shape, dtype=self.np_dtype
    )
    is_grey = image_hwc.shape[-1] == 1
    file = io.BytesIO()
    image = Image.fromarray(image_hwc[..., 0] if is_grey else image_hwc)
    if self.encoding_format == 'jpeg':
      image.save(file, 'jpeg', quality=95, subsampling=0)
    else:
      image.save(file, 'png')
    return file.getvalue()

  image_feature._ImageEncoder._encode_image = encode


def patch_shuffling() -> None:
  """Replaces the temporary files of records that do not fit in memory.

  The class of TFDS for these files needs TensorFlow, without which a split of
  more than 1 GB could not be written.
  """
  shuffle = importlib.import_module(_SHUFFLE)
  shuffle._Bucket = shuffling.Bucket
  shuffle.MAX_MEM_BUFFER_SIZE = shuffling.MAX_BYTES


def patch_command() -> None:
  """Replaces two sub-commands of `tfds` that need other packages.

  `convert_format` and `croissant` import TensorFlow, Beam and mlcroissant, even
  if another sub-command is called. Their replacements exit with a message.
  """

  @dataclasses.dataclass(frozen=True, kw_only=True)
  class Absent:
    def execute(self):
      sys.exit('This sub-command needs TensorFlow, Beam and mlcroissant.')

  @dataclasses.dataclass(frozen=True, kw_only=True)
  class AbsentCroissant(Absent):  # The parser needs a class per sub-command.
    pass

  for file, name, cls in (
    ('convert_format', 'Args', Absent),
    ('croissant', 'CmdArgs', AbsentCroissant),
  ):
    sys.modules[f'{_CLI}.{file}'] = types.SimpleNamespace(**{name: cls})


PATCHES = (
  patch_video_init,
  patch_dtypes,
  patch_image_encoder,
  patch_shuffling,
  patch_command,
)


def command(argv: Sequence[str]) -> None:
  """Runs the command `tfds` with these arguments."""
  load()
  main = importlib.import_module(f'{_CLI}.main')
  sys.argv = ['tfds', *argv]
  main.launch_cli()


def _copy(source: str, target: str, overwrite: bool = False) -> None:
  if pathlib.Path(target).exists() and not overwrite:
    raise FileExistsError(f'{target} exists already; remove it.')
  shutil.copyfile(source, target)


if __name__ == '__main__':
  command(sys.argv[1:])
