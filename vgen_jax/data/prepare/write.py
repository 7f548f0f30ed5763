"""Writes the films of a table as a TFDS dataset in ArrayRecord.

What is there afterwards is an ordinary dataset: `tfds.builder_from_directory`,
`tfds.data_source` and our `TFDSVideo` read it, with none of this code.
"""

import collections
from collections.abc import Iterable, Iterator
from concurrent import futures
import contextlib
import functools
import io
import logging
import os
import pathlib
import tempfile
from typing import Any

import numpy as np

from vgen_jax.core import faults
from vgen_jax.data.prepare import raw_videos
from vgen_jax.data.prepare import tables
from vgen_jax.data.tfds import compat
from vgen_jax.data.tfds import storage

_log = logging.getLogger(__name__)

VERSION = '1.0.0'
# Of all films; more of them broken say that something else is wrong.
MAX_SKIPPED = 0.1


def write(
  table: tables.Table,
  out: str,
  options: raw_videos.Options,
  *,
  skips_broken: bool = False,
  num_threads: int | None = None,
  beam_options: list[str] | None = None,
) -> tuple[str, int]:
  """Writes a dataset.

  The order of examples depends on their keys alone, not on who writes them.

  Args:
    table: What to write.
    out: Folder of datasets; the dataset gets <out>/<name>/<version>.
    options: How to keep videos.
    skips_broken: Whether to leave out films that cannot be read, up to
      `MAX_SKIPPED` of them; else the first stops it all.
    num_threads: That read and encode; None is one for each core.
    beam_options: Flags of Apache Beam, such as ['--runner=DirectRunner'], to
      let it do the work; None does it here.

  Returns:
    The folder of the dataset, and how many films were skipped; with Beam,
    whose counters tell that, -1.

  Raises:
    FileExistsError: If the dataset is there already.
    ClipError: If a film cannot be read.
    RuntimeError: If too many cannot be read.
  """
  place = pathlib.Path(out) / table.name / VERSION
  if place.exists():
    raise FileExistsError(f'{place} exists already; remove it or take another.')
  tfds = compat.load()
  tfds.disable_progress_bar()
  skipped = []
  if beam_options is None:
    read = functools.partial(
      _examples,
      table=table,
      options=options,
      skipped=skipped if skips_broken else None,
      num_threads=num_threads or os.cpu_count() or 1,
    )
    config = {}
  else:
    read = functools.partial(
      _beam_examples, table=table, options=options, skips_broken=skips_broken
    )
    config = _beam_config(beam_options)
  builder = _builder_class()(table, options.format, read, out)
  with (
    contextlib.redirect_stdout(io.StringIO()),  # It speaks of downloads, ...
    tempfile.TemporaryDirectory() as downloads,  # ... and makes room for them.
  ):
    builder.download_and_prepare(
      download_dir=downloads,
      download_config=tfds.download.DownloadConfig(
        try_download_gcs=False, **config
      ),
    )
  return str(builder.data_dir), -1 if beam_options is not None else len(skipped)


def features(table: tables.Table, kind: str) -> Any:
  """Returns the TFDS features of a table's examples."""
  kinds = compat.load().features
  known = {
    'id': kinds.Text(),
    'fps': kinds.Scalar(dtype=np.float32),
    'video': storage.feature(kind, table.num_channels),
  }
  if table.class_names:
    known['label'] = kinds.ClassLabel(names=table.class_names)
  if table.has_captions:
    known['caption'] = kinds.Text()
  if table.action_width:
    shape = (None, table.action_width)
    known['action'] = kinds.Tensor(shape=shape, dtype=np.float32)
  return kinds.FeaturesDict(known)


