"""The segments of videos in a folder that belong to a split."""

from collections.abc import Mapping, Sequence
from concurrent import futures
import dataclasses
import pathlib
from typing import Any

from vgen_jax.core import faults as faults_lib
from vgen_jax.core import file_paths
from vgen_jax.data import splits
from vgen_jax.data.files import annotations as annotations_lib
from vgen_jax.data.files import folders
from vgen_jax.data.files import scan_cache
from vgen_jax.data.files import segments as segments_lib


@dataclasses.dataclass(frozen=True, eq=False)
class FolderSplit:
  """One split of the videos in a folder.

  Attributes:
    segments: For each video of the split, its segment, or the error about a
      video that cannot be read.
    class_names: Labels of the annotations or, without them, names of the first
      sub-folders, the same for all splits; () if videos have no classes.
    num_videos: {split: number of videos} of all splits; each video of a small
      folder is in all of them.
  """

  segments: list[segments_lib.Segment | faults_lib.ClipError]
  class_names: tuple[str, ...]
  num_videos: dict[str, int]


def find(
  folder: pathlib.Path,
  split: str,
  proportions: Mapping[str, float],
  spec: segments_lib.ClipSpec,
  *,
  annotations: Sequence[annotations_lib.Annotation],
  max_pixels: int,
  faults: str,
) -> FolderSplit:
  """Returns the segments of a split of a folder.

  Args:
    folder: Local directory.
    split: One of `splits.SPLITS`.
    proportions: Proportions of the videos for 'validation' and 'test', unless
      the annotations state the splits.
    spec: Which frames make up a clip.
    annotations: Videos to use, or segments of them; () for all videos.
    max_pixels: Largest allowed number of pixels of a frame.
    faults: 'raise' to raise errors about unreadable videos, 'substitute' to
      return them.

  Raises:
    FileNotFoundError: If the folder does not exist, or contains no video.
    ClipError: If a video cannot be read and `faults` is 'raise'.
    ValueError: If the split is unknown or empty.
  """
  has_table = bool(annotations)
  if annotations:
    names = [pathlib.PurePosixPath(row.path) for row in annotations]
  else:
    names = [path.relative_to(folder) for path in folders.find(folder)]
    annotations = [
      annotations_lib.Annotation(name.as_posix()) for name in names
    ]
  paths = [folder / name for name in names]
  class_names = folders.class_names(names)
  labels = [name.parts[0] for name in names]
  if annotations[0].label is not None:
    labels = [row.label or '' for row in annotations]
    class_names = tuple(sorted(set(labels)))
  chosen, by_time = _chosen(folder, paths, annotations, split, proportions)
  sizes = {
    name: len(_chosen(folder, paths, annotations, name, proportions)[0])
    for name in _splits(split, annotations, proportions)
  }

  cache = scan_cache.of(folder, max_pixels)

  def segment(i: int) -> segments_lib.Segment | faults_lib.ClipError:
    try:
      index = cache.scan(paths[i])
      whole = segments_lib.whole(index, spec, labels[i], annotations[i])
      if by_time:
        return segments_lib.part(whole, spec, split, proportions)
      return whole
    except faults_lib.ClipError as error:
      if faults == 'raise':
        raise
      # A new error has no traceback, which would keep kilobytes of memory.
      return faults_lib.ClipError(error.path, error.reason)

  try:
    with futures.ThreadPoolExecutor() as pool:
      found = list(pool.map(segment, chosen))
  finally:  # Also keeps scans from before an error or an interruption.
    cache.save(None if has_table else {name.as_posix() for name in names})
  return FolderSplit(found, class_names, sizes)


def _chosen(
  folder: pathlib.Path,
  paths: Sequence[pathlib.Path],
  annotations: Sequence[annotations_lib.Annotation],
  split: str,
  proportions: Mapping[str, float],
) -> tuple[Sequence[int], bool]:
  """Returns the indices of a split, and whether videos are split by time."""
  has_splits = annotations[0].split is not None
  splits.check(split, {} if has_splits else proportions)
  if has_splits:
    chosen = [
      i for i, row in enumerate(annotations) if split in ('all', row.split)
    ]
    if not chosen:
      raise ValueError(
        f'config.data.split is {split!r}, but no line of'
        ' config.data.annotations has this split; add lines with it, or choose'
        ' another split.'
      )
    return chosen, False
  keys = folders.original_names(paths, folder)
  is_few = len(set(keys)) < segments_lib.MIN_VIDEOS_TO_SPLIT
  by_time = split != 'all' and is_few
  chosen = splits.by_name(keys, 'all' if by_time else split, proportions)
  return chosen, by_time


def _splits(
  split: str,
  annotations: Sequence[annotations_lib.Annotation],
  proportions: Mapping[str, float],
) -> list[str]:
  """Returns the names of the splits that are not empty."""
  if split == 'all':
    return [split]
  if annotations[0].split is not None:
    given = {row.split for row in annotations}
    return [x for x in splits.SPLITS if x in given]
  return [x for x in splits.SPLITS if x != 'all' and proportions.get(x, 1) > 0]


def files(
  segments: Sequence[segments_lib.Segment | faults_lib.ClipError],
  folder: pathlib.Path,
  annotations: str | None,
  text: Any,
) -> dict[str, pathlib.Path]:
  """Returns the files that clips depend on, {name: path}.

  Args:
    segments: Segments of the videos.
    folder: Folder of the videos.
    annotations: Path of their annotations, or None.
    text: Tokenizer of captions, whose vocabulary may be a file, or None.
  """
  paths = [
    pathlib.Path(
      x.path if isinstance(x, faults_lib.ClipError) else x.index.path
    )
    for x in segments
  ]
  found = {path.relative_to(folder).as_posix(): path for path in paths}
  if annotations:
    found['annotations'] = annotations_lib.find(annotations, folder)
  if vocabulary := getattr(text, 'path', None):
    found['text'] = file_paths.local(vocabulary)
  return found
