"""Ranks predictors of clips with two futures by several scores.

  python -m experiments.zoo.prediction.prediction_ranking \
    --runs svg=runs/svg savp=runs/savp convlstm=runs/convlstm

Each run predicts the frames after the fork of clips of the split 'validation',
20 times. In addition to the runs there are two references. 'both futures'
samples the dataset: the past, continued by a future at random. No model can be
better. 'mean of both futures' is the mean of its two futures, which is what a
minimum of the squared error converges to; it is never a possible clip. A score
is misleading if it prefers the mean. The scores are

* mean PSNR: the PSNR of each frame, averaged over frames, predictions and
  clips; that of an exact frame is limited to 40 dB;
* of the mean error: the PSNR of the squared error, averaged over predictions;
* best of 20, and its mean over the tenth of the clips that is worst;
* the fractions of predictions that show the left future, or neither, and their
  distance to the true ones (total variation).
"""

import argparse
from collections.abc import Callable, Sequence

import numpy as np

from experiments.zoo.prediction import futures_criteria
from experiments.zoo.prediction import stochastic_prediction
from vgen_jax.core import checks
from vgen_jax.evaluation.metrics import baselines
from vgen_jax.inference import runs
from vgen_jax.synthetic.two_futures import source as futures_source
from vgen_jax.synthetic.two_futures import verifier

NUM_SAMPLES = stochastic_prediction.NUM_SAMPLES
_MAX_PSNR = 40.0
# Whether a higher score is better, and its format.
SCORES = {
  'mean PSNR': (True, '.1f'),
  'of the mean error': (True, '.1f'),
  'best of 20': (True, '.1f'),
  'worst tenth': (True, '.1f'),
  'total variation': (False, '.2f'),
}


def scores(
  world: futures_source.TwoFutures,
  index_b: np.ndarray,
  sample_bnthwc: np.ndarray,
) -> dict[str, float]:
  """Returns {score: number}, and the fractions of the futures.

  The arguments are those of `futures_criteria.numbers`.
  """
  fork = world.fork
  truth_bthwc = np.stack([world[int(i)]['video'] for i in index_b])
  error_bnthwc = (
    sample_bnthwc[:, :, fork:].astype(np.float32)
    - truth_bthwc[:, None, fork:].astype(np.float32)
  ) / 255
  square_bnt = np.square(error_bnthwc).mean((3, 4, 5))
  psnr_bn = _psnr(square_bnt).mean(2)
  best_b = psnr_bn.max(1)
  worst_b = np.sort(best_b)[: max(len(best_b) // 10, 1)]
  branch_bn = verifier.compute_features(world, index_b, sample_bnthwc)
  futures = verifier.summarize(world, index_b, branch_bn)
  return {
    'mean PSNR': float(psnr_bn.mean()),
    'of the mean error': float(_psnr(square_bnt.mean())),
    'best of 20': float(best_b.mean()),
    'worst tenth': float(worst_b.mean()),
    'total variation': futures['total_variation'],
    'left': futures['fraction_left'],
    'neither': futures['fraction_ambiguous'],
  }


def references(
  world: futures_source.TwoFutures, index_b: np.ndarray
) -> dict[str, np.ndarray]:
  """Returns predictions that need no training, `[b, 20, t, h, w, c]`."""
  n, fork = NUM_SAMPLES, world.fork
  future_bkthwc = np.stack(
    [[world.future(int(i), k) for k in (0, 1)] for i in index_b]
  )
  chosen_bn = np.random.default_rng(0).integers(0, 2, (len(index_b), n))
  known_bthwc = future_bkthwc[:, 0, :fork]
  num_unknown = world.clip_shape[0] - fork
  after = lambda rest_bthwc: np.repeat(
    np.concatenate([known_bthwc, _to_uint8(rest_bthwc)], 1)[:, None], n, axis=1
  )
  linear = baselines.linear(known_bthwc, num_unknown, num_states=fork - 2)
  return {
    'both futures': future_bkthwc[np.arange(len(index_b))[:, None], chosen_bn],
    'mean of both futures': after(future_bkthwc.mean(1)[:, fork:]),
    'last known frame': after(baselines.copy_last(known_bthwc, num_unknown)),
    'dynamic texture': after(linear),
  }


def fooled(found: dict[str, dict[str, float]]) -> list[str]:
  """Returns the scores that prefer the mean of both futures to samples of them.

  Args:
    found: Scores of all predictors, with those of `references`.
  """
  right, mean = found['both futures'], found['mean of both futures']
  return [
    name
    for name, (is_higher, _) in SCORES.items()
    if (mean[name] > right[name] if is_higher else mean[name] < right[name])
  ]


def named(texts: Sequence[str]) -> dict[str, str]:
  """Returns {name: workdir}.

  Args:
    texts: Values of --runs, 'NAME=WORKDIR' each.

  Raises:
    ValueError: If a text has another form, or two have the same name.
  """
  found = {}
  for text in texts:
    name, _, workdir = text.partition('=')
    if not (name and workdir):
      raise ValueError(
        f'--runs has {text!r}; it must have the form NAME=WORKDIR: write for'
        ' example svg=runs/svg.'
      )
    if name in found:
      raise ValueError(
        f'--runs has the name {name!r} twice; each run must have its own name:'
        ' rename one of them.'
      )
    found[name] = workdir
  return found


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument(
    '--runs',
    required=True,
    nargs='+',
    metavar='NAME=WORKDIR',
    help='Names of runs in the table, and their workdirs.',
  )
  parser.add_argument('--num', type=int, default=128, help='Number of clips.')
  args = parser.parse_args()
  checks.at_least('--num', args.num, 1)
  loaded = {}
  for name, workdir in named(args.runs).items():
    loaded[name] = runs.load(workdir)
  first = next(iter(loaded.values()))
  world = futures_criteria.dataset(first)
  index_b = np.arange(args.num)
  rows: dict[str, Callable[[], np.ndarray]] = {
    name: lambda clips=clips: clips
    for name, clips in references(world, index_b).items()
  }
  for name, run in loaded.items():
    rows[name] = lambda run=run: stochastic_prediction.predict(
      run, run.model, index_b, world
    )
  found = {name: scores(world, index_b, make()) for name, make in rows.items()}
  columns = [*SCORES, 'left', 'neither']
  print(f'| predictions | {" | ".join(columns)} |')
  print('|' + '---|' * (len(columns) + 1))
  for name, values in found.items():
    cells = [
      format(values[x], SCORES.get(x, (True, '.2f'))[1]) for x in columns
    ]
    print(f'| {name} | {" | ".join(cells)} |')
  print('Scores that prefer the mean:', ', '.join(fooled(found)) or 'none')


def _psnr(square: np.ndarray) -> np.ndarray:
  """Returns PSNRs in dB of squared errors of pixels in [0, 1]."""
  return -10 * np.log10(np.maximum(square, 10 ** (-_MAX_PSNR / 10)))


def _to_uint8(level: np.ndarray) -> np.ndarray:
  """Returns levels, from 0 to 255, as uint8."""
  return np.clip(np.rint(level), 0, 255).astype(np.uint8)


if __name__ == '__main__':
  main()
