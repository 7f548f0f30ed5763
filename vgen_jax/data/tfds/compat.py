"""TFDS without TensorFlow: what version 4.9.10 cannot do, mended.

Ask `load()` for the package rather than importing it. Where TensorFlow is
installed, it is left as it is. Each patch tells its reason; the test of each
fails as soon as TFDS no longer needs it, and says that it can go.

  python -m vgen_jax.data.tfds_compat build DATASET --file_format=array_record

is the command `tfds`, for datasets whose code needs no TensorFlow either.
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

_FEATURE = 'tensorflow_datasets.core.features.feature'
_VIDEO = 'tensorflow_datasets.core.features.video_feature'
_IMAGE = 'tensorflow_datasets.core.features.image_feature'
_CLI = 'tensorflow_datasets.scripts.cli'


@functools.cache
def load() -> Any:
  """Returns the package `tensorflow_datasets`, fit for use without TensorFlow.

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
    name: 'dataset/config:version', the latter two optional.
    data_dir: Folder that holds `dataset/`; None is TFDS's own.
  """
  tfds = load()
  # Names of the catalogue are known once their modules are imported, which
  # TFDS puts off until an attribute of this one is asked for.
  importlib.import_module('tensorflow_datasets.video')
  return tfds.builder(name, data_dir=data_dir, try_gcs=False)


def patch_video_init() -> None:
  """`Video.__init__` asks TensorFlow for a dtype; NumPy's own will do.

  So does reading a video from bytes ask it for a file; Python's will do.
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
  """`dtype` of features is TensorFlow's; theirs for NumPy says the same.

  A `Video` cannot be saved without it, nor a sequence within a sequence, as the
  boxes of YouTube-VIS are.
  """
  feature_lib = importlib.import_module(_FEATURE)
  for cls in (feature_lib.TensorInfo, feature_lib.FeatureConnector):
    cls.dtype = property(lambda self: self.np_dtype)


def patch_image_encoder() -> None:
  """`Image` and `Video` encode arrays in a graph of TensorFlow's.

  JPEGs are 4:4:4 here: halved chroma is the worst loss at 64 to 128 pixels.
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


def patch_command() -> None:
  """The command `tfds` imports what two of its sub-commands need.

  These, `convert_format` and `croissant`, ask for TensorFlow, Beam and
  mlcroissant at import; they are replaced by ones that say so when called.
  """

  @dataclasses.dataclass(frozen=True, kw_only=True)
  class Absent:
    def execute(self):
      sys.exit('This sub-command needs TensorFlow, Beam and mlcroissant.')

  @dataclasses.dataclass(frozen=True, kw_only=True)
  class AbsentToo(Absent):  # The parser tells sub-commands by their class.
    pass

  for file, name, cls in (
    ('convert_format', 'Args', Absent),
    ('croissant', 'CmdArgs', AbsentToo),
  ):
    sys.modules[f'{_CLI}.{file}'] = types.SimpleNamespace(**{name: cls})


PATCHES = (
  patch_video_init,
  patch_dtypes,
  patch_image_encoder,
  patch_command,
)


def command(argv: Sequence[str]) -> None:
  """Runs the command `tfds` with these words after its name."""
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
