"""Tests of data/prepare/public_datasets.py, on small folders."""

import json
import struct

import numpy as np
from PIL import Image
import pytest

from vgen_jax.core import faults
from vgen_jax.data.files import video_writers
from vgen_jax.data.prepare import public_datasets
from vgen_jax.data.prepare import raw_videos
from vgen_jax.data.prepare import resampling
from vgen_jax.data.prepare import tables
from vgen_jax.data.prepare import tfrecords
from vgen_jax.data.tfds import compat


def write_video(path, num_frames: int = 6, shade: int = 100) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  video_thwc = np.full((num_frames, 16, 24, 3), shade, np.uint8)
  video_writers.write_mp4(path, video_thwc, 10)


def stored(table, split: str, **kwargs) -> dict[str, dict]:
  """Examples that would be written for a split, by key."""
  options = raw_videos.Options('raw', **kwargs)
  found = [x for row in table.splits[split] for x in _of(row, table, options)]
  assert len(dict(found)) == len(found)
  return dict(found)


def _of(row, table, options):
  return tables.examples(row, table, options)


def test_ucf101_has_the_official_splits(tmp_path):
  paths = {
    'Walking/v_Walking_g01_c01.avi': 'train',
    'Walking/v_Walking_g02_c01.avi': 'test',
    'Archery/v_Archery_g08_c01.avi': 'train',
  }
  lists = tmp_path / 'ucfTrainTestlist'
  lists.mkdir()
  (lists / 'classInd.txt').write_text('1 Archery\r\n2 Walking\r\n')
  for split in ('train', 'test'):
    lines = [
      f'{p} 1' if split == 'train' else p for p in paths if paths[p] == split
    ]
    (lists / f'{split}list01.txt').write_text('\n'.join(lines) + '\n')
  for path in paths:
    write_video(tmp_path / 'UCF-101' / path)
  table = public_datasets.ucf101(str(tmp_path))
  assert table.class_names == ('Archery', 'Walking')
  for split in ('train', 'test'):
    examples = stored(table, split)
    assert set(examples) == {p for p, x in paths.items() if x == split}
    assert all(k.startswith(x['label']) for k, x in examples.items())
  with pytest.raises(FileNotFoundError, match='trainlist02'):
    public_datasets.ucf101(str(tmp_path), fold=2)


def test_kinetics_skips_missing_videos(tmp_path):
  (tmp_path / 'train.csv').write_text(
    'label,youtube_id,time_start,time_end,split\n'
    'abseiling,-abc_1,3,13,train\n'
    '"air, drumming",xyz,120,130,train\n'
    'abseiling,gone,0,10,train\n'
  )
  (tmp_path / 'kinetics_val.csv').write_text(
    'label,youtube_id,time_start,time_end,split\nabseiling,v,0,10,val\n'
  )
  write_video(tmp_path / 'train/abseiling/-abc_1_000003_000013.mp4')
  write_video(tmp_path / 'train/x/xyz_000120_000130.mp4')
  write_video(tmp_path / 'val/v_000000_000010.mp4')
  table = public_datasets.kinetics(str(tmp_path))
  assert table.num_rows == {'train': 2, 'validation': 1}
  assert table.class_names == ('abseiling', 'air, drumming')
  examples = stored(table, 'train')
  assert examples['xyz_000120_000130']['label'] == 'air, drumming'
  assert examples['-abc_1_000003_000013']['video'].shape == (6, 16, 24, 3)


def test_two_videos_with_the_same_name_are_an_error(tmp_path):
  """The choice must not depend on the file system."""
  name = 'v_000000_000010'
  head = 'label,youtube_id,time_start,time_end\n'
  (tmp_path / 'train.csv').write_text(head + 'x,v,0,10\n')
  write_video(tmp_path / f'a/{name}.mp4')
  (tmp_path / f'b/{name}.mp4').mkdir(parents=True)  # A folder is not a video.
  (tmp_path / f'link_{name}.mp4').symlink_to(tmp_path / f'a/{name}.mp4')
  (tmp_path / f'{name}.mp4').symlink_to(tmp_path / f'a/{name}.mp4')
  [row] = public_datasets.kinetics(str(tmp_path)).splits['train']
  assert row.video.path.endswith(f'{name}.mp4')
  write_video(tmp_path / f'c/{name}.webm.mp4', shade=50)
  (tmp_path / f'c/{name}.webm.mp4').rename(tmp_path / f'c/{name}.webm')
  with pytest.raises(ValueError, match=rf'c/{name}\.webm have the same name'):
    public_datasets.kinetics(str(tmp_path))


def test_a_repeated_line_is_an_error(tmp_path):
  head = 'label,youtube_id,time_start,time_end\n'
  (tmp_path / 'train.csv').write_text(head + 2 * 'x,v,0,10\n')
  write_video(tmp_path / 'v_000000_000010.mp4')
  with pytest.raises(ValueError, match="'v_000000_000010' occurs 2 times in"):
    public_datasets.kinetics(str(tmp_path))


def tfrecord(path, examples) -> None:
  """Writes dicts of lists as TFDS and TensorFlow do."""
  compat.load()
  from tensorflow_datasets.proto import tf_example_pb2

  path.parent.mkdir(parents=True, exist_ok=True)
  with path.open('wb') as file:
    for example in examples:
      proto = tf_example_pb2.Example()
      for name, values in example.items():
        feature = proto.features.feature[name]
        kind = 'bytes' if isinstance(values[0], bytes) else 'float'
        getattr(feature, f'{kind}_list').value.extend(values)
      data = proto.SerializeToString()
      length = struct.pack('<Q', len(data))
      checksum = tfrecords._masked(tfrecords._crc32c(length))
      file.write(length + struct.pack('<I', checksum) + data + b'crc?')


