"""Metrics of other made-up worlds: actions, digits, forking futures."""

from collections.abc import Mapping

import numpy as np

from vgen_jax.data import digits as digits_source
from vgen_jax.data import pipeline
from vgen_jax.data.worlds import actions as actions_world
from vgen_jax.data.worlds import two_futures
from vgen_jax.evaluation import results
from vgen_jax.evaluation.judging import actions
from vgen_jax.evaluation.judging import digits
from vgen_jax.evaluation.judging import futures
from vgen_jax.evaluation.judging import motion
from vgen_jax.evaluation.judging import spots
from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import judged


class Followed(base.Probe):
  """Which steps go where their actions lead."""

  def __init__(self, world: actions_world.Actions):
    self.name = 'actions'
    self.protocol = {'code': base.code(actions, spots)}
    self._world = world

  def __call__(self, clips: base.Clips) -> base.Features:
    found = actions.measure(self._world, clips['video'], clips['action'])
    return found._asdict()


class Actions(base.Metric):
  """Whether objects do as they are told."""

  def __init__(self, source: pipeline.Source):
    judged.check('actions', source, actions_world.Actions)
    self.name = 'actions'
    self.probe = Followed(source)
    self._least = source.step / 2

  def conclude(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    drawn, real = (
      self._numbers(features[place]) for place in (base.DRAWN, base.REAL)
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


class Read(base.Probe):
  """Which digit moves in a clip, and whether as it must."""

  def __init__(self, source: digits_source.MovingDigits):
    self.name = 'digits'
    self.protocol = {'code': base.code(digits, motion, spots)}
    self._source = source

  def __call__(self, clips: base.Clips) -> base.Features:
    found = digits.measure(self._source, clips['video'])._asdict()
    return found | {key: clips[key] for key in ('label',) if key in clips}


class Digits(base.Metric):
  """Validity and class of moving digits."""

  def __init__(self, source: pipeline.Source):
    judged.check('digits', source, digits_source.MovingDigits)
    self.name = 'digits'
    self.probe = Read(source)

  def conclude(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    drawn, real = (_of_digits(features[p]) for p in (base.DRAWN, base.REAL))
    values = {
      name: base.share(
        hit_n.mean(),
        len(hit_n),
        real=float(real[name].mean()) if name in real else None,
        better='higher',
        protocol=self.probe.protocol,
      )
      for name, hit_n in drawn.items()
    }
    return base.Findings(values)


class Branches(base.Probe):
  """Which of its futures each prediction of a forking world shows."""

  def __init__(self, world: futures.Forked):
    self.name = 'futures'
    self.protocol = {'code': base.code(futures, spots)}
    self._world = world

  def __call__(self, clips: base.Clips) -> base.Features:
    branch_bn = futures.shown(self._world, clips['index'], clips['video'])
    return {'branch': branch_bn, 'index': clips['index']}


class Futures(base.Metric):
  """Whether all futures are drawn, as often as they occur."""

  def __init__(self, source: pipeline.Source):
    judged.check(
      'futures', source, two_futures.TwoFutures, two_futures.ThreeFutures
    )
    self.name = 'futures'
    self.probe = Branches(source)
    self._world = source

  def counts(self, num_clips: int) -> dict[str, int]:
    return {base.PREDICTED: num_clips}

  def conclude(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    found = features[base.PREDICTED]
    numbers = futures.summary(self._world, found['index'], found['branch'])
    protocol = self.probe.protocol | {'num_samples': found['branch'].shape[1]}
    values = {
      f'futures_{name}': results.Value(number, protocol=protocol)
      for name, number in numbers.items()
    }
    return base.Findings(values)


def _of_digits(found: base.Features) -> dict[str, np.ndarray]:
  numbers = {'digits_valid': found['valid_b']}
  if 'label' in found:
    right_b = found['label_b'] == found['label']
    numbers['digits_accuracy'] = right_b
    numbers['digits_valid_and_right'] = right_b & found['valid_b']
  return numbers
