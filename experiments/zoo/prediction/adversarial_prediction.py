"""Checks that a trained SAVP predicts both futures of clips, and sharply.

  python -m experiments.zoo.prediction.adversarial_prediction \
      --workdir=runs/savp

The clips and the predictions are those of `stochastic_prediction.py`. The prior
of SAVP is N(0, 1), so its criteria are others. The model passes if

* the PSNR of the best of 20 predictions, averaged over the tenth of the clips
  that is worst, is at least 28 dB;
* the fraction of predictions to the left is within 0.15 of 0.5, and at most 0.1
  show neither future;
* the correlation of the predicted with the true future, which no model can
  know, is at most 0.2;
* with latents of the posterior, which depend on the true future, it is at least
  0.8: so the choice comes from the latents;
* the contrast of the frame in which the futures diverge, the saturation of its
  most saturated pixel relative to real clips, is within 15 % of 1: the mean of
  both futures has 0.76.

The same numbers are printed for predictions that must fail and, with --others,
for other runs, such as --config.model.variant=vae or gan. --picture writes some
of the clips.
"""

from collections.abc import Callable

import numpy as np

from experiments.zoo import arguments
from experiments.zoo.prediction import futures_criteria
from experiments.zoo.prediction import stochastic_prediction
from vgen_jax.inference import runs
from vgen_jax.synthetic import saturation
from vgen_jax.synthetic.two_futures import source as futures_source
from vgen_jax.synthetic.two_futures import verifier

HEADER = (
  '| predictions | best of 20, dB | worst tenth, dB | of the mean error, dB |'
  ' left | neither | correlation | of the posterior | contrast | fails |\n'
  '|---|---|---|---|---|---|---|---|---|---|'
)


def contrast(
  world: futures_source.TwoFutures,
  index_b: np.ndarray,
  sample_bnthwc: np.ndarray,
) -> float:
  """Returns the contrast of frame `world.fork`, relative to real clips.

  The arguments are those of `futures_criteria.numbers`.
  """
  real_bthwc = np.stack([world[int(i)]['video'] for i in index_b])
  peak = lambda video_bthwc: (
    saturation.saturation(video_bthwc)[:, world.fork].max((1, 2)).mean()
  )
  clips = sample_bnthwc.reshape(-1, *sample_bnthwc.shape[2:])
  return float(peak(clips) / peak(real_bthwc))


def numbers(
  world: futures_source.TwoFutures,
  index_b: np.ndarray,
  sample_bnthwc: np.ndarray,
  posterior_bnthwc: np.ndarray,
) -> dict[str, float]:
  """Returns the numbers of `futures_criteria.numbers` and two others.

  They are 'posterior', the correlation of predicted and true branches with
  latents of the posterior, and 'contrast', that of `contrast`.

  Args:
    world: Dataset of the clips.
    index_b: Indices of the clips.
    sample_bnthwc: n predictions of each, uint8, with the known frames.
    posterior_bnthwc: Predictions with latents of the posterior.
  """
  branch_bn = verifier.compute_features(world, index_b, posterior_bnthwc)
  true_b = np.array([world.branch(int(i)) for i in index_b])
  return futures_criteria.numbers(world, index_b, sample_bnthwc) | {
    'posterior': futures_criteria.correlation(branch_bn, true_b),
    'contrast': contrast(world, index_b, sample_bnthwc),
  }


def failures(found: dict[str, float]) -> list[str]:
  """Returns the names of the criteria that predictions do not meet."""
  passes = {
    'worst tenth': found['worst'] >= 28,
    'left': abs(found['left'] - 0.5) <= 0.15,
    'neither': found['ambiguous'] <= 0.1,
    'correlation': abs(found['correlation']) <= 0.2,
    'posterior': found['posterior'] >= 0.8,
    'contrast': abs(found['contrast'] - 1) <= 0.15,
  }
  return [name for name, is_met in passes.items() if not is_met]


def one_sided(
  world: futures_source.TwoFutures,
  index_b: np.ndarray,
  sample_bnthwc: np.ndarray,
) -> np.ndarray:
  """Returns predictions of which all that can be go to the left.

  Each prediction to the right is replaced with one to the left of the same
  clip, as if the model ignored its latents.

  Args:
    world: Dataset of the clips.
    index_b: Indices of the clips.
    sample_bnthwc: n predictions of each clip, uint8, with the known frames.
  """
  branch_bn = verifier.compute_features(world, index_b, sample_bnthwc)
  changed = sample_bnthwc.copy()
  for i, branch_n in enumerate(branch_bn):
    if (branch_n == 0).any():
      changed[i, branch_n != 0] = changed[i, (branch_n == 0).argmax()]
  return changed


def row(name: str, found: dict[str, float]) -> str:
  """Returns a row of the table."""
  cells = [f'{found[key]:.1f}' for key in ('best', 'worst', 'mean')]
  cells += [
    f'{found[key]:.2f}'
    for key in ('left', 'ambiguous', 'correlation', 'posterior', 'contrast')
  ]
  cells.append(', '.join(failures(found)) or 'nothing')
  return f'| {name} | {" | ".join(cells)} |'


def main() -> None:
  parser = arguments.parser(__doc__, num=128)
  parser.add_argument(
    '--others', nargs='*', default=[], help='Workdirs of other runs.'
  )
  parser.add_argument('--picture', default='', help='PNG file to write.')
  args = parser.parse_args()
  run = runs.load(args.workdir)
  world = futures_criteria.dataset(run)
  index_b = np.arange(args.num)
  samples, posterior = _predict_both(run, index_b, world)
  print(HEADER)
  rows: dict[str, Callable[[], np.ndarray]] = {
    'the model': lambda: samples,
    'posterior of the truth': lambda: posterior,
    'to the left': lambda: one_sided(world, index_b, samples),
    **{
      name: lambda clips=clips: clips
      for name, clips in futures_criteria.cheats(samples, world.fork).items()
    },
  }
  for name, make in rows.items():
    print(row(name, numbers(world, index_b, make(), posterior)))
  ignored = numbers(world, index_b, samples, samples)
  print(row('posterior ignored', ignored))
  for workdir in args.others:
    found = numbers(
      world, index_b, *_predict_both(runs.load(workdir), index_b, world)
    )
    print(row(workdir, found))
  if args.picture:
    stochastic_prediction.picture(
      args.picture, world, index_b[:4], samples[:4, :3]
    )


def _predict_both(
  run: runs.Run, index_b: np.ndarray, world: futures_source.TwoFutures
) -> tuple[np.ndarray, np.ndarray]:
  """Returns predictions with latents of the prior and of the posterior."""
  cheat = stochastic_prediction.as_class(
    stochastic_prediction.PosteriorAtTest, run.model
  )
  return tuple(
    stochastic_prediction.predict(run, model, index_b, world)
    for model in (run.model, cheat)
  )


if __name__ == '__main__':
  main()
