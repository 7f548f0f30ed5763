"""Metrics of pixels alone: motion, variety, copies of training clips."""

from collections.abc import Mapping

import jax
import numpy as np

from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import results
from vgen_jax.evaluation.scores import flicker
from vgen_jax.evaluation.scores import memorization

_MAX_TRAIN = 10_000  # Clips of training that copies are looked for among.
_MIN_HELD_OUT = 100  # To know their nearest 1 %.


class Changes(base.Probe):
  """How pixels change from frame to frame; see flicker.py."""

  def __init__(self):
    self.name = 'changes'
    self.protocol = {'code': base.code(flicker)}
    self._steadiness = jax.jit(flicker.steadiness)

  def __call__(self, clips: base.Clips) -> base.Features:
    found = self._steadiness(clips['video'])
    return {
      'steadiness': np.asarray(found.steadiness_b),
      'dynamic_degree': np.asarray(found.dynamic_degree_b),
    }


class Thumbnails(base.Probe):
  """Small, blurred forms; see memorization.py. In half precision, to keep."""

  def __init__(self):
    self.name = 'thumbnails'
    self.protocol = {'size': [8, 16, 16], 'code': base.code(memorization)}

  def __call__(self, clips: base.Clips) -> base.Features:
    return {'small': np.float16(memorization.thumbnails(clips['video']))}


class Flicker(base.Metric):
  """Steadiness, and the dynamic degree without which it means nothing."""

  def __init__(self):
    self.name = 'flicker'
    self.probe = Changes()

  def conclude(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    values = {
      key: base.mean(
        x_n,
        real=float(features[base.REAL][key].mean()),
        note='Best near that of real clips: a frozen video is steadiest.',
        protocol=self.probe.protocol,
      )
      for key, x_n in features[base.GENERATED].items()
    }
    return base.Findings(values)


class Diversity(base.Metric):
  """How far clips lie apart: all pairs, and each with its nearest."""

  def __init__(self):
    self.name = 'diversity'
    self.probe = Thumbnails()

  def conclude(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    drawn_n = _apart(features[base.GENERATED]['small'])
    real_n = _apart(features[base.REAL]['small'][: len(drawn_n)])
    protocol = self.probe.protocol | {'num_real': len(real_n)}
    note = 'Root mean square difference of thumbnails, in levels of 255.'
    value = base.mean(
      drawn_n,
      real=float(real_n.mean()) if len(real_n) else None,
      unit='levels',
      note=f'To the nearest other clip of as many. {note}',
      protocol=protocol,
    )
    return base.Findings({'distance_to_nearest': value})


class Memorization(base.Metric):
  """Share of clips that are copies of training clips, mirrored or not."""

  def __init__(self):
    self.name = 'copies'
    self.probe = Thumbnails()

  def counts(self, num_clips: int) -> dict[str, int]:
    return {
      base.GENERATED: num_clips,
      base.TRAIN: _MAX_TRAIN,
      base.REAL: 2 * max(num_clips, _MIN_HELD_OUT),
    }

  def conclude(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    drawn, train, held_out = (
      np.float32(features[place]['small'])
      for place in (base.GENERATED, base.TRAIN, base.REAL)
    )
    half = len(held_out) // 2
    if half < _MIN_HELD_OUT:
      value = results.Value(
        None,
        better='lower',
        status='undefined',
        note=f'{len(held_out)} clips are held out; it needs'
        f' {2 * _MIN_HELD_OUT}.',
      )
      return base.Findings({'copy_rate': value})
    found = memorization.copies(drawn, train, held_out[:half])
    none = memorization.copies(held_out[half:], train, held_out[:half])
    value = base.share(
      found.rate,
      len(drawn),
      real=none.rate,
      better='lower',
      note='About 0.01 if nothing is copied. Looked for among'
      f' {len(train)} training clips.',
      protocol=self.probe.protocol
      | {
        'num_train': len(train),
        'num_held_out': half,
        'threshold': found.threshold,
      },
    )
    copied = {
      name: {'value': float((found.copied_n & is_n).mean()), 'num': len(drawn)}
      for name, is_n in (
        ('as they are', ~found.flipped_n),
        ('mirrored', found.flipped_n),
      )
    }
    return base.Findings({'copy_rate': value}, groups={'copies': copied})


def _apart(small_bthwc: np.ndarray) -> np.ndarray:
  """Returns each clip's distance to the nearest other one."""
  if len(small_bthwc) < 2:
    return np.zeros(0)
  x_nd = np.float32(small_bthwc).reshape(len(small_bthwc), -1)
  x_nd = x_nd - x_nd.mean(0)
  square_n = (x_nd**2).sum(1)
  square_nn = square_n[:, None] + square_n[None] - 2 * x_nd @ x_nd.T
  np.fill_diagonal(square_nn, np.inf)
  return np.sqrt(np.maximum(square_nn.min(1), 0) / x_nd.shape[1])
