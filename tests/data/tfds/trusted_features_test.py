"""Tests that datasets from elsewhere cannot run code or open sockets."""

import json
import os
import pathlib
import sys
import threading

import numpy as np
import pytest

from vgen_jax.core import faults
from vgen_jax.data.files import containers
from vgen_jax.data.prepare import raw_videos
from vgen_jax.data.prepare import write
from vgen_jax.data.tfds import dataset
from vgen_jax.data.tfds import storage
from vgen_jax.synthetic.digits import prepare

SHAPE = (4, 16, 16, 1)
SDP = b"""v=0
o=- 0 0 IN IP4 0.0.0.0
s=x
c=IN IP4 0.0.0.0
t=0 0
m=video 5004 RTP/AVP 96
a=rtpmap:96 H264/90000
"""


@pytest.fixture
def folder(tmp_path) -> pathlib.Path:
  table = prepare.table(SHAPE, 4)
  out, _ = write.write(table, str(tmp_path), raw_videos.Options('jpeg'))
  return pathlib.Path(out)


def open_dataset(folder: pathlib.Path, named: bool):
  if named:
    root = folder.parents[1]
    return dataset.TFDSVideo(SHAPE, folder.parent.name, data_dir=str(root))
  return dataset.TFDSVideo(SHAPE, data_dir=str(folder))


@pytest.mark.parametrize('named', [False, True])
@pytest.mark.parametrize(
  'key', ['pythonClassName', 'python_class_name', 'type']
)
@pytest.mark.parametrize(
  'name',
  [
    'payload.Feature',
    'tensorflow_datasets.core.features.payload',
    'tensorflow_datasets.core.features..payload.Feature',
    'tensorflow_datasets.scripts.cli.main.X',
  ],
)
def test_no_class_of_another_package_is_imported(
  folder, tmp_path, monkeypatch, key, name, named
):
  monkeypatch.syspath_prepend(str(tmp_path))
  mark = tmp_path / 'executed'
  (tmp_path / 'payload.py').write_text(f'open({str(mark)!r}, "w").close()\n')
  file = folder / 'features.json'
  content = json.loads(file.read_text())
  inner = content['featuresDict']['features']
  inner[next(iter(inner))] = {key: name, 'content': {}}
  file.write_text(json.dumps(content))
  with pytest.raises(ValueError, match='names the class'):
    open_dataset(folder, named)
  assert 'payload' not in sys.modules
  assert not mark.exists()


def test_classes_in_lists_are_found(folder):
  file = folder / 'features.json'
  content = json.loads(file.read_text())
  content['more'] = [1, [{'type': 'payload.Feature'}]]
  file.write_text(json.dumps(content))
  with pytest.raises(ValueError, match=r'names the class.*payload\.Feature'):
    open_dataset(folder, named=False)


@pytest.mark.parametrize('named', [False, True])
def test_a_prepared_dataset_is_opened(folder, named):
  assert open_dataset(folder, named)[0]['video'].shape == SHAPE


def test_a_file_that_is_not_json_is_named(folder):
  (folder / 'features.json').write_text('[' * 100_000)
  with pytest.raises(ValueError, match=r'features\.json is not valid JSON'):
    open_dataset(folder, False)


def test_a_record_with_a_session_description_is_refused():
  """FFmpeg would open UDP sockets for it."""
  with pytest.raises(ValueError, match='cannot be decoded'):
    storage.read_mp4(SDP, lambda n: np.arange(1))


@pytest.mark.parametrize(
  'content', [SDP, b'ffconcat version 1.0\nfile pipe.mp4\n', b'#EXTM3U\nx.ts\n']
)
def test_playlists_and_descriptions_are_refused(tmp_path, content):
  """Playlists name other files; here, a pipe that no process writes to."""
  os.mkfifo(tmp_path / 'pipe.mp4')
  (tmp_path / 'video.mp4').write_bytes(content)
  errors = []

  def read():
    try:
      with containers.opened(str(tmp_path / 'video.mp4')):
        pass
    except faults.ClipError as error:
      errors.append(error)

  thread = threading.Thread(target=read, daemon=True)
  thread.start()
  thread.join(30)
  assert not thread.is_alive(), 'Opening the file did not return.'
  assert len(errors) == 1


def test_frames_in_a_record_have_a_limit(monkeypatch):
  video_thwc = np.zeros((2, 64, 64, 3), np.uint8)
  data = storage.encode('mp4', video_thwc, 8.0)
  assert storage.read_mp4(data, np.arange)[0].shape == video_thwc.shape
  opened = containers.opened
  monkeypatch.setattr(
    containers, 'opened', lambda data: opened(data, max_pixels=1000)
  )
  with pytest.raises(ValueError, match='more than 1000'):
    storage.read_mp4(data, np.arange)
