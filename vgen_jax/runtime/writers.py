"""Files with the metrics and the generated clips of a run.

A workdir has

  metrics.jsonl       a line of JSON for each log, {"step": ..., name: number}
  samples/<step>.*    the same clips as .mp4, .gif and a .png of all frames
  tensorboard/        metrics and clips for TensorBoard
"""

from collections.abc import Mapping
import io
import json
import math
from typing import Any

from etils import epath
import jax
import numpy as np
from PIL import Image

from vgen_jax.core import atomic_files
from vgen_jax.core import file_paths
from vgen_jax.core import pixels
from vgen_jax.data.files import video_writers
from vgen_jax.runtime import loggers

_METRICS = 'metrics.jsonl'
_KINDS = ('mp4', 'gif', 'png')  # Files of the same clips.
_SIDE = 1200  # Pixels of the longer side up to which images are enlarged.


class Writer:
  """Writes metrics and clips of one run; a context manager.

  Only process 0 writes. A run that was killed may have logged steps after its
  last checkpoint. They are made again, so their lines are removed at the start.

  Attributes:
    workdir: Local or gs:// directory.
  """

  def __init__(
    self,
    workdir: str,
    first_step: int,
    *,
    frames_per_second: float = 8.0,
    tensorboard: bool = True,
    wandb: str = '',
  ):
    """Opens the files and loggers.

    Args:
      workdir: Local or gs:// directory; it is created if it does not exist.
      first_step: Number of steps made before.
      frames_per_second: Frame rate of clips.
      tensorboard: Whether to write TensorBoard files.
      wandb: Project on Weights & Biases to write to; '' for none.

    Raises:
      ImportError: If `wandb` is set, but the package is not installed.
    """
    self.workdir = file_paths.read(workdir)
    self._frames_per_second = frames_per_second
    self._writes = jax.process_index() == 0
    self._loggers: list[loggers.TensorBoard | loggers.Wandb] = []
    if not self._writes:
      return
    self.workdir.mkdir(parents=True, exist_ok=True)
    self._lines = _remove_after(self.workdir / _METRICS, first_step)
    if tensorboard:
      folder = self.workdir / 'tensorboard'
      self._loggers.append(loggers.TensorBoard(folder, first_step))
    if wandb:
      self._loggers.append(loggers.Wandb(wandb, self.workdir))

  def __enter__(self) -> 'Writer':
    return self

  def __exit__(self, *error: object) -> None:
    self.close()

  def write_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
    """Adds a line to `metrics.jsonl`.

    Args:
      step: Step of the metrics.
      metrics: {name: number}.
    """
    if not self._writes:
      return
    metrics = {name: float(value) for name, value in metrics.items()}
    strict = {name: _strict(value) for name, value in metrics.items()}
    self._append(json.dumps({'step': step, **strict}, allow_nan=False) + '\n')
    for logger in self._loggers:
      logger.write_metrics(step, metrics)

  def write_clips(self, step: int, video_bthwc: Any) -> None:
    """Writes clips to `samples/`, as `save_clips` does.

    Args:
      step: Step of the clips and name of the files.
      video_bthwc: Clips as uint8 or as floats in [-1, 1]; 1 or 3 channels.
    """
    if not self._writes:
      return
    files = save_clips(
      self.workdir / 'samples', str(step), video_bthwc, self._frames_per_second
    )
    for logger in self._loggers:
      logger.write_gif(step, files['gif'].read_bytes())

  def close(self) -> None:
    """Closes all loggers."""
    while self._loggers:
      self._loggers.pop().close()

  def _append(self, line: str) -> None:
    file = self.workdir / _METRICS
    self._lines.append(line)
    if '://' in str(file):  # Buckets have no mode 'append'.
      file.write_text(''.join(self._lines))
      return
    self._lines.clear()
    with file.open('a') as opened:
      opened.write(line)


def save_clips(
  folder: epath.PathLike,
  name: str,
  video_bthwc: Any,
  frames_per_second: float,
) -> dict[str, epath.Path]:
  """Writes clips to `<folder>/<name>.mp4`, `.gif` and `.png`.

  The videos show all clips side by side. The image shows all frames: one row
  for each clip, one column for each frame.

  Args:
    folder: Local or gs:// directory; it is created if it does not exist.
    name: Name of the files without extension.
    video_bthwc: Clips as uint8 or as floats in [-1, 1]; 1 or 3 channels.
    frames_per_second: Frame rate of the videos.

  Returns:
    {'mp4': path, 'gif': path, 'png': path}.
  """
  folder = file_paths.read(folder)
  folder.mkdir(parents=True, exist_ok=True)
  video_bthwc = to_rgb(video_bthwc)
  scale = _scale(video_bthwc.shape)
  sheet_thwc = _tile(video_bthwc)
  files = {kind: folder / f'{name}.{kind}' for kind in _KINDS}
  video_writers.write_mp4(
    files['mp4'], sheet_thwc, frames_per_second, scale=scale
  )
  video_writers.write_gif(
    files['gif'], sheet_thwc, frames_per_second, scale=scale
  )
  image = _png(_enlarged(grid(video_bthwc)))
  atomic_files.write_bytes(files['png'], image)
  return files


