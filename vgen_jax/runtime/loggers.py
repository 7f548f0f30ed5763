"""Loggers of other programs: TensorBoard and Weights & Biases."""

from collections.abc import Mapping
import io
import json

from etils import epath
from PIL import Image

from vgen_jax.core import digests


class TensorBoard:
  """Writes metrics and GIFs to event files for TensorBoard."""

  def __init__(self, folder: epath.Path, first_step: int):
    """Opens an event file.

    Args:
      folder: Folder of the event files.
      first_step: Number of steps completed earlier. TensorBoard ignores later
        events of a previous process of the run.
    """
    import tensorboardX  # Optional, and slow to import.

    purge_step = first_step + 1
    self._writer = tensorboardX.SummaryWriter(
      str(folder), purge_step=purge_step
    )

  def write_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
    """Writes the metrics of a step, {name: value}."""
    for name, value in metrics.items():
      self._writer.add_scalar(name, value, step)
    self._writer.flush()

  def write_config(self, step: int, config: str) -> None:
    """Writes the text of a config, shown under the tab for text."""
    indented = config.replace('\n', '\n    ')  # A code block in Markdown.
    self._writer.add_text('config', f'    {indented}', step)
    self._writer.flush()

  def write_gif(self, step: int, gif: bytes) -> None:
    """Writes a GIF, as an image because videos would require moviepy."""
    from tensorboardX.proto import summary_pb2

    width, height = Image.open(io.BytesIO(gif)).size
    image = summary_pb2.Summary.Image(
      height=height, width=width, colorspace=3, encoded_image_string=gif
    )
    value = summary_pb2.Summary.Value(tag='samples', image=image)
    self._writer.file_writer.add_summary(
      summary_pb2.Summary(value=[value]), step
    )
    self._writer.flush()

  def close(self) -> None:
    """Closes the file."""
    self._writer.close()


class Wandb:
  """Writes metrics and GIFs to Weights & Biases, resuming the same run."""

  def __init__(self, project: str, workdir: epath.Path):
    """Opens the run.

    Args:
      project: Name of the project on Weights & Biases.
      workdir: Directory of the run; its path identifies the run there.

    Raises:
      ImportError: If the package is not installed.
    """
    try:
      import wandb
    except ImportError as error:
      raise ImportError(
        f'config.wandb is {project!r}, but wandb is not installed; run `pip'
        " install 'vgen_jax[wandb]'`, or leave config.wandb empty."
      ) from error
    self._module = wandb
    path = str(workdir.resolve())
    self._run = wandb.init(
      project=project,
      name=workdir.name,
      id=digests.text(path),
      resume='allow',
    )

  def write_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
    """Writes the metrics of a step, {name: value}."""
    self._run.log(dict(metrics), step=step)

  def write_config(self, step: int, config: str) -> None:
    """Writes the text of a config as the config of the run."""
    self._run.config.update(json.loads(config), allow_val_change=True)

  def write_gif(self, step: int, gif: bytes) -> None:
    """Writes a GIF."""
    video = self._module.Video(io.BytesIO(gif), format='gif')
    self._run.log({'samples': video}, step=step)

  def close(self) -> None:
    """Ends the run on Weights & Biases."""
    self._run.finish()
