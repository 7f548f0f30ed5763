"""Where else a run can be watched: TensorBoard, Weights & Biases."""

from collections.abc import Mapping
import hashlib
import io

from etils import epath
from PIL import Image


class TensorBoard:
  """Files of events in a folder, which TensorBoard reads; a GIF plays there."""

  def __init__(self, folder: epath.Path, first_step: int):
    """Opens a file; events of the run's former life after a step are void."""
    import tensorboardX  # Slow to import, and not everybody's.

    purge_step = first_step + 1
    self._writer = tensorboardX.SummaryWriter(
      str(folder), purge_step=purge_step
    )

  def write_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
    """Adds a point to the curve of each metric."""
    for name, value in metrics.items():
      self._writer.add_scalar(name, value, step)
    self._writer.flush()

  def write_gif(self, step: int, gif: bytes) -> None:
    """Adds a GIF. Not as a video, for which tensorboardX asks for moviepy."""
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
  """A run on Weights & Biases, which goes on when the workdir's run does."""

  def __init__(self, project: str, workdir: epath.Path):
    """Opens the run.

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
      id=hashlib.sha256(path.encode()).hexdigest()[:16],
      resume='allow',
    )

  def write_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
    """Adds a point to the curve of each metric."""
    self._run.log(dict(metrics), step=step)

  def write_gif(self, step: int, gif: bytes) -> None:
    """Adds a GIF."""
    video = self._module.Video(io.BytesIO(gif), format='gif')
    self._run.log({'samples': video}, step=step)

  def close(self) -> None:
    """Ends the run there."""
    self._run.finish()
