"""Quality of predicted futures: the protocol and its numbers.

The first frames of a clip are known, and a model generates the rest N times.
The best of the N samples counts, because the future is uncertain; it is chosen
for each clip and each metric, as in Denton and Fergus, "Stochastic Video
Generation with a Learned Prior", 2018, https://arxiv.org/abs/1802.07687. The
score improves with N, so N is part of its name: `psnr_best_of_20`. A single
number of these can mislead:

* A blurry mean of all futures has the best `psnr_sample_mean`. Compare the best
  of N, above all its `_worst_decile`, and `diversity`, which is 0 for such a
  mean.
* A model that always generates the same future is good only where that future
  is the true one; this, too, lowers `_worst_decile`.
* A model that has access to the future, such as one that samples its posterior,
  has a large `_leak_z`, which is computed if another future of the same past is
  available.
"""

from collections.abc import Callable, Iterable, Mapping
import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from vgen_jax.core import shapes
from vgen_jax.evaluation.scores import reconstruction

# (samples, truth) -> a number per frame, `[b, t]`; the lower, the better.
Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]
METRICS = ('psnr', 'ssim-gaussian11-rgb')


class Report(NamedTuple):
  """Scores of predictions.

  Attributes:
    numbers: {name: number}. With 20 samples, the names for the metric `psnr`
      are `psnr_best_of_20`, `psnr_best_of_20_worst_decile` and
      `psnr_sample_mean`. With another future of the same past there are also
      `psnr_leak`, by how much the metric is better against the truth than
      against the other future, and `psnr_leak_z`, the same in standard errors.
      With 2 samples or more there is `diversity_of_20`.
    curves: {name: one number per predicted frame}. `psnr_best_of_20` is that of
      the samples that are best as a whole; `psnr_sample_mean` is the mean over
      samples.
    protocol: Settings that must be equal for numbers to be comparable.
  """

  numbers: dict[str, float]
  curves: dict[str, np.ndarray]
  protocol: dict[str, object]


def evaluate(
  predict: Callable[[np.ndarray, int], np.ndarray],
  clip_bthwc: np.ndarray,
  *,
  context: int,
  num_samples: int = 20,
  **kwargs: Any,
) -> Report:
  """Returns the scores of a model's predictions.

  Args:
    predict: Function (known frames, index of the sample) -> frames that follow.
      Each call returns one new sample for each clip.
    clip_bthwc: True clips. The model gets the first frames.
    context: Number of known frames.
    num_samples: Number of samples for each clip, N.
    **kwargs: Arguments of `compare` other than `context`.

  Raises:
    ValueError: If no frame is known, or all frames are.
  """
  (t,) = shapes.sizes('t', clip_bthwc=clip_bthwc)
  if not 1 <= context < t:
    raise ValueError(
      f'context is {context}; for clips of {t} frames it must be from 1 to'
      f' {t - 1}.'
    )
  known_bthwc, truth_bthwc = clip_bthwc[:, :context], clip_bthwc[:, context:]
  samples = (predict(known_bthwc, i) for i in range(num_samples))
  return compare(samples, truth_bthwc, context=context, **kwargs)


