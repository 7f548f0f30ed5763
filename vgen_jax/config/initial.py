"""The section `config.init`: the weights that a new run starts from."""

import dataclasses

from vgen_jax.core import fields


@dataclasses.dataclass(frozen=True)
class Init:
  """Weights of another run that a new run starts from, as for fine-tuning.

  The new run starts at step 0, with new states of its optimizers. Its averages
  of the parameters start at these weights, too.

  Attributes:
    workdir: Directory of the other run; '' starts from random weights.
    step: Step of its checkpoint; None for the latest.
    average: Name of the average of its parameters to use, or 'params'; '' for
      the average that the other run samples from.
    parts: Names of the parts of the model to use, such as ('denoiser',); () for
      all parts that both models have.
  """

  workdir: str = fields.field('')
  step: int | None = fields.field(None, allowed='a step with a checkpoint')
  average: str = fields.field('')
  parts: tuple[str, ...] = fields.field((), allowed='names of parts')

  def __post_init__(self):
    given = self.step is not None or self.average or self.parts
    if given and not self.workdir:
      raise ValueError(
        'config.init has no workdir; give the directory of the run to start'
        ' from, or leave config.init out.'
      )
