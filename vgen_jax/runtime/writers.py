"""Files with the metrics and the generated clips of a run.

A workdir has

  metrics.jsonl       a line of JSON for each log, {"step": ..., name: number}
  samples/<step>.*    the same clips as .mp4, .gif and a .png of all frames
  tensorboard/        metrics and clips for TensorBoard
"""

from collections.abc import Mapping, Sequence
import io
from typing import Any

from etils import epath
import jax
import numpy as np
from PIL import Image

from vgen_jax.core import atomic_files
from vgen_jax.core import file_paths
from vgen_jax.data.files import video_writers
from vgen_jax.runtime import loggers
from vgen_jax.runtime.output import metrics_log
from vgen_jax.runtime.output import pictures

_KINDS = ('mp4', 'gif', 'png')  # Files of the same clips.


class Writer:
  """Writes metrics and clips of one run; a context manager.

  Only process 0 writes. A run that was killed may have logged steps after its
  last checkpoint. These steps are repeated, so their lines are removed at the
  start.

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
      first_step: Number of steps completed earlier.
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
    self._lines = metrics_log.remove_after(
      self.workdir / metrics_log.FILE, first_step
    )
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
    """Adds a line to `metrics.jsonl`, and writes the metrics to the loggers.

    Args:
      step: Step of the metrics.
      metrics: {name: number}.
    """
    if not self._writes:
      return
    metrics = {name: float(value) for name, value in metrics.items()}
    self._append(metrics_log.to_line(step, metrics))
    for logger in self._loggers:
      logger.write_metrics(step, metrics)

  def write_config(self, step: int, config: str) -> None:
    """Writes the text of a `config.json` to the loggers."""
    if self._writes:
      for logger in self._loggers:
        logger.write_config(step, config)

  def write_clips(
    self, step: int, video_bthwc: Any, labels: Sequence[str] = ()
  ) -> None:
    """Writes clips to `samples/`, as `save_clips` does.

    Args:
      step: Step of the clips and name of the files.
      video_bthwc: Clips as uint8 or as floats in [-1, 1]; 1 or 3 channels.
      labels: Text above each clip; () for none.
    """
    if not self._writes:
      return
    files = save_clips(
      self.workdir / 'samples',
      str(step),
      video_bthwc,
      self._frames_per_second,
      labels,
    )
    for logger in self._loggers:
      logger.write_gif(step, files['gif'].read_bytes())

  def close(self) -> None:
    """Closes all loggers."""
    while self._loggers:
      self._loggers.pop().close()

  def _append(self, line: str) -> None:
    file = self.workdir / metrics_log.FILE
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
  clips: Any,
  frames_per_second: float,
  labels: Sequence[str] = (),
) -> dict[str, epath.Path]:
  """Writes clips to `<folder>/<name>.mp4`, `.gif` and `.png`.

  The videos show all clips side by side. The image shows all frames of each
  clip; see `runtime/output/pictures.py`.

  Args:
    folder: Local or gs:// directory; it is created if it does not exist.
    name: Name of the files without extension.
    clips: Clips `[b, t, h, w, c]` as uint8 or as floats in [-1, 1], with 1 or 3
      channels; or a list of `pictures.Section`, which are shown below each
      other.
    frames_per_second: Frame rate of the videos.
    labels: Text above each clip; () for none. Sections have their own labels.

  Returns:
    {'mp4': path, 'gif': path, 'png': path}.
  """
  folder = file_paths.read(folder)
  folder.mkdir(parents=True, exist_ok=True)
  if not isinstance(clips, list):
    clips = [pictures.Section(clips, labels=labels)]
  video_thwc = pictures.side_by_side(clips)
  files = {kind: folder / f'{name}.{kind}' for kind in _KINDS}
  video_writers.write_mp4(files['mp4'], video_thwc, frames_per_second)
  video_writers.write_gif(files['gif'], video_thwc, frames_per_second)
  image = png(pictures.sheet(clips))
  atomic_files.write_bytes(files['png'], image)
  return files


def has_clips(workdir: str, step: int) -> bool:
  """Returns whether the samples of a step have been written completely."""
  folder = file_paths.read(workdir) / 'samples'
  return all((folder / f'{step}.{kind}').exists() for kind in _KINDS)


def save_single_clips(
  folder: epath.PathLike, video_bthwc: Any, frames_per_second: float
) -> list[epath.Path]:
  """Writes each clip to a file of its own, `<folder>/000.mp4`, ...

  Args:
    folder: Local or gs:// directory; it is created if it does not exist.
    video_bthwc: Clips as uint8 or as floats in [-1, 1]; 1 or 3 channels.
    frames_per_second: Frame rate of the videos.

  Returns:
    The files. Small frames are enlarged; `save_array` keeps the values.
  """
  folder = file_paths.read(folder)
  folder.mkdir(parents=True, exist_ok=True)
  files = []
  for i, video_thwc in enumerate(pictures.to_rgb(video_bthwc)):
    files.append(folder / f'{i:03}.mp4')
    video_thwc = pictures.enlarged(video_thwc)
    video_writers.write_mp4(files[-1], video_thwc, frames_per_second)
  return files


def save_array(file: epath.PathLike, video_bthwc: np.ndarray) -> None:
  """Writes clips as a .npy file, whose folder is created if necessary."""
  file = file_paths.read(file)
  file.parent.mkdir(parents=True, exist_ok=True)
  buffer = io.BytesIO()
  np.save(buffer, video_bthwc, allow_pickle=False)
  atomic_files.write_bytes(file, buffer.getvalue())


def png(image_hwc: np.ndarray) -> bytes:
  """Returns the bytes of a PNG of a uint8 image."""
  buffer = io.BytesIO()
  Image.fromarray(image_hwc).save(buffer, 'png')
  return buffer.getvalue()


def read_metrics(workdir: str) -> list[dict[str, float]]:
  """Returns the entries of the log of a run, as `metrics_log.read` does."""
  return metrics_log.read(workdir)


def has_values(workdir: str, step: int, prefix: str) -> bool:
  """Returns whether the log has values of a step with a prefix.

  Args:
    workdir: Directory of the run.
    step: Step of the values.
    prefix: Start of the names of the values.
  """
  return any(
    name.startswith(prefix)
    for line in read_metrics(workdir)
    if line['step'] == step
    for name in line
  )
