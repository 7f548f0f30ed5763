"""Tests of data/splits.py."""

import hashlib
import os

import numpy as np
import pytest

from vgen_jax.data import splits
from vgen_jax.data.files import folders

PROPORTIONS = {'validation': 0.1, 'test': 0.2}
NAMES = [f'clip {i}.mp4' for i in range(50)]


def sets_by_name(names, proportions=PROPORTIONS) -> list[set[str]]:
  return [
    {names[i] for i in splits.by_name(names, split, proportions)}
    for split in ('train', 'validation', 'test')
  ]


def test_splits_by_name_are_disjoint_and_complete():
  parts = sets_by_name(NAMES)
  assert all(parts)
  assert sum(map(len, parts)) == len(NAMES)
  assert set.union(*parts) == set(NAMES)
  assert splits.by_name(NAMES, 'all', PROPORTIONS) == list(range(50))


def test_splits_by_name_ignore_the_order_of_files():
  assert sets_by_name(NAMES) == sets_by_name(NAMES[::-1])
  first = {NAMES[i] for i in range(10)}
  assert sets_by_name(NAMES)[2] != first  # They are not consecutive.


def test_three_names_give_one_to_each_split():
  assert [len(part) for part in sets_by_name(NAMES[:3])] == [1, 1, 1]


@pytest.mark.parametrize('is_whole', [True, False])
@pytest.mark.parametrize('last', [119, 333])
def test_splits_by_time_keep_a_gap(is_whole, last):
  parts = splits.by_time(last, 15, 16, PROPORTIONS, is_whole)
  assert parts['train'][0] == 0
  assert parts['test'][1] == last
  assert parts['validation'][0] - parts['train'][1] == pytest.approx(16)
  assert parts['test'][0] - parts['validation'][1] == pytest.approx(16)
  for first, end in parts.values():
    assert end - first >= 15
    assert not is_whole or (int(first), int(end)) == (first, end)


def test_splits_by_time_show_what_is_missing():
  assert splits.by_time(60, 15, 16, PROPORTIONS, True)['train'][1] < 15
  parts = splits.by_time(60, 15, 16, {'validation': 0.5, 'test': 0}, True)
  assert parts == {'validation': (30, 60), 'train': (0, 14)}


def test_errors():
  with pytest.raises(ValueError, match="split is 'val'; it must be one of"):
    splits.by_name(NAMES, 'val', PROPORTIONS)
  with pytest.raises(ValueError, match=r'config.data.test is 0, so the split'):
    splits.check('test', {'validation': 0.1, 'test': 0})
  with pytest.raises(ValueError, match='leaves none of 3 videos for training'):
    splits.by_name(NAMES[:3], 'train', {'validation': 0.5, 'test': 0.5})


def test_splits_of_many_videos_are_disjoint_and_uniform():
  names = [f'class {i % 97}/video {i:05d}.mp4' for i in range(5000)]
  parts = sets_by_name(names)
  for part, p in zip(parts, (0.7, 0.1, 0.2), strict=True):
    spread = np.sqrt(5000 * p * (1 - p))
    assert abs(len(part) - 5000 * p) < 4 * spread
  assert sum(map(len, parts)) == 5000
  assert len(set.union(*parts)) == 5000
  # The split does not depend on the folder or the number.
  for part in parts:
    assert len({name.split('/')[0] for name in part}) > 90
    mean = np.mean([int(name[-9:-4]) for name in part])
    assert abs(mean - 2500) < 5 * 5000 / np.sqrt(12 * len(part))


def test_splits_do_not_depend_on_the_location_and_the_order_of_files(tmp_path):
  """Names are relative to the folder."""
  for folder in ('here', 'moved/there'):
    for i in range(60)[:: 1 if folder == 'here' else -1]:
      file = tmp_path / folder / f'{i % 3}' / f'{i}.mp4'
      file.parent.mkdir(parents=True, exist_ok=True)
      file.touch()
  found = [
    [path.relative_to(tmp_path / folder).as_posix() for path in paths]
    for folder in ('here', 'moved/there')
    for paths in [folders.find(tmp_path / folder)]
  ]
  assert sets_by_name(found[0]) == sets_by_name(found[1])
  # With absolute paths, the splits of the moved folder would differ.
  whole = [f'moved/there/{name}' for name in found[1]]
  moved = [
    {name.removeprefix('moved/there/') for name in part}
    for part in sets_by_name(whole)
  ]
  assert moved != sets_by_name(found[0])


def test_splits_of_names_do_not_change():
  """Otherwise tests of trained models could use training videos."""
  hashed = lambda x: (
    int(hashlib.sha256(x.encode()).hexdigest()[:16], 16) / 2**64
  )
  train, validation, test = sets_by_name(NAMES)
  assert test == {x for x in NAMES if hashed(x) < 0.2}
  assert validation == {x for x in NAMES if 0.2 <= hashed(x) < 0.3}
  assert train == {x for x in NAMES if hashed(x) >= 0.3}


def test_removing_a_video_does_not_move_others():
  names = NAMES[:40]
  parts = sets_by_name(names)
  assert min(map(len, parts)) > 1
  for gone in names:
    rest = [name for name in names if name != gone]
    assert sets_by_name(rest) == [part - {gone} for part in parts]
  # If each split had a fixed number of videos, some would move.
  moves = 0
  for gone in names:
    order = sorted(names, key=lambda x: hashlib.sha256(x.encode()).digest())
    rest = [name for name in order if name != gone]
    moves += set(order[8:12]) - {gone} != set(rest[8:12]) - {gone}
  assert moves


@pytest.mark.parametrize('number', range(3, 12))
def test_no_split_of_a_tiny_folder_is_empty(number):
  for letter in 'abcdefgh':
    names = [f'{letter}{i}' for i in range(number)]
    for proportions in (PROPORTIONS, {'validation': 0.05, 'test': 0.9}):
      parts = sets_by_name(names, proportions)
      assert all(parts)
      assert sum(map(len, parts)) == len(set.union(*parts)) == number


def test_names_of_any_bytes_are_split():
  names = [os.fsdecode(b'\xff%d.mp4' % i) for i in range(30)]
  assert len(set.union(*sets_by_name(names))) == 30


def test_links_to_one_file_are_in_one_split(tmp_path):
  for i in range(20):
    (tmp_path / f'{i}.mp4').write_bytes(b'%d' % i)
    (tmp_path / f'soft {i}.mp4').symlink_to(f'{i}.mp4')
    os.link(tmp_path / f'{i}.mp4', tmp_path / f'hard {i}.mp4')
  (tmp_path / 'nowhere.mp4').symlink_to('gone.mp4')
  paths = folders.find(tmp_path)
  number = lambda i: paths[i].stem.split()[-1]

  def leaks(names) -> bool:
    parts = [
      {number(i) for i in splits.by_name(names, split, PROPORTIONS)}
      for split in ('train', 'validation', 'test')
    ]
    return sum(map(len, parts)) > len(set.union(*parts))

  assert not leaks(folders.original_names(paths, tmp_path))
  assert leaks([path.name for path in paths])


def test_hidden_folders_are_skipped(tmp_path):
  for name in ('a/1.mp4', 'b/2.mp4', '.cache/3.mp4', 'a/.old/4.mp4'):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
  inside = tmp_path / '.hidden'  # The given folder itself may be hidden.
  inside.mkdir()
  (inside / '5.mp4').touch()
  assert [x.stem for x in folders.find(tmp_path)] == ['1', '2']
  assert [x.stem for x in folders.find(inside)] == ['5']