def compare(
  samples: np.ndarray | Iterable[np.ndarray],
  truth_bthwc: np.ndarray,
  *,
  value_range: reconstruction.Range | None = None,
  metrics: tuple[str, ...] = METRICS,
  distances: Mapping[str, Distance] | None = None,
  other_bthwc: np.ndarray | None = None,
  context: int | None = None,
) -> Report:
  """Returns the scores of samples of futures, without the known frames.

  Args:
    samples: `[b, n, t, h, w, c]`; or n arrays `[b, t, h, w, c]`, one at a time.
    truth_bthwc: True futures.
    value_range: Range of all clips, as in `reconstruction.unit`.
    metrics: Names in `reconstruction.FRAME_METRICS`. PSNR is averaged over
      frames.
    distances: More metrics, such as LPIPS, by name.
    other_bthwc: Another future of the same pasts, sampled as the truth was, if
      the dataset can generate it. A model that knows only the past is on
      average as close to one as to the other.
    context: Number of known frames, for the protocol.

  Raises:
    ValueError: If shapes differ, there is no sample, or a metric is unknown.
  """
  if isinstance(samples, np.ndarray | jax.Array):
    shapes.sizes('', samples_bnthwc=samples)
    samples = np.moveaxis(np.asarray(samples), 1, 0)
  functions = {
    **{name: _metric(name, value_range) for name in metrics},
    **(distances or {}),
  }
  diversity = _Diversity()
  values = {name: [] for name in functions}
  for sample_bthwc in samples:
    for name, function in functions.items():
      pair = [
        np.asarray(function(sample_bthwc, future))
        for future in (truth_bthwc, other_bthwc)
        if future is not None
      ]
      values[name].append(np.stack(pair))
    diversity.add(np.asarray(reconstruction.unit(sample_bthwc, value_range)))
  n = diversity.count
  if not n:
    raise ValueError('There are no samples; give 1 or more for each clip.')
  numbers, curves = {}, {}
  for name, value_nfbt in values.items():  # f: the truth, another future.
    sign = -1 if name in (distances or {}) else 1
    more, curve = summary(sign * np.stack(value_nfbt))
    for key, number in more.items():
      key = key.replace('best', f'best_of_{n}')
      unsigned = 'leak' in key  # Positive if the truth is closer.
      numbers[f'{name}_{key}'] = float(number if unsigned else sign * number)
    for key, curve_t in curve.items():
      key = key.replace('best', f'best_of_{n}')
      curves[f'{name}_{key}'] = sign * curve_t
  if n > 1:
    numbers[f'diversity_of_{n}'] = diversity.mean()
  protocol = {
    'context': context,
    'frames': truth_bthwc.shape[1],
    'num_clips': len(truth_bthwc),
    'num_samples': n,
    'value_range': value_range or (0, 255),
  }
  return Report(numbers, curves, protocol)


def summary(
  value_nfbt: np.ndarray,
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
  """Returns the numbers and the curves of one metric.

  Args:
    value_nfbt: Values of n samples against f futures (the truth first, then
      another one if there is one), where higher is better.
  """
  truth_nbt = value_nfbt[:, 0]
  truth_nb = truth_nbt.mean(2)
  best = reconstruction.best_of(truth_nb)
  chosen_b = truth_nb.argmax(0)
  numbers = {
    'best': best.best,
    'best_worst_decile': best.worst_decile,
    'sample_mean': best.sample_mean,
  }
  if value_nfbt.shape[1] > 1:
    gain_b = (truth_nbt - value_nfbt[:, 1]).mean((0, 2))
    error = gain_b.std(ddof=1) / np.sqrt(len(gain_b)) if len(gain_b) > 1 else 0
    numbers['leak'] = gain_b.mean()
    # Undefined for one clip, and for clips that are all equal.
    numbers['leak_z'] = gain_b.mean() / error if error > 1e-9 else np.nan
  curves = {
    'best': truth_nbt[chosen_b, np.arange(len(chosen_b))].mean(0),
    'sample_mean': truth_nbt.mean((0, 1)),
  }
  return numbers, curves


def _metric(name: str, value_range: reconstruction.Range | None) -> Distance:
  return jax.jit(
    functools.partial(
      reconstruction.frame_metric, name, value_range=value_range
    )
  )


class _Diversity:
  """Mean squared difference of pairs of samples, given one at a time.

  It equals `reconstruction.diversity` without holding all samples. Means and
  sums of squares are updated by Welford's method, which keeps the precision of
  small differences of large numbers.
  """

  def __init__(self):
    self.count = 0
    self._mean = self._squares = 0.0

  def add(self, sample_bthwc: np.ndarray) -> None:
    self.count += 1
    gap_bthwc = sample_bthwc - self._mean
    self._mean = self._mean + gap_bthwc / self.count
    self._squares += float((gap_bthwc * (sample_bthwc - self._mean)).mean())

  def mean(self) -> float:
    return 2 * self._squares / (self.count - 1)
