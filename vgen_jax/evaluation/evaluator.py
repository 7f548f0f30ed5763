"""Reads clips in chunks, extracts their features and computes metrics.

An interrupted evaluation resumes: chunks whose features are on disk are not
computed again. The result is equal, bit for bit, to that of an evaluation
without interruption.

  <workdir>/evaluation/<name>.json        values with intervals and protocol
  <workdir>/evaluation/<name>_clips.npz   a few clips to look at
  <workdir>/evaluation/<name>.html        both as a page
  <workdir>/evaluation/<name>.partial/    features so far; deleted at the end
  <workdir>/evaluation/real/              features of real clips, kept for reuse

The name has the step, the number of clips and a digest of the protocol.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any
import zlib

from etils import epath
import jax
from jax.experimental import multihost_utils
import numpy as np
import tqdm

from vgen_jax.core import digests
from vgen_jax.evaluation import chunks as chunks_lib
from vgen_jax.evaluation.metrics import base

# Folders of code on which features depend.
_CODE = ('core', 'data', 'evaluation', 'pretrained', 'synthetic')
# Sources whose clips the model generates.
FROM_MODEL = (base.GENERATED, base.PREDICTED, base.RECONSTRUCTED)


@dataclasses.dataclass(frozen=True)
class ClipProvider:
  """Clips of one source, by index.

  Attributes:
    read: Function (first, num) -> clips first, ..., first + num - 1.
      All hosts read clips of the model together; only the first host reads the
      others.
    identity: Everything that the clips depend on, as plain JSON values.
    chunk_size: Largest number of clips to read at a time.
    num_clips: Number of clips; None if there is no limit.
  """

  read: Callable[[int, int], base.Clips]
  identity: Mapping[str, Any]
  chunk_size: int
  num_clips: int | None = None


@dataclasses.dataclass(frozen=True)
class _Part:
  """Features that one extractor computes for the clips of one source."""

  source: str
  extractor: base.FeatureExtractor
  spans: Sequence[tuple[int, int]]
  chunks: chunks_lib.Chunks

  def features(self, count: int) -> base.Features:
    """Returns the features of the first `count` clips."""
    return self.chunks.joined(self.spans, count)


def evaluate(
  metrics: Sequence[base.Metric],
  providers: Mapping[str, ClipProvider],
  num_clips: int,
  *,
  seed: int = 0,
  model_features: epath.Path | None = None,
  data_features: epath.Path | None = None,
  stop: Callable[[], bool] = lambda: False,
  num_shown: int = 0,
) -> base.Findings | None:
  """Returns the findings of all metrics; None if `stop` returned True.

  All hosts must call this function at the same point; the findings of all but
  the first host are empty.

  Args:
    metrics: Metrics, as returned by `registry.build`.
    providers: {source: clips} for all sources that the metrics need.
    num_clips: Number of clips that the model generates.
    seed: Seed of the random subsets of metrics.
    model_features: Folder for features of clips that the model generates; None
      keeps them in memory, so that an interrupted evaluation starts from the
      beginning.
    data_features: Folder for features of clips of the data; None as above.
    stop: Function that is called before each chunk; if it returns True, the
      evaluation stops.
    num_shown: Number of clips to return from each source, at most one chunk.
  """
  parts = _parts(metrics, providers, num_clips, model_features, data_features)
  is_first = jax.process_index() == 0
  missing = _missing(parts)
  if num_shown:
    missing += _first_chunks(parts, missing)
  total = sum(num for _, _, num in missing)
  findings = base.Findings()
  # disable=None: shown on a terminal only.
  with tqdm.tqdm(
    total=total, unit='clip', disable=None if is_first else True
  ) as bar:
    for source, first, num in missing:
      if stop():
        return None
      if is_first or source in FROM_MODEL:
        clips = providers[source].read(first, num)
      if is_first:
        _extract(parts, source, (first, num), clips)
        if not first:
          shown = {key: x[:num_shown] for key, x in clips.items()}
          findings.clips[source] = shown
      bar.update(num)
  for metric in metrics if is_first else ():
    counts = _counts(metric, providers, num_clips)
    features = {
      source: parts[source, metric.extractor.name].features(count)
      for source, count in counts.items()
    }
    rng = np.random.default_rng([seed, zlib.crc32(metric.name.encode())])
    findings.add(metric.defined(metric.compute(features, rng)))
  return findings


def _parts(
  metrics: Sequence[base.Metric],
  providers: Mapping[str, ClipProvider],
  num_clips: int,
  model_features: epath.Path | None,
  data_features: epath.Path | None,
) -> dict[tuple[str, str], _Part]:
  """Returns the features that metrics need, by source and extractor name."""
  most: dict[tuple[str, str], int] = {}
  extractors = {metric.extractor.name: metric.extractor for metric in metrics}
  for metric in metrics:
    for source, count in _counts(metric, providers, num_clips).items():
      key = source, metric.extractor.name
      most[key] = max(count, most.get(key, 0))
  parts = {}
  for (source, name), count in most.items():
    provider, extractor = providers[source], extractors[name]
    end = max(n for (other, _), n in most.items() if other == source)
    # All extractors share the chunks of a source, so that it is read once.
    spans = [
      (first, min(provider.chunk_size, end - first))
      for first in range(0, count, provider.chunk_size)
    ]
    identity = {
      'clips': dict(provider.identity),
      'extractor': extractor.protocol,
      'code': digests.code(*_CODE),
    }
    root = model_features if source in FROM_MODEL else data_features
    chunks = chunks_lib.Chunks(root, f'{name}_{source}', identity)
    parts[source, name] = _Part(source, extractor, spans, chunks)
  return parts


def _counts(
  metric: base.Metric, providers: Mapping[str, ClipProvider], num_clips: int
) -> dict[str, int]:
  """Returns {source: number of clips for a metric}, limited by the source."""
  return {
    source: min(count, providers[source].num_clips or count)
    for source, count in metric.counts(num_clips).items()
  }


def _missing(
  parts: Mapping[tuple[str, str], _Part],
) -> list[tuple[str, int, int]]:
  """Returns the chunks to read, (source, first, num), equal on all hosts."""
  needed: dict[tuple[str, int, int], bool] = {}
  for part in parts.values():
    for span in part.spans:
      chunk = part.source, *span
      lacks = jax.process_index() == 0 and not part.chunks.has(*span)
      needed[chunk] = needed.get(chunk, False) or lacks
  if jax.process_count() > 1:  # Only the first host reads the disk.
    flags = multihost_utils.broadcast_one_to_all(np.array([*needed.values()]))
    needed = dict(zip(needed, flags.tolist(), strict=True))
  return [chunk for chunk, lacks in needed.items() if lacks]


def _first_chunks(
  parts: Mapping[tuple[str, str], _Part], missing: list[tuple[str, int, int]]
) -> list[tuple[str, int, int]]:
  """Returns the first chunks that are read only to show their clips."""
  first = {(part.source, *part.spans[0]): None for part in parts.values()}
  return [chunk for chunk in first if chunk not in missing]


def _extract(
  parts: Mapping[tuple[str, str], _Part],
  source: str,
  span: tuple[int, int],
  clips: base.Clips,
) -> None:
  """Computes the missing features of a chunk."""
  for part in parts.values():
    if part.source == source and span in part.spans:
      if not part.chunks.has(*span):
        part.chunks.put(*span, part.extractor(clips))
