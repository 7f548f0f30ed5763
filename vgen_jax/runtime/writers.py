"""What a run leaves to read: numbers and clips.

In its workdir are

  metrics.jsonl       a line of JSON for each log, {"step": ..., name: number}
  samples/<step>.*    the same clips as .mp4, .gif and a .png of all frames
  tensorboard/        both, for TensorBoard
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

from vgen_jax.data.files import codecs
from vgen_jax.runtime import loggers

_METRICS = 'metrics.jsonl'
_SIDE = 1200  # Of a picture, in pixels, if its own are few.


class Writer:
  """Writes metrics and clips of one run; host 0 alone does. A context manager.

  A run that was killed may have logged steps that its last checkpoint does not
  know of. It will do them again, so their lines are cut off at the start.

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
    """Opens what there is to write to.

    Args:
      workdir: Local or gs:// directory; is made if it is not there.
      first_step: Steps done before this run begins.
      frames_per_second: Speed of clips.
      tensorboard: Whether to write TensorBoard files too.
      wandb: Project on Weights & Biases to write to; '' for none.

    Raises:
      ImportError: If `wandb` is set, but the package is not installed.
    """
    self.workdir = epath.Path(workdir)
    self._frames_per_second = frames_per_second
    self._writes = jax.process_index() == 0
    self._boards: list[loggers.TensorBoard | loggers.Wandb] = []
    if not self._writes:
      return
    self.workdir.mkdir(parents=True, exist_ok=True)
    self._lines = _cut(self.workdir / _METRICS, first_step)
    if tensorboard:
      folder = self.workdir / 'tensorboard'
      self._boards.append(loggers.TensorBoard(folder, first_step))
    if wandb:
      self._boards.append(loggers.Wandb(wandb, self.workdir))

  def __enter__(self) -> 'Writer':
    return self

  def __exit__(self, *error: object) -> None:
    self.close()

  def write_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
    """Adds a line to `metrics.jsonl`, which is on disk when this returns."""
    if not self._writes:
      return
    metrics = {name: float(value) for name, value in metrics.items()}
    strict = {name: _strict(value) for name, value in metrics.items()}
    self._append(json.dumps({'step': step, **strict}, allow_nan=False) + '\n')
    for board in self._boards:
      board.write_metrics(step, metrics)

  def write_clips(self, step: int, video_bthwc: Any) -> None:
    """Writes clips to `samples/`: side by side as a video, and frame by frame.

    Args:
      step: Names the files.
      video_bthwc: uint8, or float in [-1, 1]; 1 or 3 channels.
    """
    if not self._writes:
      return
    files = save_clips(
      self.workdir / 'samples', str(step), video_bthwc, self._frames_per_second
    )
    for board in self._boards:
      board.write_gif(step, files['gif'].read_bytes())

  def close(self) -> None:
    """Closes all files."""
    while self._boards:
      self._boards.pop().close()

  def _append(self, line: str) -> None:
    file = self.workdir / _METRICS
    self._lines.append(line)
    if '://' in str(file):  # Buckets know no appending.
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

  The two videos show them side by side; in the picture frames go right and
  clips go down.

  Args:
    folder: Local or gs:// directory; is made if it is not there.
    name: Of the files, without an ending.
    video_bthwc: uint8, or float in [-1, 1]; 1 or 3 channels.
    frames_per_second: Speed of the videos.

  Returns:
    {'mp4': path, 'gif': path, 'png': path}.
  """
  folder = epath.Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  video_bthwc = pixels(video_bthwc)
  scale = _scale(video_bthwc.shape)
  sheet_thwc = _tile(video_bthwc)
  files = {kind: folder / f'{name}.{kind}' for kind in ('mp4', 'gif', 'png')}
  codecs.write_mp4(files['mp4'], sheet_thwc, frames_per_second, scale=scale)
  codecs.write_gif(files['gif'], sheet_thwc, frames_per_second, scale=scale)
  files['png'].write_bytes(_png(_enlarged(grid(video_bthwc))))
  return files


def read_metrics(workdir: str) -> list[dict[str, float]]:
  """Returns the lines of a run's `metrics.jsonl`; [] if it has none yet."""
  file = epath.Path(workdir) / _METRICS
  lines = file.read_text().splitlines() if file.exists() else []
  parsed = [entry for line in lines if (entry := _parse(line))]
  return [{k: float(x) for k, x in entry.items()} for entry in parsed]


