"""Writes the files of an evaluation: values, clips and the page."""

from collections.abc import Mapping, Sequence
import dataclasses
import io
import json

from etils import epath
import numpy as np

from vgen_jax.core import atomic_files
from vgen_jax.evaluation.metrics import results
from vgen_jax.evaluation.report import page


def write(
  folder: epath.Path,
  result: results.Result,
  clips: Mapping[str, np.ndarray],
  training: Sequence[Mapping[str, float]] = (),
) -> results.Result:
  """Writes a result, its clips, and the page that shows both.

  The file keeps values of an earlier evaluation with the same protocol that
  this one did not compute.

  Args:
    folder: Folder `<workdir>/evaluation`.
    result: Result of one step.
    clips: Clips as `results.read_clips` returns them; {} for none.
    training: Lines of the run's metrics.jsonl, for the curves of training.

  Returns:
    The result, with the name of the file of its clips.
  """
  folder.mkdir(parents=True, exist_ok=True)
  if clips:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **clips)
    result = dataclasses.replace(result, clips=f'{result.step}_clips.npz')
    atomic_files.write_bytes(folder / result.clips, buffer.getvalue())
  file = folder / f'{result.step}.json'
  full = _with_earlier(file, result)
  text = json.dumps(full.to_json(), indent=2, allow_nan=False) + '\n'
  atomic_files.write_text(file, text)
  html = page.render([full], [clips], [training])
  atomic_files.write_text(folder / f'{result.step}.html', html)
  return result


def _with_earlier(file: epath.Path, result: results.Result) -> results.Result:
  """Returns a result with the values that only an earlier one contains."""
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
