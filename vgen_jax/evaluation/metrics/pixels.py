"""Metrics of pixels, without a network: motion, diversity, memorization."""

from collections.abc import Mapping
from typing import ClassVar

import jax
import numpy as np

from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import results
from vgen_jax.evaluation.scores import flicker
from vgen_jax.evaluation.scores import memorization

_MAX_TRAIN = 10_000  # Training clips that copies are searched among.
_MIN_HELD_OUT = 100  # Clips that a quantile of 1 % needs.


class FrameChanges(base.FeatureExtractor):
  """Computes how much pixels change over frames; see scores/flicker.py."""

  def __init__(self):
    self.name = 'changes'
    self.protocol = {'code': base.code_digest(flicker)}
    self._steadiness = jax.jit(flicker.steadiness)

  def __call__(self, clips: base.Clips) -> base.Features:
    found = self._steadiness(clips['video'])
    return {
      'steadiness': np.asarray(found.steadiness_b),
      'dynamic_degree': np.asarray(found.dynamic_degree_b),
    }


class Thumbnails(base.FeatureExtractor):
  """Downsampled clips in half precision; see scores/memorization.py."""

  def __init__(self):
    self.name = 'thumbnails'
    self.protocol = {
      'size': [8, 16, 16],
      'code': base.code_digest(memorization),
    }

  def __call__(self, clips: base.Clips) -> base.Features:
    return {'thumbnail': np.float16(memorization.thumbnails(clips['video']))}


class Flicker(base.Metric):
  """Steadiness and dynamic degree of clips; still clips are the steadiest."""

  name = 'flicker'
  definitions: ClassVar[dict[str, str]] = {
    'steadiness': 'One minus the mean change of a pixel from frame to frame, as'
    ' a fraction of the range of values. Source: evaluation/scores/flicker.py.',
    'dynamic_degree': 'Proportion of pixels whose values differ by more than a'
    ' tenth of the range within a clip. Source: evaluation/scores/flicker.py.',
  }
  for_reconstructions = True

  def __init__(self):
    self.extractor = FrameChanges()

  def compute(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    values = {
      key: base.mean(
        x_n,
        real=float(features[base.REAL][key].mean()),
        note='Best when close to real clips: a frozen video is the steadiest.',
        **self.fields(),
      )
      for key, x_n in features[base.GENERATED].items()
    }
    return base.Findings(values)


class Diversity(base.Metric):
  """Distance of each generated clip to the most similar other one."""

  name = 'diversity'
  definitions: ClassVar[dict[str, str]] = {
    'nearest_neighbor_distance': 'Root mean square difference of the thumbnails'
    ' of a generated clip and of the most similar other one. Source:'
    ' evaluation/metrics/pixels.py.'
  }
  unit = 'levels'

  def __init__(self):
    self.extractor = Thumbnails()

  def compute(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    generated_n = _nearest_distances(features[base.GENERATED]['thumbnail'])
    real_n = _nearest_distances(
      features[base.REAL]['thumbnail'][: len(generated_n)]
    )
    protocol = self.extractor.protocol | {'num_real': len(real_n)}
    value = base.mean(
      generated_n,
      real=float(real_n.mean()) if len(real_n) else None,
      note='Distance to the nearest other clip, among equally many clips: root'
      ' mean square difference of thumbnails, whose values are from 0 to'
      ' 255.',
      **self.fields(protocol=protocol),
    )
    return base.Findings({'nearest_neighbor_distance': value})


class Memorization(base.Metric):
  """Proportion of clips that copy training clips, mirrored or not."""

  name = 'memorization'
  definitions: ClassVar[dict[str, str]] = {
    'memorized_fraction': 'Proportion of generated clips that are nearer to a'
    ' training clip than all but 1 % of held-out clips are. Source:'
    ' evaluation/scores/memorization.py.'
  }
  sources = (base.GENERATED, base.TRAIN, base.REAL)
  better = 'lower'

  def __init__(self):
    self.extractor = Thumbnails()

  def counts(self, num_clips: int) -> dict[str, int]:
    return {
      base.GENERATED: num_clips,
      base.TRAIN: _MAX_TRAIN,
      base.REAL: 2 * max(num_clips, _MIN_HELD_OUT),
    }

  def compute(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    generated, train, held_out = (
      np.float32(features[source]['thumbnail']) for source in self.sources
    )
    half = len(held_out) // 2
    if half < _MIN_HELD_OUT:
      value = results.Value(
        None,
        better=self.better,
        status='undefined',
        note=f'There are {len(held_out)} held-out clips; the metric needs'
        f' {2 * _MIN_HELD_OUT}.',
      )
      return base.Findings({'memorized_fraction': value})
    found = memorization.copies(generated, train, held_out[:half])
    real = memorization.copies(held_out[half:], train, held_out[:half])
    value = base.proportion(
      found.rate,
      len(generated),
      real=real.rate,
      note='About 0.01 if nothing is copied. Searched among'
      f' {len(train)} training clips.',
      **self.fields(
        protocol=self.extractor.protocol
        | {
          'num_train': len(train),
          'num_held_out': half,
          'threshold': found.threshold,
        }
      ),
    )
    groups = {
      name: {
        'value': float((found.copied_n & is_n).mean()),
        'num': len(generated),
      }
      for name, is_n in (
        ('not mirrored', ~found.flipped_n),
        ('mirrored', found.flipped_n),
      )
    }
    return base.Findings(
      {'memorized_fraction': value}, groups={'memorization': groups}
    )


def _nearest_distances(thumbnail_bthwc: np.ndarray) -> np.ndarray:
  """Returns each clip's distance to the nearest other one, `[b]`."""
  if len(thumbnail_bthwc) < 2:
    return np.zeros(0)
  x_nd = np.float32(thumbnail_bthwc).reshape(len(thumbnail_bthwc), -1)
  x_nd = x_nd - x_nd.mean(0)
  square_n = (x_nd**2).sum(1)
  square_nn = square_n[:, None] + square_n[None] - 2 * x_nd @ x_nd.T
  np.fill_diagonal(square_nn, np.inf)
  return np.sqrt(np.maximum(square_nn.min(1), 0) / x_nd.shape[1])
