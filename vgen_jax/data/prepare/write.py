"""Writing of the videos of a table as a TFDS dataset in ArrayRecord.

The result is an ordinary dataset: `tfds.builder_from_directory`,
`tfds.data_source` and `TFDSVideo` read it without this code.
"""

import collections
from collections.abc import Iterable, Iterator
from concurrent import futures
import contextlib
import functools
import io
import itertools
import logging
import os
import queue
import shutil
import tempfile
import threading
from typing import Any

import numpy as np

from vgen_jax.core import faults
from vgen_jax.core import file_paths
from vgen_jax.core.processes import locks
from vgen_jax.data.prepare import beam
from vgen_jax.data.prepare import origins
from vgen_jax.data.prepare import raw_videos
from vgen_jax.data.prepare import tables
from vgen_jax.data.tfds import compat
from vgen_jax.data.tfds import prepared_files
from vgen_jax.data.tfds import storage

_log = logging.getLogger(__name__)

VERSION = '1.0.0'
MAX_SKIPPED = 0.1  # Largest proportion of videos that may be skipped.

_Example = tuple[str, dict[str, Any]]  # Key and features.
_Examples = queue.Queue[_Example | BaseException | None]


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

  The order of examples only depends on their keys. If the dataset exists, is
  complete and was written from the same table with the same options, nothing
  is written.

  Args:
    table: Table of the examples.
    out: Folder of datasets; the dataset is written to <out>/<name>/<version>.
    options: How videos are stored.
    skips_broken: Whether to skip videos that cannot be read, one or up to a
      proportion of `MAX_SKIPPED`; otherwise the first of them raises an error.
      The pieces of a video before a damaged part are kept.
    num_threads: Number of threads that read and encode; None is one per core.
    beam_options: Flags of Apache Beam, such as ['--runner=DirectRunner'], to
      write with Beam; None writes in this process.

  Returns:
    The folder of the dataset, and the number of skipped videos; with Beam, -1,
    because the counters of Beam contain this number.

  Raises:
    FileExistsError: If another dataset, or an incomplete one, exists already.
    LockedError: If another process is writing the dataset.
    ClipError: If a video cannot be read.
    RuntimeError: If too many videos cannot be read.
  """
  out = file_paths.expanded(out)
  folder = file_paths.local(out) / table.name / VERSION
  asked = origins.of_table(table, options, skips_broken)
  if folder.exists():
    return str(folder), prepared_files.skipped_before(folder, asked)
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
      beam.examples, table=table, options=options, skips_broken=skips_broken
    )
    config = beam.download_options(beam_options)
  # TFDS writes here, and the complete dataset is then moved to its folder.
  staging = folder.parent / f'incomplete.staging_{VERSION}'
  builder = _builder_class()(table, options.format, read, str(staging))
  with (
    locks.held(folder.parent, f'.{VERSION}.lock'),
    contextlib.redirect_stdout(io.StringIO()),  # TFDS reports downloads, ...
    tempfile.TemporaryDirectory() as downloads,  # ... and needs a folder.
  ):
    # A process that was killed leaves such a folder.
    for incomplete in folder.parent.glob(f'incomplete.*_{VERSION}'):
      shutil.rmtree(incomplete)
    try:
      builder.download_and_prepare(
        download_dir=downloads,
        download_config=tfds.download.DownloadConfig(
          try_download_gcs=False, **config
        ),
      )
      num_skipped = len(skipped) if beam_options is None else -1
      written = file_paths.local(builder.data_dir)
      prepared_files.write(written, asked, num_skipped)
      written.rename(folder)
    finally:
      shutil.rmtree(staging, ignore_errors=True)
  return str(folder), num_skipped


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
  """Returns the builder class; its definition needs TFDS."""
  tfds = compat.load()

  class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Writes a table; the dataset can be read without this class."""

    def __init__(self, table: tables.Table, kind: str, read: Any, out: str):
      self.name = table.name
      self.VERSION = tfds.core.Version(VERSION)
      self.RELEASE_NOTES = {VERSION: 'Written by vgen_jax.'}
      self._table, self._kind, self._read = table, kind, read
      # The default, TFRecord, would need TensorFlow.
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
      raise NotImplementedError(
        '_generate_examples is unused; _split_generators returns the examples.'
      )

  return Builder


def _examples(
  rows: Iterable[tables.Row],
  table: tables.Table,
  options: raw_videos.Options,
  skipped: list[str] | None,
  num_threads: int,
) -> Iterator[_Example]:
  """Yields the examples of a split in order, and reads some rows ahead.

  Each thread reads one row and waits until its previous example was taken, so
  that memory holds few examples, however long the videos are.
  """
  limit = MAX_SKIPPED * sum(table.num_rows.values())
  rows, stopped = iter(rows), threading.Event()
  waiting: collections.deque[_Examples] = collections.deque()
  with futures.ThreadPoolExecutor(num_threads) as pool:
    try:
      while True:
        for row in itertools.islice(rows, 2 * num_threads - len(waiting)):
          waiting.append(queue.Queue(maxsize=1))
          read = tables.examples(row, table, options)
          pool.submit(_put, read, waiting[-1], stopped)
        if not waiting:
          return
        num_examples = 0
        while (example := waiting[0].get()) is not None:
          if isinstance(example, tuple):
            yield example
            num_examples += 1
          elif skipped is None or not isinstance(example, faults.ClipError):
            raise example
          else:
            _skip(skipped, example, limit, num_examples)
        waiting.popleft()
    finally:
      stopped.set()
      for examples in waiting:  # A thread may wait until it can put one more.
        with contextlib.suppress(queue.Empty):
          examples.get_nowait()


def _put(
  read: Iterator[_Example], examples: _Examples, stopped: threading.Event
) -> None:
  """Puts the examples of a row, then an error, if any, and None in a queue."""

  def put(item: _Example | BaseException | None) -> None:
    if not stopped.is_set():
      examples.put(item)

  try:
    while not stopped.is_set() and (example := next(read, None)) is not None:
      put(example)
  except BaseException as error:  # The thread that takes examples raises it.
    put(error)
  put(None)


def _skip(
  skipped: list[str], error: faults.ClipError, limit: float, num_examples: int
) -> None:
  skipped.append(error.path)
  kept = f' Its first {num_examples} pieces are kept.' if num_examples else ''
  _log.warning('Skipped %s%s', error, kept)
  if len(skipped) > max(limit, 1):
    raise RuntimeError(
      f'{len(skipped)} videos cannot be read, more than {MAX_SKIPPED:.0%} of'
      f' all; check that --source is complete. The last one: {error}'
    ) from error
