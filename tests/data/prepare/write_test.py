"""Tests of data/prepare/write.py and of what it writes from a folder."""

import json
import shutil
import subprocess
import sys
import weakref

import numpy as np
import pytest

from vgen_jax.core import faults
from vgen_jax.data.files import codecs
from vgen_jax.data.files import video_writers
from vgen_jax.data.prepare import raw_videos
from vgen_jax.data.prepare import tfrecords
from vgen_jax.data.prepare import video_folder
from vgen_jax.data.prepare import write
from vgen_jax.data.tfds import compat
from vgen_jax.data.tfds import dataset
from vgen_jax.synthetic.digits import prepare

CSV = """path,label,caption,action,split,start_s,end_s
left/a.mp4,goes left,"a thing, going left",left.npy,train,,
left/b.mp4,goes left,it goes left,left.npy,train,0.5,0.9
right/c.mp4,goes right,it goes right,right.npy,test,,
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Three videos of 20 frames at 10 per second; frames differ in shade."""
  folder = tmp_path_factory.mktemp('videos')
  for name in ('left/a', 'left/b', 'right/c'):
    path = folder / f'{name}.mp4'
    path.parent.mkdir(exist_ok=True)
    shade_t = 8 * np.arange(20, dtype=np.uint8)[:, None, None, None]
    video_writers.write_mp4(path, np.tile(shade_t, (1, 32, 48, 3)), 10)
  for name in ('left', 'right'):
    action_ta = np.arange(20)[:, None] * [1.0, -1.0 if name == 'left' else 1]
    np.save(folder / f'{name}.npy', action_ta)
  (folder / 'table.csv').write_text(CSV)
  return folder


def opened(folder: str, t: int, **kwargs) -> dataset.TFDSVideo:
  keys = ('label', 'action', 'caption', 'fps')
  return dataset.TFDSVideo((t, 16, 24, 3), data_dir=folder, keys=keys, **kwargs)


def frames(clip) -> list[int]:
  shade_t = clip['video'].mean((1, 2, 3))
  return np.round(shade_t / 8).astype(int).tolist()


def test_a_table_gives_labels_captions_actions_and_segments(folder, tmp_path):
  table = video_folder.table(str(folder), 'example', f'{folder}/table.csv')
  options = raw_videos.Options('jpeg', size=16, max_frames=12)
  path, skipped = write.write(table, str(tmp_path), options)
  assert skipped == 0
  source = opened(path, 4, split='train[0%:]')
  clips = {source.caption(i): source[i] for i in range(len(source))}
  segment = clips['it goes left']
  assert frames(segment) == [5, 6, 7, 8]  # Five frames, from 0.5 to 0.9 s.
  np.testing.assert_array_equal(segment['action'][:, 0], [5, 6, 7, 8])
  assert source.schema.class_names == ('goes left', 'goes right')
  test = opened(path, 10, split='test')
  assert len(test) == 2  # A video of 20 frames in two pieces.
  shown = sorted(frames(test[i]) for i in range(2))
  assert shown == [[*range(10)], [*range(10, 20)]]
  assert {int(test[i]['label']) for i in range(2)} == {1}
  assert {c['fps'] for c in clips.values()} == {np.float32(10)}


def test_records_do_not_depend_on_the_number_of_threads(folder, tmp_path):
  table = video_folder.table(str(folder), validation=0, test=0)
  records = []
  for num_threads in (1, 3):
    path, _ = write.write(
      table,
      str(tmp_path / str(num_threads)),
      raw_videos.Options('mp4', frames_per_second=5),
      num_threads=num_threads,
    )
    source = opened(path, 4, split='all')
    assert source.schema.frames_per_second == 5
    records.append([source.record(i) for i in range(len(source))])
  assert records[0] == records[1]
  assert len(set(records[0])) == 3


