"""Validity and class of moving digits."""

from collections.abc import Mapping

import numpy as np

from vgen_jax.data import pipeline
from vgen_jax.evaluation.metrics import base
from vgen_jax.synthetic.digits import source as digits_source
from vgen_jax.synthetic.digits import verifier
from vgen_jax.synthetic.world import metric as world_metric
from vgen_jax.synthetic.world import motion
from vgen_jax.synthetic.world import spots


class Read(base.Probe):
  """Which digit moves in a clip, and whether as it must."""

  def __init__(self, source: digits_source.MovingDigits):
    self.name = 'digits'
    self.protocol = {'code': base.code(verifier, motion, spots)}
    self._source = source

  def __call__(self, clips: base.Clips) -> base.Features:
    found = verifier.measure(self._source, clips['video'])._asdict()
    return found | {key: clips[key] for key in ('label',) if key in clips}


class Digits(base.Metric):
  """Validity and class of moving digits."""

  def __init__(self, source: pipeline.Source):
    world_metric.check('digits', source, digits_source.MovingDigits)
    self.name = 'digits'
    self.probe = Read(source)

  def conclude(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    drawn, real = (_of_digits(features[p]) for p in (base.GENERATED, base.REAL))
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


def _of_digits(found: base.Features) -> dict[str, np.ndarray]:
  numbers = {'digits_valid': found['valid_b']}
  if 'label' in found:
    right_b = found['label_b'] == found['label']
    numbers['digits_accuracy'] = right_b
    numbers['digits_valid_and_right'] = right_b & found['valid_b']
  return numbers
