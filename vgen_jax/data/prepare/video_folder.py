"""A dataset of the videos in a folder, with an optional table of annotations.

The format of the table is that of data/files/annotations.py, for training and
for preparing. Without a table, all videos in the folder are used. Without
labels in a table, the names of sub-folders are labels if there are two or more
and all videos lie in them.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import os
import pathlib
import re

from vgen_jax.core import file_paths
from vgen_jax.data import splits as splits_lib
from vgen_jax.data.files import annotations
from vgen_jax.data.files import folders
from vgen_jax.data.prepare import raw_videos
from vgen_jax.data.prepare import tables


def table(
  source: str,
  name: str = 'video_folder',
  file: str | None = None,
  validation: float = 0.1,
  test: float = 0.1,
) -> tables.Table:
  """Returns the table of the videos in a folder.

  Args:
    source: Folder of videos.
    name: Name of the dataset.
    file: Path of the table of annotations, CSV or JSONL, or None.
    validation: Proportion of the videos in the validation split, if the table
      has no column `split`.
    test: Proportion of the videos in the test split, in the same way.

  Raises:
    ValueError: If the name or the table is wrong.
    FileNotFoundError: If the folder, the table or a video does not exist.
  """
  if not re.fullmatch(r'\w+', name):  # It is a part of names of files.
    raise ValueError(
      f'--name is {name!r}; it must have only letters, digits and underscores.'
    )
  folder = file_paths.local(source)
  paths = folders.find(folder, '--source')  # Logs what is not read.
  has_captions = False
  if file:
    lines = annotations.read(file, folder)
    has_captions = any(line.caption for line in lines)
  else:
    lines = _unlabelled([path.relative_to(folder) for path in paths])
  if lines[0].label is None:
    lines = _labelled(lines)
  rows = [_row(folder, line, has_captions) for line in lines]
  split_n = [line.split for line in lines]
  if split_n[0] is None:
    split_n = _split(rows, folder, {'validation': validation, 'test': test})
  grouped = {
    split: [row for row, x in zip(rows, split_n, strict=True) if x == split]
    for split in annotations.SPLITS
    if split in split_n
  }
  return tables.Table(
    name,
    grouped,
    class_names=tuple(sorted({row.label for row in rows if row.label})),
    has_captions=has_captions,
    action_width=annotations.action_width(lines),
    description=f'Videos of the folder {folder.name}.',
  )


def _unlabelled(names: Sequence[pathlib.Path]) -> list[annotations.Annotation]:
  return [annotations.Annotation(name.as_posix()) for name in names]


def _labelled(
  lines: Sequence[annotations.Annotation],
) -> list[annotations.Annotation]:
  """Returns annotations with sub-folders as labels, if they are classes."""
  names = [pathlib.PurePosixPath(line.path) for line in lines]
  if not folders.class_names(names):
    return list(lines)
  return [
    dataclasses.replace(line, label=name.parts[0])
    for line, name in zip(lines, names, strict=True)
  ]


def _row(
  folder: pathlib.Path, line: annotations.Annotation, has_captions: bool
) -> tables.Row:
  # Keys are UTF-8, and names of files need not be.
  key = os.fsencode(line.path).decode(errors='backslashreplace')
  if line.is_segment:
    end = '' if line.end_s is None else line.end_s
    key += f'@{line.start_s!r}-{end}'
  video = raw_videos.File(str(folder / line.path), line.start_s, line.end_s)
  caption = line.caption or '' if has_captions else None
  return tables.Row(key, video, line.label, caption, line.action_na)


def _split(
  rows: Sequence[tables.Row],
  folder: pathlib.Path,
  proportions: Mapping[str, float],
) -> list[str]:
  """Returns a split for each row, the same for all segments of a video.

  A video is a file, whatever links lead to it. Its split depends on the first
  of its names in the folder, as in the source VideoFolder, so that both split a
  folder in the same way.
  """
  paths = [pathlib.Path(row.video.path) for row in rows]
  names = folders.original_names(paths, folder)
  unique = sorted(set(names))
  if len(unique) < len(annotations.SPLITS):
    proportions = dict.fromkeys(proportions, 0.0)
  split_of = {}
  for split in annotations.SPLITS:
    if split == 'train' or proportions[split]:
      chosen = splits_lib.by_name(unique, split, proportions)
      split_of |= {unique[i]: split for i in chosen}
  return [split_of[name] for name in names]