def test_broken_videos_are_an_error_or_skipped(folder, tmp_path):
  shutil.copytree(folder, tmp_path / 'videos')
  (tmp_path / 'videos/left/b.mp4').write_bytes(b'<html>not found</html>')
  table = video_folder.table(str(tmp_path / 'videos'), validation=0, test=0)
  options = raw_videos.Options('raw')
  with pytest.raises(faults.ClipError, match=r'b\.mp4'):
    write.write(table, str(tmp_path / 'out'), options)
  path, skipped = write.write(
    table, str(tmp_path / 'out'), options, skips_broken=True
  )
  assert skipped == 1
  assert len(opened(path, 4, split='all')) == 2
  for name in ('left/a', 'right/c'):
    (tmp_path / f'videos/{name}.mp4').write_bytes(b'')
  with pytest.raises(RuntimeError, match='cannot be read, more than 10%'):
    write.write(table, str(tmp_path / 'two'), options, skips_broken=True)


def test_memory_holds_one_frame_of_a_file_at_its_full_size(folder, monkeypatch):
  video = raw_videos.File(str(folder / 'left/a.mp4'))
  full, rgb = [], codecs.containers.rgb

  def counted(*args):
    image_hwc = rgb(*args)
    full[:] = [alive for alive in full if alive() is not None]
    full.append(weakref.ref(image_hwc))
    return image_hwc

  monkeypatch.setattr(codecs.containers, 'rgb', counted)
  for piece in video.pieces(raw_videos.Options('mp4', size=16, max_frames=12)):
    for image_hwc in piece['video']:
      assert image_hwc.shape == (16, 24, 3)
      assert len(full) <= 2  # This frame and, while it is read, the one before.


def test_raw_pieces_are_short_if_frames_are_large(folder, monkeypatch):
  video = raw_videos.File(str(folder / 'left/a.mp4'))
  monkeypatch.setattr(raw_videos, '_MAX_RAW_PIXELS', 4 * 32 * 48)
  lengths = lambda options: [len(x['numbers']) for x in video.pieces(options)]
  assert lengths(raw_videos.Options('raw', max_frames=12)) == [4] * 5
  assert lengths(raw_videos.Options('raw', size=16)) == [10, 10]
  assert lengths(raw_videos.Options('mp4', max_frames=12)) == [10, 10]


@pytest.mark.parametrize('num_frames', [59, 60, 61])
def test_the_last_frame_is_used_if_the_next_one_is_hardly_later(
  tmp_path, num_frames
):
  """At a rate of 1, 60 frames at 30 per second end 1/30 s before 2 s."""
  np.save(tmp_path / 'x.npy', np.zeros((num_frames, 1, 4, 4), np.uint8))
  video = raw_videos.Column(str(tmp_path / 'x.npy'), 0, 30.0)
  [piece] = video.pieces(raw_videos.Options('raw', frames_per_second=1.0))
  wanted = {59: [0, 30], 60: [0, 30, 59], 61: [0, 30, 60]}[num_frames]
  assert piece['numbers'].tolist() == wanted


def test_pieces_of_long_videos_are_taken_one_at_a_time(folder, monkeypatch):
  """Threads wait until their examples are taken, even if many are ready."""
  table = video_folder.table(str(folder), validation=0, test=0)
  made, taken = [], 0

  def examples(row, *unused):
    for i in range(50):
      made.append(row.key)
      yield f'{row.key}#{i}', {}

  monkeypatch.setattr(write.tables, 'examples', examples)
  read = write._examples(
    table.splits['train'], table, raw_videos.Options(), None, num_threads=2
  )
  keys = []
  for key, _ in read:
    keys.append(key)
    taken += 1
    # Each of two threads has one in its queue and one that it waits to put.
    assert len(made) <= taken + 2 * 2
  assert keys == [
    f'{r.key}#{i}' for r in table.splits['train'] for i in range(50)
  ]
  made.clear()
  stopped = write._examples(
    table.splits['train'], table, raw_videos.Options(), None, num_threads=2
  )
  next(stopped)
  stopped.close()  # No thread waits forever.
  assert len(made) < 10


