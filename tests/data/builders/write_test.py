"""Tests of data/builders/write.py and of what it writes from a folder."""

import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from vgen_jax.data import codecs
from vgen_jax.data import faults
from vgen_jax.data import tfds_compat
from vgen_jax.data import tfds_video
from vgen_jax.data import video_folder as videos
from vgen_jax.data.builders import films
from vgen_jax.data.builders import moving_digits
from vgen_jax.data.builders import tfrecords
from vgen_jax.data.builders import video_folder
from vgen_jax.data.builders import write

CSV = """path,label,caption,action,split,start_s,end_s
left/a.mp4,goes left,"a thing, going left",left.npy,train,,
left/b.mp4,goes left,it goes left,left.npy,train,0.5,0.9
right/c.mp4,goes right,it goes right,right.npy,test,,
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Three films of 20 frames at 10 a second, each frame of its own shade."""
  folder = tmp_path_factory.mktemp('films')
  for name in ('left/a', 'left/b', 'right/c'):
    path = folder / f'{name}.mp4'
    path.parent.mkdir(exist_ok=True)
    shade_t = 8 * np.arange(20, dtype=np.uint8)[:, None, None, None]
    codecs.write_mp4(path, np.tile(shade_t, (1, 32, 48, 3)), 10)
  for name in ('left', 'right'):
    action_ta = np.arange(20)[:, None] * [1.0, -1.0 if name == 'left' else 1]
    np.save(folder / f'{name}.npy', action_ta)
  (folder / 'table.csv').write_text(CSV)
  return folder


def opened(place: str, t: int, **kwargs) -> tfds_video.TFDSVideo:
  keys = ('label', 'action', 'caption', 'fps')
  return tfds_video.TFDSVideo(
    (t, 16, 24, 3), data_dir=place, keys=keys, **kwargs
  )


def numbers(clip) -> list[int]:
  shade_t = clip['video'].mean((1, 2, 3))
  return np.round(shade_t / 8).astype(int).tolist()


def test_a_table_tells_all(folder, tmp_path):
  table = video_folder.table(str(folder), 'made_up', f'{folder}/table.csv')
  options = films.Options('jpeg', size=16, max_frames=12)
  place, skipped = write.write(table, str(tmp_path), options)
  assert skipped == 0
  source = opened(place, 4, split='train[0%:]')
  clips = {source.caption(i): source[i] for i in range(len(source))}
  stretch = clips['it goes left']
  assert numbers(stretch) == [5, 6, 7, 8]  # Five frames, from 0.5 to 0.9 s.
  np.testing.assert_array_equal(stretch['action'][:, 0], [5, 6, 7, 8])
  assert source.schema.class_names == ('goes left', 'goes right')
  test = opened(place, 10, split='test')
  assert len(test) == 2  # A film of 20 frames in two pieces.
  shown = sorted(numbers(test[i]) for i in range(2))
  assert shown == [[*range(10)], [*range(10, 20)]]
  assert {int(test[i]['label']) for i in range(2)} == {1}
  assert {c['fps'] for c in clips.values()} == {np.float32(10)}
  with pytest.raises(FileExistsError, match='exists already'):
    write.write(table, str(tmp_path), options)


def test_threads_change_nothing(folder, tmp_path):
  table = video_folder.table(str(folder), validation=0, test=0)
  records = []
  for num_threads in (1, 3):
    place, _ = write.write(
      table,
      str(tmp_path / str(num_threads)),
      films.Options('mp4', frames_per_second=5),
      num_threads=num_threads,
    )
    source = opened(place, 4, split='all')
    assert source.schema.frames_per_second == 5
    records.append([source.record(i) for i in range(len(source))])
  assert records[0] == records[1]
  assert len(set(records[0])) == 3


