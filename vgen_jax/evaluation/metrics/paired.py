"""Metrics of clips that have a truth: predictions and reconstructions."""

from collections.abc import Callable, Mapping, Sequence
import functools
from typing import Any

import jax
import numpy as np

from vgen_jax.core.types import ClipShape
from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import baselines
from vgen_jax.evaluation.metrics import results
from vgen_jax.evaluation.scores import prediction
from vgen_jax.evaluation.scores import reconstruction
from vgen_jax.pretrained import features as features_lib

Curve = Callable[[np.ndarray, np.ndarray], np.ndarray]  # Of frames, [b, t].
_LABELS = {'psnr': 'PSNR (dB)'}
_SPREAD = 'diversity'
_COPIED = '.copied'  # End of keys: the same of the last known frame.


class Curves:
  """Metrics of frames, by name.

  Attributes:
    every: {name: function}.
    lower: Names of those of which less is better.
    protocol: Of all.
  """

  def __init__(
    self, every: Mapping[str, Curve], lower: Sequence[str] = (), **protocol: Any
  ):
    self.every = every
    self.lower = lower
    self.protocol = protocol


def of_pixels(clip_shape: ClipShape) -> Curves:
  """Returns PSNR, and SSIM by the largest window that fits into frames."""
  names = ['psnr']
  side = min(clip_shape[1:3])
  if side >= 7:
    names.append(f'ssim-{"gaussian11" if side >= 11 else "uniform7"}-rgb')
  return Curves(
    {n: jax.jit(functools.partial(reconstruction.curve, n)) for n in names},
    psnr='mean of frames',
    code=base.code(reconstruction),
  )


def of_network(distance: features_lib.Distance) -> Curves:
  """Returns LPIPS, under the name of its protocol."""
  name = distance.protocol['name']
  return Curves({name: distance.measure}, (name,), **distance.protocol)


class OfPredictions(base.Probe):
  """Curves of predicted frames, `[b, n, f]` for n predictions of f frames."""

  def __init__(self, curves: Curves, context: int):
    self.name = '_'.join(['predicted', *curves.every])
    self.protocol = curves.protocol | {'context': context}
    self._curves = curves.every
    self._context = context

  def __call__(self, clips: base.Clips) -> base.Features:
    k = self._context
    video_bnthwc, truth_bthwc = clips['video'][:, :, k:], clips['truth'][:, k:]
    copied = baselines.copy_last(clips['truth'][:, :k], truth_bthwc.shape[1])
    found = {}
    for name, curve in self._curves.items():
      samples = np.moveaxis(video_bnthwc, 1, 0)
      found[name] = np.stack([curve(x, truth_bthwc) for x in samples], 1)
      found[name + _COPIED] = np.asarray(curve(copied, truth_bthwc))
    if video_bnthwc.shape[1] > 1:
      spread_b = reconstruction.diversity(np.moveaxis(video_bnthwc, 1, 0))
      found[_SPREAD] = np.asarray(spread_b)
    return found


