"""Whether objects do as their actions say."""

from collections.abc import Mapping

import numpy as np

from vgen_jax.data import pipeline
from vgen_jax.evaluation.metrics import base
from vgen_jax.synthetic.actions import source as actions_source
from vgen_jax.synthetic.actions import verifier
from vgen_jax.synthetic.world import metric as world_metric
from vgen_jax.synthetic.world import spots


class Followed(base.Probe):
  """Which steps go where their actions lead."""

  def __init__(self, world: actions_source.Actions):
    self.name = 'actions'
    self.protocol = {'code': base.code(verifier, spots)}
    self._world = world

  def __call__(self, clips: base.Clips) -> base.Features:
    found = verifier.measure(self._world, clips['video'], clips['action'])
    return found._asdict()


class Actions(base.Metric):
  """Whether objects do as they are told."""

  def __init__(self, source: pipeline.Source):
    world_metric.check('actions', source, actions_source.Actions)
    self.name = 'actions'
    self.probe = Followed(source)
    self._least = source.step / 2

  def conclude(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    drawn, real = (
      self._numbers(features[place]) for place in (base.GENERATED, base.REAL)
    )
    values = {
      name: base.mean(
        value_n,
        real=float(np.mean(real[name])),
        better='lower' if name == 'action_error' else 'higher',
        unit='px' if name == 'action_error' else '',
        protocol=self.probe.protocol,
      )
      for name, value_n in drawn.items()
    }
    return base.Findings(values)

  def _numbers(self, found: base.Features) -> dict[str, np.ndarray]:
    """Returns numbers of each clip; steps that lead nowhere count too."""
    moves_bs = np.linalg.norm(found['told_bs2'], axis=-1) >= self._least
    right_bs, moving_b = found['right_bs'], moves_bs.any(1)
    of_moves_b = (right_bs & moves_bs).sum(1) / np.maximum(moves_bs.sum(1), 1)
    return {
      'action_accuracy': right_bs.mean(1),
      'action_accuracy_of_moves': of_moves_b[moving_b],
      'action_error': found['error_bs'].mean(1),
      'action_present': found['seen_bt'].mean(1),
    }
