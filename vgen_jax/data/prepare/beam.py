"""Writing of a dataset with Apache Beam, on many workers.

`write.write` uses these functions if it has flags of Beam.
"""

from collections.abc import Iterable, Iterator
import dataclasses
import functools
import logging
from typing import Any

from vgen_jax.core import faults
from vgen_jax.data.prepare import raw_videos
from vgen_jax.data.prepare import tables

_log = logging.getLogger(__name__)


def examples(
  rows: Iterable[tables.Row],
  table: tables.Table,
  options: raw_videos.Options,
  skips_broken: bool,
) -> Any:
  """Returns the transform with which Beam reads the examples of a split.

  Args:
    rows: Rows of the table that belong to the split.
    table: Table of videos.
    options: Size, rate and encoding of the stored videos.
    skips_broken: Whether videos that cannot be read are logged and left out.

  Raises:
    ImportError: If Apache Beam is not installed.
  """
  beam = _beam()
  # Workers need the properties of the table, but not all of its rows.
  read = functools.partial(
    _read_row,
    table=dataclasses.replace(table, splits={}),
    options=options,
    skips_broken=skips_broken,
  )
  return beam.Create(list(rows)) | beam.Reshuffle() | beam.FlatMap(read)


def download_options(flags: list[str]) -> dict[str, Any]:
  """Returns options of a TFDS `DownloadConfig` with these flags of Beam.

  Raises:
    ImportError: If Apache Beam is not installed.
  """
  _beam()
  from apache_beam.options import pipeline_options

  return {'beam_options': pipeline_options.PipelineOptions(flags)}


def _read_row(
  row: tables.Row,
  table: tables.Table,
  options: raw_videos.Options,
  skips_broken: bool,
) -> Iterator[tuple[str, dict[str, Any]]]:
  """Yields the examples of a row, on a worker of Beam."""
  try:
    yield from tables.examples(row, table, options)
  except faults.ClipError as error:
    if not skips_broken:
      raise
    _beam().metrics.Metrics.counter('vgen_jax', 'skipped').inc()
    _log.warning('Skipped %s', error)


def _beam() -> Any:
  try:
    import apache_beam
  except ImportError as error:
    raise ImportError(
      'Apache Beam is not installed. It limits the versions of other packages,'
      " so create a new environment: pip install 'vgen_jax[beam]'."
    ) from error
  return apache_beam