def grid(video_bthwc: Any) -> np.ndarray:
  """Returns one uint8 image `[h, w, 3]`: frames go right, clips go down."""
  return np.concatenate(
    [np.concatenate(clip_thwc, axis=1) for clip_thwc in pixels(video_bthwc)]
  )


def pixels(video_bthwc: Any) -> np.ndarray:
  """Returns clips as uint8 RGB `[b, t, h, w, 3]`, grey ones thrice.

  Args:
    video_bthwc: uint8, or float in [-1, 1]; what is beyond is clipped, and NaN
      is black.

  Raises:
    ValueError: If it has another rank, or neither 1 nor 3 channels.
  """
  video_bthwc = np.asarray(video_bthwc)
  if video_bthwc.ndim != 5 or video_bthwc.shape[-1] not in (1, 3):
    raise ValueError(
      f'Clips to show are {video_bthwc.shape}; they must be [b, t, h, w, c]'
      ' with 1 or 3 channels.'
    )
  if video_bthwc.dtype != np.uint8:
    video_bthwc = np.nan_to_num(video_bthwc.astype(np.float32), nan=-1.0)
    video_bthwc = np.rint((np.clip(video_bthwc, -1, 1) + 1) * 127.5)
  shape = (*video_bthwc.shape[:-1], 3)
  return np.broadcast_to(video_bthwc.astype(np.uint8), shape)


def _tile(video_bthwc: np.ndarray) -> np.ndarray:
  """Returns one video of all clips, in rows, as near to a square as can be."""
  b = len(video_bthwc)
  columns = math.ceil(math.sqrt(b))
  rows = math.ceil(b / columns)
  blank = np.zeros((rows * columns - b, *video_bthwc.shape[1:]), np.uint8)
  full = np.concatenate([video_bthwc, blank])
  return np.concatenate(
    [np.concatenate(row, axis=2) for row in np.split(full, rows)], axis=1
  )


def _scale(shape: tuple[int, ...]) -> int:
  """Returns how much to enlarge clips, so that small ones can be seen."""
  return max(1, 128 // max(shape[2:4]))


def _strict(value: float) -> float | str:
  """Returns what strict JSON can hold: 'nan', 'inf', '-inf' are strings."""
  return value if math.isfinite(value) else str(value)


def _parse(line: str) -> dict[str, Any] | None:
  """Returns a line's entry; None if a kill tore it."""
  try:
    entry = json.loads(line)
  except json.JSONDecodeError:
    return None
  return entry if isinstance(entry, dict) and 'step' in entry else None


def _cut(file: epath.Path, last_step: int) -> list[str]:
  """Drops later steps and torn lines from a file; returns the lines kept."""
  if not file.exists():
    return []
  lines = file.read_text().splitlines(keepends=True)
  kept = []
  for line in lines:
    entry = _parse(line)
    if entry and entry['step'] <= last_step and line.endswith('\n'):
      kept.append(line)
  if kept != lines:
    fresh = file.parent / (file.name + '.new')
    fresh.write_text(''.join(kept))
    fresh.replace(file)  # At once: a kill now leaves the old or the new one.
  return kept


def _enlarged(image_hwc: np.ndarray) -> np.ndarray:
  """Repeats the pixels of a picture that is small, so that they can be seen."""
  times = min(8, max(1, _SIDE // max(image_hwc.shape[:2])))
  return image_hwc.repeat(times, axis=0).repeat(times, axis=1)


def _png(image_hwc: np.ndarray) -> bytes:
  buffer = io.BytesIO()
  Image.fromarray(image_hwc).save(buffer, 'png')
  return buffer.getvalue()
