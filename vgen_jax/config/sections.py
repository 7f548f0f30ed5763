"""Sections of a config: the mesh, the guard and the evaluation."""

import dataclasses

from vgen_jax.core import checks
from vgen_jax.core import fields

_SIZES = '1 or more; -1 in one of the axes stands for all remaining devices'


@dataclasses.dataclass(frozen=True)
class Mesh:
  """Number of devices along each axis of the mesh.

  Attributes:
    data: Devices among which each batch is split and which hold copies of the
      parameters.
    fsdp: Devices among which each batch and the parameters are split.
    tensor: Devices among which the matrix products of a layer are split.
  """

  data: int = fields.field(-1, unit='devices', allowed=_SIZES)
  fsdp: int = fields.field(1, unit='devices', allowed=_SIZES)
  tensor: int = fields.field(1, unit='devices', allowed=_SIZES)


@dataclasses.dataclass(frozen=True)
class Guard:
  """Policy for updates that would harm the run.

  An update whose loss or gradient is not finite is never applied.

  Attributes:
    policy: 'raise' stops the run at the next log; 'skip' continues without the
      update.
    spike: An update whose gradient norm is more than this many times its recent
      average is not applied either; 0 applies all.
    max_skips: Largest number of updates skipped in a row under 'skip'; more of
      them stop the run.
  """

  policy: str = fields.field('raise', one_of=('raise', 'skip'), on_resume=True)
  spike: float = fields.field(
    0.0, unit='times the average norm', least=0, on_resume=True
  )
  max_skips: int = fields.field(20, unit='updates', least=0, on_resume=True)

  def __post_init__(self):
    fields.check(self, 'config.guard')


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """Metrics that an evaluation computes, and the clips that it uses.

  Attributes:
    metrics: Names of metrics of `evaluation/metrics/registry.py`.
    num_clips: Number of clips to generate.
    batch_size: Number of clips to generate at a time.
    seed: Seed of the noise that clips are generated from.
    real_split: Split of the data to compare with; '' for 'validation' if the
      data has such a split, and the training data otherwise.
    context: Number of first frames that predictions are conditioned on.
    num_samples: Number of predictions for each clip.
    infinity: Whether to report FVD and FID extrapolated to infinitely many
      samples, too.
  """

  metrics: tuple[str, ...] = fields.field(
    ('verifier',), allowed='one name or more'
  )
  num_clips: int = fields.field(64, unit='clips', least=1)
  batch_size: int = fields.field(64, unit='clips', least=1)
  seed: int = fields.field(0, least=0, most=checks.MAX_SEED)
  real_split: str = fields.field('')
  context: int = fields.field(2, unit='frames', least=1)
  num_samples: int = fields.field(10, unit='predictions', least=1)
  infinity: bool = fields.field(False)

  def __post_init__(self):
    fields.check(self, 'config.evaluation')
    if isinstance(self.metrics, str) or not self.metrics:
      raise ValueError(
        f'config.evaluation.metrics is {self.metrics!r}; it must be a tuple of'
        " names, such as ('verifier',)."
      )