class Prediction(base.Metric):
  """The best of N futures, frame by frame; see prediction.py."""

  def __init__(self, name: str, curves: Curves, context: int):
    """Takes `context` known frames; `name` is that of the metric."""
    self.name = name
    self.probe = OfPredictions(curves, context)
    self._curves = curves
    self._context = context

  def counts(self, num_clips: int) -> dict[str, int]:
    return {base.PREDICTED: num_clips}

  def conclude(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    found = dict(features[base.PREDICTED])
    findings = base.Findings()
    for name in self._curves.every:
      findings.add(self._of(name, found[name], found[name + _COPIED]))
    if _SPREAD in found:
      n = next(iter(found.values())).shape[1]
      findings.values[f'diversity_of_{n}'] = base.mean(
        found[_SPREAD],
        note='Mean squared difference of two predictions; of pixels in [0, 1].',
        protocol=self.probe.protocol,
      )
    return findings

  def _of(
    self, name: str, value_bnf: np.ndarray, copied_bf: np.ndarray
  ) -> base.Findings:
    b, n, f = value_bnf.shape
    sign = -1 if name in self._curves.lower else 1
    value_nbf = sign * np.moveaxis(value_bnf, 1, 0)
    numbers, curves = prediction.summary(value_nbf[:, None])
    each = value_nbf.mean(2)
    spreads = {'best': each.max(0), 'mean_of_1': each.mean(0)}
    label = lambda key: key.replace('best', f'best_of_{n}')
    findings, about = (
      base.Findings(),
      {
        'better': 'lower' if sign < 0 else 'higher',
        'unit': 'dB' if name == 'psnr' else '',
        'note': f'Copying the last known frame gives {copied_bf.mean():.4g}.',
        'protocol': {
          **self.probe.protocol,
          'num_samples': n,
          'frames': f,
          'num_clips': b,
        },
      },
    )
    for key, number in numbers.items():
      if key in spreads:
        value = base.mean(sign * spreads[key], **about)
      else:
        value = results.Value(sign * float(number), **about)
      findings.values[f'{name}_{label(key)}'] = value
    series = {label(key): sign * curve_f for key, curve_f in curves.items()}
    series['copy of the last frame'] = copied_bf.mean(0)
    first = self._context + 1  # Frames are counted from 1.
    findings.curves[f'{name} of predictions'] = results.Curve(
      'frame', _LABELS.get(name, name), [*range(first, first + f)], series
    )
    return findings


class OfRebuilt(base.Probe):
  """Curves of frames, `[b, t]`, and how often each code is used."""

  def __init__(self, curves: Curves, num_codes: int = 0):
    self.name = '_'.join(['rebuilt', *curves.every])
    self.protocol = curves.protocol | {'num_codes': num_codes}
    self._curves = curves.every
    self._num_codes = num_codes

  def __call__(self, clips: base.Clips) -> base.Features:
    found = {
      name: np.asarray(curve(clips['video'], clips['truth']))
      for name, curve in self._curves.items()
    }
    if self._num_codes:
      counts = [
        np.bincount(codes.ravel(), minlength=self._num_codes)
        for codes in clips['codes']
      ]
      found['codes'] = np.stack(counts).astype(np.int32)
    return found


class Reconstruction(base.Metric):
  """How near an autoencoder brings clips back, and how it uses its codes."""

  def __init__(self, name: str, curves: Curves, num_codes: int = 0):
    """`num_codes` is the size of the codebook, 0 if there is none."""
    self.name = name
    self.probe = OfRebuilt(curves, num_codes)
    self._curves = curves

  def counts(self, num_clips: int) -> dict[str, int]:
    return {base.RECONSTRUCTED: num_clips}

  def conclude(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    found, findings = features[base.RECONSTRUCTED], base.Findings()
    for name in self._curves.every:
      value_bt = found[name]
      findings.values[f'reconstruction_{name}'] = base.mean(
        value_bt.mean(1),
        better='lower' if name in self._curves.lower else 'higher',
        unit='dB' if name == 'psnr' else '',
        protocol=self.probe.protocol | {'num_clips': len(value_bt)},
      )
      findings.curves[f'{name} of reconstructions'] = results.Curve(
        'frame',
        _LABELS.get(name, name),
        [*range(1, value_bt.shape[1] + 1)],
        {'mean': value_bt.mean(0)},
      )
    if 'codes' in found:
      findings.values |= _usage(found['codes'], self.probe.protocol)
    return findings


def _usage(
  count_bk: np.ndarray, protocol: Mapping[str, Any]
) -> dict[str, results.Value]:
  """Returns the share of codes that occur, and their perplexity."""
  count_k = count_bk.sum(0, dtype=np.int64)
  share_k = count_k[count_k > 0] / count_k.sum()
  about = {
    'better': 'higher',
    'protocol': {**protocol, 'num_drawn': int(count_k.sum())},
  }
  return {
    'codebook_usage': results.Value(float((count_k > 0).mean()), **about),
    'codebook_perplexity': results.Value(
      float(np.exp(-(share_k * np.log(share_k)).sum())), unit='codes', **about
    ),
  }


class Rebuilt(base.Metric):
  """Another metric, of reconstructions: 'rfvd' is 'fvd' of those."""

  def __init__(self, inner: base.Metric):
    self.name = f'r{inner.name}'
    self.probe = inner.probe
    self._inner = inner

  def counts(self, num_clips: int) -> dict[str, int]:
    counts = self._inner.counts(num_clips)
    return {_made_by(place): count for place, count in counts.items()}

  def conclude(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    places = {_made_by(place): place for place in self._inner.counts(1)}
    found = self._inner.conclude(
      {places[place]: x for place, x in features.items()}, rng
    )
    told = lambda x: {f'{name}, rebuilt': part for name, part in x.items()}
    values = {f'r{name}': value for name, value in found.values.items()}
    return base.Findings(values, told(found.curves), told(found.groups))


def _made_by(place: str) -> str:
  return base.RECONSTRUCTED if place == base.GENERATED else place
