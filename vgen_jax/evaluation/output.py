"""Writes the files of an evaluation: values, clips and the page."""

from collections.abc import Mapping, Sequence
import dataclasses
import io

from etils import epath
import numpy as np

from vgen_jax.core import atomic_files
from vgen_jax.core.checked import checked_json
from vgen_jax.evaluation.metrics import results
from vgen_jax.evaluation.report import page

# The number of real clips depends on the metrics, and metrics are merged.
_NUM_REAL = 'num_real'


def write(
  folder: epath.Path,
  result: results.Result,
  clips: Mapping[str, np.ndarray],
  training: Sequence[Mapping[str, float]] = (),
) -> results.Result:
  """Writes a result, its clips, and the page that shows both.

  The files are named after the result. They keep values of an earlier
  evaluation with the same protocol that this one did not compute.

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
    result = dataclasses.replace(result, clips=f'{result.name}_clips.npz')
    atomic_files.write_bytes(folder / result.clips, buffer.getvalue())
  file = folder / f'{result.name}.json'
  full = _with_earlier(file, result)
  atomic_files.write_text(file, checked_json.to_text(full.to_json()))
  html = page.render([full], [clips], [training])
  atomic_files.write_text(folder / f'{result.name}.html', html)
  return result


def check_earlier(folder: epath.Path, name: str) -> None:
  """Raises BadFileError if `write` could not read an earlier result.

  Args:
    folder: Folder `<workdir>/evaluation`.
    name: Name of the result to write.
  """
  file = folder / f'{name}.json'
  if file.exists():
    results.read_file(file)


def _with_earlier(file: epath.Path, result: results.Result) -> results.Result:
  """Returns a result with the values that only an earlier one contains."""
  if not file.exists():
    return result
  old = results.read_file(file)
  plain = results.Result.from_json(result.to_json())
  one, two = dict(old.protocol), dict(plain.protocol)
  num_real = [x.pop(_NUM_REAL, None) or 0 for x in (one, two)]
  if one != two:
    return result
  known = {k: v for k, v in result.metrics.items() if v.value is not None}
  return dataclasses.replace(
    result,
    protocol={**result.protocol, _NUM_REAL: max(num_real)},
    metrics={**result.metrics, **old.metrics, **known},
    curves={**old.curves, **result.curves},
    groups={**old.groups, **result.groups},
  )