@functools.cache
def _builder_class() -> type:
  """Returns the class, which exists only where TFDS has been imported."""
  tfds = compat.load()

  class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Writes a table; what it writes is read without this class."""

    def __init__(self, table: tables.Table, kind: str, read: Any, out: str):
      self.name = table.name
      self.VERSION = tfds.core.Version(VERSION)
      self.RELEASE_NOTES = {VERSION: 'Written by vgen_jax.'}
      self._table, self._kind, self._read = table, kind, read
      # The default, TFRecord, would ask for TensorFlow.
      super().__init__(data_dir=out, file_format='array_record')

    def _info(self):
      return tfds.core.DatasetInfo(
        builder=self,
        features=features(self._table, self._kind),
        description=self._table.description,
      )

    def _split_generators(self, dl_manager):
      del dl_manager  # Nothing is downloaded.
      return {s: self._read(rows) for s, rows in self._table.splits.items()}

    def _generate_examples(self):
      raise NotImplementedError('Each split has its own generator.')

  return Builder


def _examples(
  rows: Iterable[tables.Row],
  table: tables.Table,
  options: raw_videos.Options,
  skipped: list[str] | None,
  num_threads: int,
) -> Iterator[tuple[str, dict[str, Any]]]:
  """Yields the examples of a split, read some rows ahead, in order."""
  limit = MAX_SKIPPED * sum(table.num_rows.values())
  read = lambda row: list(tables.examples(row, table, options))
  rows = iter(rows)
  waiting = collections.deque()
  with futures.ThreadPoolExecutor(num_threads) as pool:
    try:
      while True:
        while len(waiting) < 2 * num_threads:
          if (row := next(rows, None)) is None:
            break
          waiting.append(pool.submit(read, row))
        if not waiting:
          return
        try:
          yield from waiting.popleft().result()
        except faults.ClipError as error:
          if skipped is None:
            raise
          _skip(skipped, error, limit)
    finally:
      for future in waiting:
        future.cancel()


def _skip(skipped: list[str], error: faults.ClipError, limit: float) -> None:
  skipped.append(error.path)
  _log.warning('Skipped %s', error)
  if len(skipped) > max(limit, 1):
    raise RuntimeError(
      f'{len(skipped)} films cannot be read, above {MAX_SKIPPED:.0%} of all;'
      f' the last: {error}'
    ) from error


def _beam_examples(
  rows: Iterable[tables.Row],
  table: tables.Table,
  options: raw_videos.Options,
  skips_broken: bool,
) -> Any:
  """Returns the transform that Beam runs for a split, wherever it likes."""
  beam = _beam()
  # Workers need the table's promises, not its rows.
  promises = _without_rows(table)
  read = functools.partial(
    _read_row, table=promises, options=options, skips_broken=skips_broken
  )
  return beam.Create(list(rows)) | beam.Reshuffle() | beam.FlatMap(read)


def _without_rows(table: tables.Table) -> tables.Table:
  return tables.Table(
    table.name,
    splits={},
    class_names=table.class_names,
    has_captions=table.has_captions,
    action_width=table.action_width,
    num_channels=table.num_channels,
  )


def _read_row(
  row: tables.Row,
  table: tables.Table,
  options: raw_videos.Options,
  skips_broken: bool,
) -> list[tuple[str, dict[str, Any]]]:
  """Returns the examples of a row, on a worker of Beam's."""
  try:
    return list(tables.examples(row, table, options))
  except faults.ClipError as error:
    if not skips_broken:
      raise
    _beam().metrics.Metrics.counter('vgen_jax', 'skipped').inc()
    _log.warning('Skipped %s', error)
    return []


def _beam_config(flags: list[str]) -> dict[str, Any]:
  _beam()
  from apache_beam.options import pipeline_options

  return {'beam_options': pipeline_options.PipelineOptions(flags)}


def _beam() -> Any:
  try:
    import apache_beam
  except ImportError as error:
    raise ImportError(
      'Apache Beam is not installed; it has bounds of its own, so make an'
      " environment for it: pip install 'vgen_jax[beam]'."
    ) from error
  return apache_beam
