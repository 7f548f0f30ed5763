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
    class_names: Names of the first sub-folders, the same for all splits; () if
      they are not classes.
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
  annotations: Mapping[str, annotations_lib.Annotation],
  max_pixels: int,
  faults: str,
) -> FolderSplit:
  """Returns the segments of a split of a folder.

  Args:
    folder: Local directory.
    split: One of `splits.SPLITS`.
    proportions: Proportions of the videos for 'validation' and 'test'.
    spec: Which frames make up a clip.
    annotations: Annotation of each video, by its path in the folder; {} for
      none.
    max_pixels: Largest allowed number of pixels of a frame.
    faults: 'raise' to raise errors about unreadable videos, 'substitute' to
      return them.

  Raises:
    FileNotFoundError: If the folder does not exist, or contains no video.
    ClipError: If a video cannot be read and `faults` is 'raise'.
    ValueError: If the split is unknown or empty, or a video has no annotation.
  """
  paths = folders.find(folder)
  names = [path.relative_to(folder) for path in paths]
  keys = folders.original_names(paths, folder)
  num_videos = len(set(keys))
  by_time = split != 'all' and num_videos < segments_lib.MIN_VIDEOS_TO_SPLIT
  splits.check(split, proportions)
  chosen = splits.by_name(keys, 'all' if by_time else split, proportions)

  cache = scan_cache.of(folder, max_pixels)

  def segment(i: int) -> segments_lib.Segment | faults_lib.ClipError:
    try:
      index = cache.scan(paths[i])
      annotation = _annotation(annotations, names[i].as_posix())
      whole = segments_lib.whole(index, spec, names[i].parts[0], annotation)
      if by_time:
        return segments_lib.part(whole, spec, split, proportions)
      return whole
    except faults_lib.ClipError as error:
      if faults == 'raise':
        raise
      return error

  try:
    with futures.ThreadPoolExecutor() as pool:
      found = list(pool.map(segment, chosen))
  finally:  # Also what was scanned before an error or an interruption.
    cache.save({name.as_posix() for name in names})
  sizes = {
    name: len(splits.by_name(keys, 'all' if by_time else name, proportions))
    for name in _splits(split, proportions)
  }
  return FolderSplit(found, folders.class_names(names), sizes)


def _splits(split: str, proportions: Mapping[str, float]) -> list[str]:
  """Returns the names of the splits that are not empty."""
  if split == 'all':
    return [split]
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
  tables = {'annotations': annotations, 'text': getattr(text, 'path', None)}
  return found | {k: file_paths.local(x) for k, x in tables.items() if x}


def _annotation(
  annotations: Mapping[str, annotations_lib.Annotation], name: str
) -> annotations_lib.Annotation:
  if annotations and name not in annotations:
    raise ValueError(
      f'config.data.annotations has no line for {name!r}, a video in the'
      ' folder; add a line, or remove the video.'
    )
  return annotations.get(name, annotations_lib.Annotation())