def test_pieces_before_a_damaged_part_are_kept(folder, tmp_path, caplog):
  """The pieces are counted as examples, and the video counts as skipped."""
  rng = np.random.default_rng(0)
  video_thwc = rng.integers(0, 255, (40, 64, 64, 3)).astype(np.uint8)
  source = tmp_path / 'videos'
  source.mkdir()
  video_writers.write_mp4(source / 'b.mp4', video_thwc[:4], 10)
  video_writers.write_mp4(source / 'a.mp4', video_thwc, 10)
  data = bytearray((source / 'a.mp4').read_bytes())
  at = data.index(b'mdat') + (len(data) * 3) // 4
  data[at : at + 3000] = rng.bytes(3000)
  (source / 'a.mp4').write_bytes(data)
  table = video_folder.table(str(source), validation=0, test=0)
  options = raw_videos.Options('raw', max_frames=10)
  with caplog.at_level('WARNING', 'vgen_jax'):
    path, skipped = write.write(
      table, str(tmp_path / 'out'), options, skips_broken=True
    )
  assert skipped == 1
  assert 'a.mp4: it is damaged' in caplog.text
  assert 'Its first 2 pieces are kept' in caplog.text
  assert len(opened(path, 4, split='all')) == 2 + 1


def test_tfrecords_become_array_records(tmp_path):
  """A dataset in ArrayRecord is converted to TFRecord and back."""
  table = prepare.table((3, 16, 16, 1), 12)
  own, _ = write.write(table, str(tmp_path / 'own'), raw_videos.Options('raw'))
  old = tmp_path / 'tfrecord'
  shutil.copytree(own, old)
  info = json.loads((old / 'dataset_info.json').read_text())
  info['fileFormat'] = 'tfrecord'
  (old / 'dataset_info.json').write_text(json.dumps(info))
  originals = {}
  for split in info['splits']:
    source = dataset.TFDSVideo(
      (3, 16, 16, 1), data_dir=own, split=f'{split["name"]}[0%:]'
    )
    records = [source.record(i) for i in range(len(source))]
    originals[split['name']] = records
    [path] = old.glob(f'*-{split["name"]}.array*')
    path.unlink()
    _write_tfrecord(old / path.name.replace('array_', 'tf'), records)
  new = tmp_path / 'new'
  counts = tfrecords.convert(str(old), str(new))
  assert tfrecords.convert(str(old), str(new)) == counts  # Is complete.
  assert counts == {'train': 12, 'validation': 1, 'test': 1}
  assert compat.load().builder_from_directory(new).info
  source = dataset.TFDSVideo((3, 16, 16, 1), data_dir=str(new))
  assert [source.record(i) for i in range(12)] == originals[
    'train'
  ]  # In order.
  [path] = old.glob('*train*')
  _write_tfrecord(path, originals['train'][:-1])
  with pytest.raises(FileExistsError, match=r"with other \['source'"):
    tfrecords.convert(str(old), str(new))
  with pytest.raises(ValueError, match=r'contain \[11\] .* states \[12\]'):
    tfrecords.convert(str(old), str(tmp_path / 'third'))


def _write_tfrecord(path, records) -> None:
  with path.open('wb') as file:
    for record in records:
      length = len(record).to_bytes(8, 'little')
      checksum = tfrecords._masked(tfrecords._crc32c(length))
      file.write(length + checksum.to_bytes(4, 'little') + record + b'crc?')


def test_checksums_are_crc32c():
  # RFC 3720, B.4: for 32 zero bytes, and for the bytes 0 to 31.
  assert tfrecords._crc32c(bytes(32)) == 0x8A9136AA
  assert tfrecords._crc32c(bytes(range(32))) == 0x46DD794E


def test_beam_writes_the_same(folder, tmp_path):
  """The test uses another process, because Beam changes global state."""
  pytest.importorskip('apache_beam')
  code = f"""
from vgen_jax.data.prepare import raw_videos, video_folder, write
table = video_folder.table({str(folder)!r}, file={str(folder / 'table.csv')!r})
for name, flags in (('plain', None), ('beam', ['--runner=FnApiRunner'])):
  write.write(table, f'{tmp_path}/{{name}}', raw_videos.Options('jpeg'),
              beam_options=flags)
"""
  subprocess.run([sys.executable, '-c', code], check=True)
  records = []
  for name in ('plain', 'beam'):
    source = opened(f'{tmp_path}/{name}/video_folder/1.0.0', 4, split='all')
    records.append([source.record(i) for i in range(len(source))])
  assert len(records[0]) == 3
  assert records[0] == records[1]
