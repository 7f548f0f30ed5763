"""Tables that write synthetic datasets to disk."""

from collections.abc import Callable
from typing import Any

from vgen_jax.data import pipeline
from vgen_jax.data.prepare import raw_videos
from vgen_jax.data.prepare import tables
from vgen_jax.synthetic import base


def table(
  name: str,
  make_source: Callable[[str, int], pipeline.Source],
  num_clips: int,
  **fields: Any,
) -> tables.Table:
  """Returns a table whose row i of each split is clip i of a source.

  Args:
    name: Name of the dataset.
    make_source: Function of a split and a number of clips that returns the
      source of this split.
    num_clips: Clips for training; validation and test get a tenth each.
    **fields: Other fields of the table.
  """
  counts = dict.fromkeys(base.SPLITS, max(1, num_clips // 10)) | {
    'train': num_clips
  }
  sources = {split: make_source(split, num) for split, num in counts.items()}
  rows = {
    split: [
      tables.Row(f'{i:08d}', raw_videos.Clip(source, i))
      for i in range(len(source))
    ]
    for split, source in sources.items()
  }
  class_names = sources['train'].schema.class_names
  return tables.Table(name, rows, class_names=class_names, **fields)
