"""Measures what options of GAN training cost, in steps of VGAN.

Several updates of the critic in a step share its batch: each uses other clips.
So they need a batch that is a multiple of their number, and the batch of all
variants is the same.
"""

from collections.abc import Mapping
import dataclasses
import statistics

from ml_collections import ConfigDict

from experiments.benchmarks.twins import timing


@dataclasses.dataclass(frozen=True)
class Variant:
  """A variant of the step.

  Attributes:
    changes: Fields of `config.model`, {name: value}.
    every: Number of steps after which all kinds of steps have been made.
    updates: Updates of the critic in a step.
  """

  changes: Mapping[str, object]
  every: int = 1
  updates: int = 1


_R1 = dict(penalty_kind='r1', penalty_every=1)
VARIANTS = {
  'R1 in every step': Variant(_R1),
  'no R1': Variant(dict(penalty_kind='none')),
  'R1 every 16 steps': Variant({**_R1, 'penalty_every': 16}, every=16),
  'simultaneous updates': Variant({**_R1, 'simultaneous': True}),
  'n_critic 2': Variant({**_R1, 'num_critic_updates': 2}, updates=2),
  'n_critic 5': Variant({**_R1, 'num_critic_updates': 5}, updates=5),
}
BATCH_SIZE = 40  # A multiple of the numbers of updates.


def config_of(
  config: ConfigDict, variant: Variant, batch_size: int
) -> ConfigDict:
  """Returns the config of a variant.

  Args:
    config: Config of VGAN.
    variant: Variant of the step.
    batch_size: Number of clips in a step.
  """
  config = config.copy_and_resolve_references()
  config.unlock()
  config.batch_size = batch_size
  config.model.update(dict(variant.changes))
  return config


def rows(
  times: Mapping[str, list[float]],
  variants: Mapping[str, Variant],
  batch_size: int,
) -> list[dict[str, str]]:
  """Returns a row for each variant, relative to the first one.

  Args:
    times: {name of a variant: milliseconds per step in each repeat}.
    variants: {name: variant}.
    batch_size: Number of clips in a step.
  """
  first = next(iter(times.values()))
  return [
    {
      'step': name,
      'clips of an update of the critic': str(
        batch_size // variants[name].updates
      ),
      'ms per step (median)': f'{statistics.median(values):.1f}',
      'relative to the first (range)': timing.ratio(values, first),
    }
    for name, values in times.items()
  ]