def test_broken_films_are_left_out_when_asked(folder, tmp_path):
  shutil.copytree(folder, tmp_path / 'films')
  (tmp_path / 'films/left/b.mp4').write_bytes(b'<html>not found</html>')
  table = video_folder.table(str(tmp_path / 'films'), validation=0, test=0)
  options = films.Options('raw')
  with pytest.raises(faults.ClipError, match=r'b\.mp4'):
    write.write(table, str(tmp_path / 'out'), options)
  place, skipped = write.write(
    table, str(tmp_path / 'out'), options, skips_broken=True
  )
  assert skipped == 1
  assert len(opened(place, 4, split='all')) == 2
  for name in ('left/a', 'right/c'):
    (tmp_path / f'films/{name}.mp4').write_bytes(b'')
  with pytest.raises(RuntimeError, match='cannot be read, above 10%'):
    write.write(table, str(tmp_path / 'two'), options, skips_broken=True)


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('path,lable\nleft/a.mp4,x\n', "column 'lable'. Did you mean 'label'"),
    ('path,label\nleft/a.mp4,x\nleft/b.mp4,\n', "video 2 has no .'label'."),
    ('path\nleft/z.mp4\n', 'z.mp4 is told of in the table, but not there'),
    ('path,split\nleft/a.mp4,dev\n', "splits .'dev'."),
    ('path\n', 'tells of no video'),
    ('path\nleft/a.mp4\nleft/a.mp4\n', "tells of 'left/a.mp4' 2 times"),
    ('path,caption\nleft/a.mp4,red, blue\n', 'more fields than there are col'),
  ],
)
def test_a_wrong_table_is_told(folder, tmp_path, text, message):
  (tmp_path / 'table.csv').write_text(text)
  with pytest.raises((ValueError, FileNotFoundError), match=message):
    video_folder.table(str(folder), file=str(tmp_path / 'table.csv'))


def test_a_film_is_read_a_few_frames_at_a_time(folder, monkeypatch):
  film = films.File(str(folder / 'left/a.mp4'))
  options = films.Options('raw', size=16, max_frames=12)
  whole = list(film.pieces(options))
  held = []
  read = codecs.read
  monkeypatch.setattr(films, '_AT_ONCE', 3)
  monkeypatch.setattr(
    films.codecs, 'read', lambda i, n: held.append(len(n)) or read(i, n)
  )
  pieces = list(film.pieces(options))
  assert max(held) <= 3
  for one, other in zip(whole, pieces, strict=True):
    np.testing.assert_array_equal(one['video'], other['video'])


def test_one_film_is_in_one_split(folder, tmp_path):
  """However its path is spelled, and whatever link leads to it."""
  source = tmp_path / 'films'
  shutil.copytree(folder, source)
  for i in range(9):
    shutil.copy(source / 'left/a.mp4', source / f'x@{i}.mp4')
  (source / 'link.mp4').symlink_to(source / 'x@3.mp4')
  for i in range(9):
    (source / f'hard_{i}.mp4').hardlink_to(source / f'x@{i}.mp4')
  spelled = ['{}', './{}', '../films/{}']
  names = [f'x@{i}.mp4' for i in range(9)]
  paths = [spell.format(name) for name in names for spell in spelled]
  paths += ['link.mp4', *(f'hard_{i}.mp4' for i in range(9))]
  text = '\n'.join(['path', *paths])
  (tmp_path / 'table.csv').write_text(text)
  table = video_folder.table(
    str(source), file=str(tmp_path / 'table.csv'), validation=0.3, test=0.3
  )
  where: dict[int, set[str]] = {}
  for split, rows in table.splits.items():
    for row in rows:
      file = pathlib.Path(row.film.path).stat().st_ino
      where.setdefault(file, set()).add(split)
  assert len(where) == 9
  assert all(len(splits) == 1 for splits in where.values())
  assert len(set().union(*where.values())) == 3


def test_a_folder_is_split_as_its_source_is(folder, tmp_path):
  """What is cut out of a folder must not train what is tested on the folder."""
  (tmp_path / 'b.mp4').mkdir()  # No video, whatever it is called.
  for i in range(8):
    shutil.copy(folder / 'left/a.mp4', tmp_path / f'b.mp4/{i}@x.mp4')
  (tmp_path / 'b.mp4/0.mp4').symlink_to(tmp_path / 'b.mp4/5@x.mp4')
  table = video_folder.table(str(tmp_path), validation=0.3, test=0.3)
  for split, rows in table.splits.items():
    source = videos.VideoFolder(
      (4, 16, 16, 3), str(tmp_path), split, validation=0.3, test=0.3
    )
    taken = {stretch.index.path for stretch in source._stretches}
    assert taken == {row.film.path for row in rows}


