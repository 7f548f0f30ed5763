"""How well futures are predicted from a past: the protocol, and its numbers.

Of a clip, the first frames are known, and a model draws the rest N times. The
best of N counts, since nobody can know which future comes; chosen clip by clip
and metric by metric, as in Denton and Fergus, "Stochastic Video Generation with
a Learned Prior", 2018, https://arxiv.org/abs/1802.07687. It grows with N, so N
is part of each name: `psnr_best_of_20`. By itself it can be gamed:

* A blurry mean of all futures wins by `psnr_mean_of_1`: see the best of N,
  above all `_worst_decile`, and `diversity`, which it has none of.
* A model with one favourite future does well where that comes true, and only
  there: `_worst_decile` again.
* A model that peeps at the future, as one that samples its posterior does: see
  `_leak_z`, where another future of the same past can be had.
"""

from collections.abc import Callable, Iterable, Mapping
import functools
from typing import NamedTuple

import jax
import numpy as np

from vgen_jax.core import shapes
from vgen_jax.evaluation.scores import reconstruction

# (samples, truth) -> a number for each frame, `[b, t]`; the lower the nearer.
Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]
METRICS = ('psnr', 'ssim-gaussian11-rgb')


class Report(NamedTuple):
  """What predictions are worth.

  Attributes:
    numbers: {name: number}. Of each metric, for N of 20 say: `_best_of_20`,
      `_best_of_20_worst_decile`, `_mean_of_1`; and with another future of the
      same past, `_leak` and `_leak_z`. And `diversity_of_20`.
    curves: {name: one number for each predicted frame}: `_best_of_20`, of the
      samples that are best as a whole, and `_mean_of_1`.
    protocol: What numbers must agree on to be compared.
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
  **kwargs,
) -> Report:
  """Returns what a model's predictions are worth.

  Args:
    predict: (known frames, number of the sample) -> the frames that follow. It
      is called for one sample of each clip at a time; each must be drawn anew.
    clip_bthwc: True clips, of which the first frames are shown to the model.
    context: Number of frames to show.
    num_samples: N.
    **kwargs: As in `compare`, but for `context`.

  Raises:
    ValueError: If nothing is known, or nothing is left to predict.
  """
  (t,) = shapes.sizes('t', clip_bthwc=clip_bthwc)
  if not 1 <= context < t:
    raise ValueError(
      f'context is {context}; of {t} frames, it must be from 1 to {t - 1}.'
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
  """Returns what samples of futures are worth; known frames are left out.

  Args:
    samples: `[b, n, t, h, w, c]`; or n arrays `[b, t, h, w, c]`, one at a time.
    truth_bthwc: What came.
    value_range: As in `reconstruction.unit`, of all clips.
    metrics: Among `reconstruction.CURVES`. PSNR is that of frames, averaged.
    distances: More metrics, such as LPIPS, by a name that says which.
    other_bthwc: Another future of the same pasts, drawn as the truth was, if
      the source can tell it. Who knows no more than the past is as near to one
      as to the other, whatever else it does.
    context: Number of frames that were shown, for the protocol.

  Raises:
    ValueError: If shapes differ, there is no sample, or a metric is unknown.
  """
  if isinstance(samples, np.ndarray | jax.Array):
    shapes.sizes('', samples_bnthwc=samples)
    samples = np.moveaxis(np.asarray(samples), 1, 0)
  curves = {
    **{name: _metric(name, value_range) for name in metrics},
    **(distances or {}),
  }
  spread = _Spread()
  values = {name: [] for name in curves}
  for sample_bthwc in samples:
    for name, curve in curves.items():
      pair = [
        np.asarray(curve(sample_bthwc, future))
        for future in (truth_bthwc, other_bthwc)
        if future is not None
      ]
      values[name].append(np.stack(pair))
    spread.add(np.asarray(reconstruction.unit(sample_bthwc, value_range)))
  n = spread.count
  if not n:
    raise ValueError('There are no samples; draw 1 or more for each clip.')
  numbers, horizons = {}, {}
  for name, value_nfbt in values.items():  # f: the truth, another future.
    sign = -1 if name in (distances or {}) else 1
    more, curve = summary(sign * np.stack(value_nfbt))
    for key, number in more.items():
      key = key.replace('best', f'best_of_{n}')
      unsigned = 'leak' in key  # Nearer to the truth is above 0 in any metric.
      numbers[f'{name}_{key}'] = float(number if unsigned else sign * number)
    for key, curve_t in curve.items():
      key = key.replace('best', f'best_of_{n}')
      horizons[f'{name}_{key}'] = sign * curve_t
  if n > 1:
    numbers[f'diversity_of_{n}'] = spread.mean()
  protocol = {
    'context': context,
    'frames': truth_bthwc.shape[1],
    'num_clips': len(truth_bthwc),
    'num_samples': n,
    'value_range': value_range or (0, 255),
  }
  return Report(numbers, horizons, protocol)


def summary(
  value_nfbt: np.ndarray,
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
  """Returns numbers and curves of one metric, of which more is better."""
  truth_nbt = value_nfbt[:, 0]
  truth_nb = truth_nbt.mean(2)
  best = reconstruction.best_of(truth_nb)
  chosen_b = truth_nb.argmax(0)
  numbers = {
    'best': best.best,
    'best_worst_decile': best.worst_decile,
    'mean_of_1': best.single,
  }
  if value_nfbt.shape[1] > 1:
    gain_b = (truth_nbt - value_nfbt[:, 1]).mean((0, 2))
    error = gain_b.std(ddof=1) / np.sqrt(len(gain_b)) if len(gain_b) > 1 else 0
    numbers['leak'] = gain_b.mean()
    # One clip tells nothing, and neither do clips that are all the same.
    numbers['leak_z'] = gain_b.mean() / error if error > 1e-9 else np.nan
  curves = {
    'best': truth_nbt[chosen_b, np.arange(len(chosen_b))].mean(0),
    'mean_of_1': truth_nbt.mean((0, 1)),
  }
  return numbers, curves


def _metric(name: str, value_range: reconstruction.Range | None) -> Distance:
  curve = functools.partial(reconstruction.curve, name, value_range=value_range)
  return jax.jit(curve)


class _Spread:
  """Mean squared difference of pairs of samples, seen one at a time.

  The same as `reconstruction.diversity`, without holding all samples; means and
  squares are updated as Welford does, for small differences of large numbers.
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
