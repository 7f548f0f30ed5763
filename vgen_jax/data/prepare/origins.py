"""Description of what a dataset depends on: table, raw videos and options.

This description is written with the dataset, so that a repeated command knows
whether an existing dataset is the one that the command would write.
"""

from collections.abc import Mapping
import dataclasses
import pathlib
from typing import Any

from vgen_jax.core import digests
from vgen_jax.data.prepare import image_sequences
from vgen_jax.data.prepare import raw_videos
from vgen_jax.data.prepare import tables
from vgen_jax.data.tfds import prepared_files


def of_table(
  table: tables.Table, options: raw_videos.Options, skips_broken: bool
) -> dict[str, Any]:
  """Returns what a dataset depends on, as plain JSON values.

  A raw video is described by the names, sizes and modification times of its
  files; their contents are not read.

  Args:
    table: Table of the examples.
    options: How videos are stored.
    skips_broken: Whether videos that cannot be read are left out.
  """
  sources: dict[int, str] = {}
  videos, annotations = [], []
  for split, rows in table.splits.items():
    for row in rows:
      videos.append(f'{split} {row.key!r} {_video(row.video, sources)}')
      action = None if row.action_ta is None else digests.tree(row.action_ta)
      annotations.append(
        f'{split} {row.key!r} {row.label!r} {row.caption!r} {action}'
      )
  properties = [
    table.description,
    table.class_names,
    table.has_captions,
    table.action_width,
    table.num_channels,
  ]
  return {
    'videos': digests.text('\n'.join(videos)),
    'annotations': digests.text('\n'.join([*annotations, repr(properties)])),
    'options': dataclasses.asdict(options),
    'skip_broken': skips_broken,
    'code of vgen_jax': prepared_files.code(),
  }


def _video(video: raw_videos.RawVideo, sources: dict[int, str]) -> str:
  """Returns what the frames of a raw video depend on.

  Args:
    video: One of the dataclasses of raw_videos.py, or `image_sequences.Images`.
    sources: {id of a source of clips: its description}, which is extended.
  """
  parts: list[Any] = [type(video).__name__]
  for name, value in _fields(video).items():
    if name == 'path':
      path = pathlib.Path(value)
      files = image_sequences.image_paths(path) if path.is_dir() else [path]
      parts.append([prepared_files.stat(file) for file in files])
    elif name == 'source':
      if id(value) not in sources:
        cls, first = type(value), digests.tree(value[0])  # Shows its seed.
        name = f'{cls.__module__}.{cls.__qualname__}'
        sources[id(value)] = f'{name} {value.schema} {first}'
      parts.append(sources[id(value)])
    else:
      parts.append(value)
  return repr(parts)


def _fields(video: Any) -> Mapping[str, Any]:
  return {x.name: getattr(video, x.name) for x in dataclasses.fields(video)}