def test_tables_come_from_anywhere(folder, tmp_path):
  """With the mark that Excel puts first, and any character of Unicode."""
  lines = [
    {'path': 'left/a.mp4', 'caption': 'one\u2028two', 'start_s': start_s}
    for start_s in (1.2345671, 1.2345672)
  ]
  text = '\n'.join(json.dumps(line, ensure_ascii=False) for line in lines)
  (tmp_path / 't.jsonl').write_text(text, encoding='utf-8-sig')
  csv = 'path,caption,start_s\n' + ''.join(
    f'left/a.mp4,one\u2028two,{line["start_s"]}\n' for line in lines
  )
  (tmp_path / 't.csv').write_text(csv, encoding='utf-8-sig')
  for name in ('t.csv', 't.jsonl'):
    table = video_folder.table(str(folder), file=str(tmp_path / name))
    rows = table.splits['train']
    assert [row.caption for row in rows] == ['one\u2028two'] * 2
    # Starts that differ are other films, however little.
    assert [row.key for row in rows] == [
      'left/a.mp4@1.2345671-',
      'left/a.mp4@1.2345672-',
    ]


def test_jsonl_says_what_csv_says(folder, tmp_path):
  lines = [
    {'path': 'left/a.mp4', 'caption': 'a', 'action': [[float(i)] * 3] * 20}
    for i in range(2)
  ]
  lines[1] |= {'path': 'right/c.mp4'}
  (tmp_path / 't.jsonl').write_text('\n'.join(map(json.dumps, lines)))
  table = video_folder.table(
    str(folder), file=str(tmp_path / 't.jsonl'), validation=0, test=0
  )
  assert (table.action_width, table.has_captions) == (3, True)
  assert [r.key for r in table.splits['train']] == ['left/a.mp4', 'right/c.mp4']


def test_tfrecords_become_array_records(tmp_path):
  """A dataset in TFRecord, made of one that is not, and turned back."""
  table = moving_digits.table((3, 16, 16, 1), 12)
  place, _ = write.write(table, str(tmp_path / 'own'), films.Options('raw'))
  old = tmp_path / 'tfrecord'
  shutil.copytree(place, old)
  info = json.loads((old / 'dataset_info.json').read_text())
  info['fileFormat'] = 'tfrecord'
  (old / 'dataset_info.json').write_text(json.dumps(info))
  sound = {}
  for split in info['splits']:
    source = tfds_video.TFDSVideo(
      (3, 16, 16, 1), data_dir=place, split=f'{split["name"]}[0%:]'
    )
    records = [source.record(i) for i in range(len(source))]
    sound[split['name']] = records
    [path] = old.glob(f'*-{split["name"]}.array*')
    path.unlink()
    _write_tfrecord(old / path.name.replace('array_', 'tf'), records)
  new = tmp_path / 'new'
  counts = tfrecords.convert(str(old), str(new))
  assert counts == {'train': 12, 'validation': 1, 'test': 1}
  assert tfds_compat.load().builder_from_directory(new).info
  source = tfds_video.TFDSVideo((3, 16, 16, 1), data_dir=str(new))
  assert [source.record(i) for i in range(12)] == sound['train']  # In order.
  [path] = old.glob('*train*')
  _write_tfrecord(path, sound['train'][:-1])
  with pytest.raises(ValueError, match=r'hold \[11\] .* promises \[12\]'):
    tfrecords.convert(str(old), str(tmp_path / 'third'))


def _write_tfrecord(path, records) -> None:
  with path.open('wb') as file:
    for record in records:
      length = len(record).to_bytes(8, 'little')
      checksum = tfrecords._masked(tfrecords._crc32c(length))
      file.write(length + checksum.to_bytes(4, 'little') + record + b'crc?')


def test_checksums_are_tensorflows():
  # RFC 3720, B.4: of 32 bytes of zeros, and of 32 that count up.
  assert tfrecords._crc32c(bytes(32)) == 0x8A9136AA
  assert tfrecords._crc32c(bytes(range(32))) == 0x46DD794E


def test_beam_writes_the_same(folder, tmp_path):
  """In a process of its own: Beam sets up more than a test should leave."""
  pytest.importorskip('apache_beam')
  code = f"""
from vgen_jax.data.builders import films, video_folder, write
table = video_folder.table({str(folder)!r}, file={str(folder / 'table.csv')!r})
for name, flags in (('plain', None), ('beam', ['--runner=FnApiRunner'])):
  write.write(table, f'{tmp_path}/{{name}}', films.Options('jpeg'),
              beam_options=flags)
"""
  subprocess.run([sys.executable, '-c', code], check=True)
  records = []
  for name in ('plain', 'beam'):
    source = opened(f'{tmp_path}/{name}/video_folder/1.0.0', 4, split='all')
    records.append([source.record(i) for i in range(len(source))])
  assert len(records[0]) == 3
  assert records[0] == records[1]
