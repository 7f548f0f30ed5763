"""Reads clips in chunks, probes them, and lets metrics conclude.

It goes on where it was cut off: a chunk whose features are on disk is not made
again, so a result is bit for bit that of an evaluation that was never cut off.

  <workdir>/evaluation/<step>.json        values, with intervals and protocol
  <workdir>/evaluation/<step>_clips.npz   a few clips, to be looked at
  <workdir>/evaluation/<step>.html        both, for a browser
  <workdir>/evaluation/<step>.partial/    features so far; gone in the end
  <workdir>/evaluation/real/              features of real clips, for next time
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import io
import json
from typing import Any
import zlib

from etils import epath
import jax
from jax.experimental import multihost_utils
import numpy as np
import tqdm

from vgen_jax.evaluation import chunks as chunks_lib
from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import results
from vgen_jax.evaluation.report import page

MADE = (base.GENERATED, base.PREDICTED, base.RECONSTRUCTED)


@dataclasses.dataclass(frozen=True)
class ClipProvider:
  """Clips by number.

  Attributes:
    read: Returns clips first, ..., first + num - 1, when given (first, num).
      What the model makes is read by all hosts in step, the rest by one.
    identity: What tells its clips from those of other streams, fit for JSON.
    chunk: Clips to read at a time, at most.
    size: Number of clips; None if they never end.
  """

  read: Callable[[int, int], base.Clips]
  identity: Mapping[str, Any]
  chunk: int
  size: int | None = None


@dataclasses.dataclass(frozen=True)
class _Part:
  """Features that are wanted: of one probe, of clips from one place."""

  place: str
  probe: base.Probe
  spans: Sequence[tuple[int, int]]
  chunks: chunks_lib.Chunks

  def features(self, count: int) -> base.Features:
    """Returns the features of the first clips."""
    return self.chunks.joined(self.spans, count)


def measure(
  metrics: Sequence[base.Metric],
  streams: Mapping[str, ClipProvider],
  num_clips: int,
  *,
  seed: int = 0,
  made: epath.Path | None = None,
  found: epath.Path | None = None,
  stop: Callable[[], bool] = lambda: False,
  num_shown: int = 0,
) -> base.Findings | None:
  """Returns what metrics say; None if it was asked to stop before the end.

  All hosts call it in step; those after the first learn nothing.

  Args:
    metrics: From `names.make`.
    streams: {place: clips}, all places that the metrics ask for.
    num_clips: To be made by the model.
    seed: Of the metrics' own draws, such as subsets.
    made: Folder for features of clips that the model makes; None keeps them in
      memory, so that what is cut off begins anew.
    found: The same for clips of the data.
    stop: Asked before each chunk.
    num_shown: Clips to return as they are, from each place, a chunk at most.
  """
  parts = _parts(metrics, streams, num_clips, made, found)
  is_first = jax.process_index() == 0
  missing = _missing(parts)
  if num_shown:
    missing += _heads(parts, missing)
  total = sum(num for _, _, num in missing)
  findings = base.Findings()
  # disable=None: shown on a terminal alone.
  with tqdm.tqdm(
    total=total, unit='clip', disable=None if is_first else True
  ) as bar:
    for place, first, num in missing:
      if stop():
        return None
      if is_first or place in MADE:
        clips = streams[place].read(first, num)
      if is_first:
        _probe(parts, place, (first, num), clips)
        if not first:
          head = {key: x[:num_shown] for key, x in clips.items()}
          findings.clips[place] = head
      bar.update(num)
  for metric in metrics if is_first else ():
    counts = _counts(metric, streams, num_clips)
    features = {
      place: parts[place, metric.probe.name].features(count)
      for place, count in counts.items()
    }
    rng = np.random.default_rng([seed, zlib.crc32(metric.name.encode())])
    findings.add(metric.conclude(features, rng))
  return findings


def write(
  folder: epath.Path,
  result: results.Result,
  clips: Mapping[str, np.ndarray],
  training: Sequence[Mapping[str, float]] = (),
) -> results.Result:
  """Writes a result, clips to look at, and the page that shows both.

  In the file, what an earlier evaluation of the same protocol knew, and this
  one does not, is kept.

  Args:
    folder: `<workdir>/evaluation`.
    result: Of a step.
    clips: As `results.read_clips` returns them; {} for none.
    training: Lines of the run's metrics.jsonl, for its curves.

  Returns:
    The result, with the name of the file of its clips.
  """
  folder.mkdir(parents=True, exist_ok=True)
  if clips:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **clips)
    result = dataclasses.replace(result, clips=f'{result.step}_clips.npz')
    chunks_lib.replace(folder / result.clips, buffer.getvalue())
  file = folder / f'{result.step}.json'
  full = _with_earlier(file, result)
  text = json.dumps(full.to_json(), indent=2, allow_nan=False) + '\n'
  chunks_lib.replace(file, text.encode())
  html = page.render([full], [clips], [training])
  chunks_lib.replace(folder / f'{result.step}.html', html.encode())
  return result


def _parts(
  metrics: Sequence[base.Metric],
  streams: Mapping[str, ClipProvider],
  num_clips: int,
  made: epath.Path | None,
  found: epath.Path | None,
) -> dict[tuple[str, str], _Part]:
  """Returns what all metrics want together, by place and name of the probe."""
  most: dict[tuple[str, str], int] = {}
  probes = {metric.probe.name: metric.probe for metric in metrics}
  for metric in metrics:
    for place, count in _counts(metric, streams, num_clips).items():
      key = place, metric.probe.name
      most[key] = max(count, most.get(key, 0))
  parts = {}
  for (place, name), count in most.items():
    stream, probe = streams[place], probes[name]
    end = max(n for (where, _), n in most.items() if where == place)
    # Chunks are the same for all probes of a place, so that it is read once.
    spans = [
      (first, min(stream.chunk, end - first))
      for first in range(0, count, stream.chunk)
    ]
    identity = {'clips': dict(stream.identity), 'probe': probe.protocol}
    root = made if place in MADE else found
    chunks = chunks_lib.Chunks(root, f'{name}_{place}', identity)
    parts[place, name] = _Part(place, probe, spans, chunks)
  return parts


def _counts(
  metric: base.Metric, streams: Mapping[str, ClipProvider], num_clips: int
) -> dict[str, int]:
  """Returns of where a metric gets how many clips: what there is, at most."""
  return {
    place: min(count, streams[place].size or count)
    for place, count in metric.counts(num_clips).items()
  }


def _missing(
  parts: Mapping[tuple[str, str], _Part],
) -> list[tuple[str, int, int]]:
  """Returns (place, first, num) of chunks to read; all hosts agree."""
  needed: dict[tuple[str, int, int], bool] = {}
  for part in parts.values():
    for span in part.spans:
      chunk = part.place, *span
      lacks = jax.process_index() == 0 and not part.chunks.has(*span)
      needed[chunk] = needed.get(chunk, False) or lacks
  if jax.process_count() > 1:  # The first host alone looks at the disk.
    flags = multihost_utils.broadcast_one_to_all(np.array([*needed.values()]))
    needed = dict(zip(needed, flags.tolist(), strict=True))
  return [chunk for chunk, lacks in needed.items() if lacks]


def _heads(
  parts: Mapping[tuple[str, str], _Part], missing: list[tuple[str, int, int]]
) -> list[tuple[str, int, int]]:
  """Returns first chunks that are known, but are wanted to be looked at."""
  heads = {(part.place, *part.spans[0]): None for part in parts.values()}
  return [chunk for chunk in heads if chunk not in missing]


def _probe(
  parts: Mapping[tuple[str, str], _Part],
  place: str,
  span: tuple[int, int],
  clips: base.Clips,
) -> None:
  """Finds the features of a chunk that some part lacks."""
  for part in parts.values():
    if part.place == place and span in part.spans:
      if not part.chunks.has(*span):
        part.chunks.put(*span, part.probe(clips))


def _with_earlier(file: epath.Path, result: results.Result) -> results.Result:
  """Returns a result with what only an earlier one of its protocol knows."""
  if not file.exists():
    return result
  old = results.Result.from_json(json.loads(file.read_text()))
  plain = results.Result.from_json(result.to_json())
  if old.protocol != plain.protocol:
    return result
  known = {k: v for k, v in result.metrics.items() if v.value is not None}
  return dataclasses.replace(
    result,
    metrics={**result.metrics, **old.metrics, **known},
    curves={**old.curves, **result.curves},
    groups={**old.groups, **result.groups},
  )