def has_clips(workdir: str, step: int) -> bool:
  """Returns whether the samples of a step have been written completely."""
  folder = file_paths.read(workdir) / 'samples'
  return all((folder / f'{step}.{kind}').exists() for kind in _KINDS)


def read_metrics(workdir: str) -> list[dict[str, float]]:
  """Returns the lines of `metrics.jsonl` of a run; [] if there is none yet."""
  file = file_paths.read(workdir) / _METRICS
  lines = file.read_text().splitlines() if file.exists() else []
  parsed = [entry for line in lines if (entry := _parse(line))]
  return [{k: float(x) for k, x in entry.items()} for entry in parsed]


def grid(video_bthwc: Any) -> np.ndarray:
  """Returns one uint8 image `[h, w, 3]`: a row of frames for each clip."""
  return np.concatenate(
    [np.concatenate(clip_thwc, axis=1) for clip_thwc in to_rgb(video_bthwc)]
  )


def to_rgb(video_bthwc: Any) -> np.ndarray:
  """Returns clips as uint8 RGB `[b, t, h, w, 3]`; one channel becomes three.

  Args:
    video_bthwc: Clips as uint8 or as floats in [-1, 1]; other values are
      clipped.

  Raises:
    FloatingPointError: If values are NaN or infinite.
    ValueError: If the rank is not 5, or there are neither 1 nor 3 channels.
  """
  video_bthwc = np.asarray(video_bthwc)
  if video_bthwc.ndim != 5 or video_bthwc.shape[-1] not in (1, 3):
    raise ValueError(
      f'The clips to write have shape {video_bthwc.shape}; it must be'
      ' [b, t, h, w, c] with 1 or 3 channels.'
    )
  if video_bthwc.dtype != np.uint8:
    video_bthwc = pixels.to_uint8(video_bthwc.astype(np.float32))
  return np.broadcast_to(video_bthwc, (*video_bthwc.shape[:-1], 3))


def _tile(video_bthwc: np.ndarray) -> np.ndarray:
  """Returns one video of all clips in a grid that is almost square."""
  b = len(video_bthwc)
  columns = math.ceil(math.sqrt(b))
  rows = math.ceil(b / columns)
  blank = np.zeros((rows * columns - b, *video_bthwc.shape[1:]), np.uint8)
  full = np.concatenate([video_bthwc, blank])
  return np.concatenate(
    [np.concatenate(row, axis=2) for row in np.split(full, rows)], axis=1
  )


def _scale(shape: tuple[int, ...]) -> int:
  """Returns the factor by which small clips are enlarged."""
  return max(1, 128 // max(shape[2:4]))


def _strict(value: float) -> float | str:
  """Returns a value for strict JSON: 'nan', 'inf' and '-inf' are strings."""
  return value if math.isfinite(value) else str(value)


def _parse(line: str) -> dict[str, Any] | None:
  """Returns the entry of a line; None if it is incomplete after a kill."""
  try:
    entry = json.loads(line)
  except json.JSONDecodeError:
    return None
  return entry if isinstance(entry, dict) and 'step' in entry else None


def _remove_after(file: epath.Path, last_step: int) -> list[str]:
  """Removes later steps and incomplete lines of a file; returns the rest."""
  if not file.exists():
    return []
  lines = file.read_text().splitlines(keepends=True)
  kept = []
  for line in lines:
    entry = _parse(line)
    if entry and entry['step'] <= last_step and line.endswith('\n'):
      kept.append(line)
  if kept != lines:
    atomic_files.write_text(file, ''.join(kept))
  return kept


def _enlarged(image_hwc: np.ndarray) -> np.ndarray:
  """Returns an image enlarged by repetition of its pixels, if it is small."""
  times = min(8, max(1, _SIDE // max(image_hwc.shape[:2])))
  return image_hwc.repeat(times, axis=0).repeat(times, axis=1)


def _png(image_hwc: np.ndarray) -> bytes:
  buffer = io.BytesIO()
  Image.fromarray(image_hwc).save(buffer, 'png')
  return buffer.getvalue()
