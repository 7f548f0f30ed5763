"""Metric of how well objects follow their actions."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from vgen_jax.evaluation.metrics import base
from vgen_jax.synthetic import metric as metric_lib
from vgen_jax.synthetic import saturation
from vgen_jax.synthetic.actions import source as actions_source
from vgen_jax.synthetic.actions import verifier

_Info = metric_lib.ValueInfo
_FROM = 'Source: synthetic/actions/verifier.py.'
VALUES = {
  'action_accuracy': _Info('higher'),
  'action_accuracy_moving': _Info('higher'),
  'action_error': _Info('lower', 'px'),
  'action_object_presence': _Info('higher'),
}


class ActionStepsExtractor(base.FeatureExtractor):
  """Computes the actual and the requested motion of each step."""

  def __init__(self, world: actions_source.Actions):
    self.name = 'actions'
    self.protocol = {'code': base.code_digest(verifier, saturation)}
    self._world = world

  def __call__(self, clips: base.Clips) -> base.Features:
    steps = verifier.compute_features(
      self._world, clips['video'], clips['action']
    )
    return steps._asdict()


class ActionsMetric(base.Metric):
  """Measures how well objects follow their actions, averaged over clips."""

  name = 'actions'
  definitions: ClassVar[dict[str, str]] = {
    'action_accuracy': 'Proportion of steps between successive frames that'
    f' follow their action. {_FROM}',
    'action_accuracy_moving': 'Proportion of the steps that should move'
    f' the object that follow their action. {_FROM}',
    'action_error': 'Distance between the motion of a step and that which its'
    f' action requests. {_FROM}',
    'action_object_presence': f'Proportion of frames with the object. {_FROM}',
  }
  datasets = (actions_source.Actions,)

  def __init__(self, source: actions_source.Actions):
    self.extractor = ActionStepsExtractor(source)
    self._min_move = source.step / 2  # Shorter steps count as standing still.

  def compute(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    generated, real = (
      self._numbers(features[p]) for p in (base.GENERATED, base.REAL)
    )
    values = {
      name: base.mean(
        value_n,
        real=float(np.mean(real[name])),
        better=VALUES[name].better,
        unit=VALUES[name].unit,
        protocol=self.extractor.protocol,
      )
      for name, value_n in generated.items()
    }
    return base.Findings(values)

  def _numbers(self, arrays: base.Features) -> dict[str, np.ndarray]:
    """Returns each value for each clip.

    'action_accuracy_moving' has a number only for clips with a step that should
    move the object.
    """
    moves_bs = (
      np.linalg.norm(arrays['requested_bs2'], axis=-1) >= self._min_move
    )
    correct_bs, moves_b = arrays['correct_bs'], moves_bs.any(1)
    moving_b = (correct_bs & moves_bs).sum(1) / np.maximum(moves_bs.sum(1), 1)
    return {
      'action_accuracy': correct_bs.mean(1),
      'action_accuracy_moving': moving_b[moves_b],
      'action_error': arrays['error_bs'].mean(1),
      'action_object_presence': arrays['visible_bt'].mean(1),
    }