def test_bair_has_frames_and_actions(tmp_path):
  def trajectory(shade: int):
    example = {}
    for t in range(3):
      image = np.full((64, 64, 3), shade + t, np.uint8).tobytes()
      example[f'{t}/image_main/encoded'] = [image]
      example[f'{t}/image_aux1/encoded'] = [bytes(64 * 64 * 3)]
      example[f'{t}/action'] = [float(shade), float(t), 0.0, 1.0]
    return example

  folder = tmp_path / 'softmotion30_44k'
  tfrecord(folder / 'train/traj_0_to_1.tfrecords', map(trajectory, (10, 50)))
  tfrecord(folder / 'test/traj_0_to_0.tfrecords', [trajectory(90)])
  table = public_datasets.bair(str(tmp_path))
  examples = stored(table, 'train')
  assert list(examples) == ['traj_0_to_1', 'traj_0_to_1#1']
  second = examples['traj_0_to_1#1']
  assert second['video'][:, 0, 0, 0].tolist() == [50, 51, 52]
  assert second['action'].tolist()[2] == [50, 2, 0, 1]


def test_damaged_records_are_an_error(tmp_path):
  path = tmp_path / 'x.tfrecords'
  tfrecord(path, [{'a': [1.0]}, {'a': [2.0]}])
  assert [x['a'] for x in tfrecords.examples(str(path))] == [[1], [2]]
  original = path.read_bytes()
  second = 12 + int.from_bytes(original[:8], 'little') + 4
  lengthened = original[:second] + b'?' + original[second + 1 :]
  for broken in (original[:-3], lengthened, b'<html></html>'):
    path.write_bytes(broken)
    with pytest.raises(faults.ClipError, match=r'x\.tfrecords: it is'):
      list(tfrecords.records(str(path)))


def test_moving_mnist_has_time_first(tmp_path):
  video_tnhw = np.arange(3 * 4, dtype=np.uint8).reshape(3, 4, 1, 1)
  video_tnhw = np.broadcast_to(video_tnhw, (3, 4, 8, 8))
  np.save(tmp_path / 'mnist_test_seq.npy', video_tnhw)
  examples = stored(public_datasets.moving_mnist(str(tmp_path)), 'test')
  assert len(examples) == 4
  assert examples['00002']['video'].shape == (3, 8, 8, 1)
  assert examples['00002']['video'][:, 0, 0, 0].tolist() == [2, 6, 10]


def test_sky_timelapse_has_frames_in_order(tmp_path, monkeypatch):
  for split, clip in (('train', 'id_1'), ('train', 'id_2'), ('test', 'id_3')):
    folder = tmp_path / f'sky_{split}' / 'id' / clip
    folder.mkdir(parents=True)
    for i in range(12):  # Without leading zeros.
      image = Image.new('RGB', (24, 16), (20 * i, 0, 0))
      image.save(folder / f'frame{i}.jpg', quality=95)
  table = public_datasets.sky_timelapse(str(tmp_path))
  assert table.num_rows == {'train': 2, 'test': 1}
  video_thwc = stored(table, 'train')['sky_train/id/id_1']['video']
  assert (np.diff(video_thwc[:, 0, 0, 0].astype(int)) > 0).all()
  num_resized = []  # Images are resized one by one.
  resize = resampling.clips.crop_and_resize
  monkeypatch.setattr(
    resampling.clips,
    'crop_and_resize',
    lambda x, *args: num_resized.append(len(x)) or resize(x, *args),
  )
  small = stored(table, 'train', size=8)['sky_train/id/id_1']['video']
  assert small.shape == (12, 8, 12, 3)
  assert set(num_resized) == {1}
  cut = stored(table, 'test', max_frames=5, frames_per_second=15.0)
  assert [x['video'].shape[0] for x in cut.values()] == [3, 3]


def test_something_something_has_captions_and_templates(tmp_path):
  line = {
    'label': 'pushing a cup',
    'template': 'Pushing [something]',
    'placeholders': ['a cup'],
  }
  labels = tmp_path / 'labels'
  labels.mkdir()
  (labels / 'labels.json').write_text(
    json.dumps({'Pushing something': '1', 'Lifting something': '0'})
  )
  for split, names in (('train', '78'), ('validation', '9')):
    lines = [line | {'id': name} for name in names]
    (labels / f'something-something-v2-{split}.json').write_text(
      json.dumps(lines)
    )
  for name in '79':  # One is missing.
    write_video(tmp_path / f'videos/{name}.webm.mp4')
    path = tmp_path / f'videos/{name}.webm.mp4'
    path.rename(path.with_suffix(''))
  table = public_datasets.something_something(str(tmp_path))
  assert table.class_names == ('Lifting something', 'Pushing something')
  assert table.num_rows == {'train': 1, 'validation': 1}
  example = stored(table, 'train')['7']
  assert (example['label'], example['caption']) == (
    'Pushing something',
    'pushing a cup',
  )


@pytest.mark.parametrize('name', sorted(public_datasets.LAYOUTS))
def test_an_empty_folder_is_an_error(name, tmp_path):
  with pytest.raises(FileNotFoundError, match=str(tmp_path)):
    public_datasets.LAYOUTS[name](str(tmp_path))
