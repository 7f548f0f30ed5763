"""Tests of data/tfds/compat.py: each patch is needed and works."""

import importlib.util
import json
import subprocess
import sys

import pytest

from vgen_jax.data.tfds import dataset

# Functions of TFDS that need TensorFlow without a patch. They are run in
# another process, first without and then with all patches.
PROBES = """
import io, json, sys, tempfile
import numpy as np
import tensorflow_datasets as tfds
from vgen_jax.data.tfds import compat

FRAMES = np.random.default_rng(0).integers(0, 255, (2, 8, 8, 3), np.uint8)

def init():
  assert tfds.features.Video(shape=(None, 8, 8, 3)).shape == (None, 8, 8, 3)

def to_json():
  video = object.__new__(tfds.features.Video)
  tfds.features.Sequence.__init__(video, tfds.features.Image(shape=(8, 8, 3)))
  video._encoding_format, video._extra_ffmpeg_args = 'png', []
  video._use_colormap = False
  assert video.to_json_content().dtype == 'uint8'

def ragged():
  Sequence = tfds.features.Sequence
  features = tfds.features.FeaturesDict({'x': Sequence(Sequence(np.int64))})
  encoded = features.encode_example({'x': [[1], [2, 3]]})
  data = features.serialize_example(encoded)
  lengths = [len(x) for x in features.deserialize_example_np(data)['x']]
  assert lengths == [1, 2]

def encode():
  feature = tfds.features.Image(shape=(8, 8, 3), encoding_format='png')
  data = feature.encode_example(FRAMES[0])
  assert (feature.decode_example_np(data) == FRAMES[0]).all()

def shuffling():
  from tensorflow_datasets.core import shuffle
  shuffle.MAX_MEM_BUFFER_SIZE = 9
  with tempfile.TemporaryDirectory() as folder:
    shuffler = shuffle.Shuffler(folder, 'salt')
    records = [bytes([i]) * 5 for i in range(9)]
    for i, record in enumerate(records):
      shuffler.add(i, record)
    found = list(shuffler)
  assert [key for key, _ in found] == sorted(key for key, _ in found)
  assert sorted(record for _, record in found) == records

def command():
  from tensorflow_datasets.scripts.cli import main

probes = dict(patch_video_init=[init], patch_dtypes=[to_json, ragged],
              patch_image_encoder=[encode], patch_shuffling=[shuffling],
              patch_command=[command])

def works(probe):
  try:
    probe()
    return 1
  except ImportError as error:
    return 0

assert set(probes) == {patch.__name__ for patch in compat.PATCHES}
before = {name: sum(map(works, x)) / len(x) for name, x in probes.items()}
compat.load()
after = {name: sum(map(works, x)) / len(x) for name, x in probes.items()}
print(json.dumps([before, after, 'tensorflow' in sys.modules]))
"""


# If TensorFlow is installed, TFDS uses it.
without_tensorflow = pytest.mark.skipif(
  importlib.util.find_spec('tensorflow') is not None,
  reason='TensorFlow is installed, so TFDS is not patched.',
)


@pytest.fixture(scope='module')
def probed():
  done = subprocess.run(
    [sys.executable, '-c', PROBES], capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout.splitlines()[-1])


@without_tensorflow
@pytest.mark.parametrize(
  'name',
  [
    'patch_video_init',
    'patch_dtypes',
    'patch_image_encoder',
    'patch_shuffling',
    'patch_command',
  ],
)
def test_a_patch_is_needed_and_works(probed, name):
  before, after, _ = probed
  assert before[name] == 0, f'TFDS no longer needs {name}: remove it.'
  assert after[name] == 1


@without_tensorflow
def test_no_patch_imports_tensorflow(probed):
  assert not probed[2]


BUILDER = """
import numpy as np
import tensorflow_datasets as tfds

class TinyClips(tfds.core.GeneratorBasedBuilder):
  VERSION = tfds.core.Version('1.0.0')

  def _info(self):
    video = tfds.features.Video(shape=(None, 8, 8, 3))
    return tfds.core.DatasetInfo(
        builder=self, features=tfds.features.FeaturesDict({'video': video}))

  def _split_generators(self, dl_manager):
    return {'train': self._generate_examples()}

  def _generate_examples(self):
    for i in range(3):
      yield i, {'video': np.full((4, 8, 8, 3), 9 * i, np.uint8)}
"""


@without_tensorflow
def test_the_command_builds_any_dataset(tmp_path):
  (tmp_path / 'tiny_clips.py').write_text(BUILDER)
  command = [sys.executable, '-m', 'vgen_jax.data.tfds.compat', 'build']
  flags = [f'--data_dir={tmp_path}', '--file_format=array_record']
  done = subprocess.run(
    [*command, str(tmp_path / 'tiny_clips.py'), *flags],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  source = dataset.TFDSVideo(
    (4, 8, 8, 3), data_dir=str(tmp_path / 'tiny_clips/1.0.0'), split='all'
  )
  shades = sorted(int(source[i]['video'].max()) for i in range(3))
  assert shades == [0, 9, 18]
