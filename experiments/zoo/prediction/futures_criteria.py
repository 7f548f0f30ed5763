"""Criteria for predictions of two futures, and predictions that must fail.

`stochastic_prediction.py` states the criteria.
"""

from typing import NamedTuple

import numpy as np

from vgen_jax.evaluation.metrics import baselines
from vgen_jax.evaluation.scores import prediction
from vgen_jax.inference import runs
from vgen_jax.synthetic.two_futures import source as futures_source
from vgen_jax.synthetic.two_futures import verifier


class Latents(NamedTuple):
  """Information in the latents of each frame except the first.

  All values are means over clips.

  Attributes:
    kl_t: Divergence of the posterior from the prior, in nats.
    standard_kl_t: Divergence of the posterior from N(0, 1), in nats.
    deviation_t: Standard deviation of the prior.
  """

  kl_t: np.ndarray
  standard_kl_t: np.ndarray
  deviation_t: np.ndarray


def dataset(run: runs.Run) -> futures_source.TwoFutures:
  """Returns the clips of the split 'validation', as the model of a run needs.

  Its known frames are those before the fork.

  Args:
    run: Run of a model that predicts clips with two futures.

  Raises:
    ValueError: If the run has other clips, or its model no known frames.
  """
  fork = getattr(run.model, 'num_context', 0)
  if not (isinstance(run.source, futures_source.TwoFutures) and fork):
    raise ValueError(
      f'{run.workdir} is a run of {type(run.model).__name__} with clips of'
      f' {type(run.source).__name__}; this experiment needs a model that'
      ' predicts clips of TwoFutures: train a config such as'
      ' configs/svg_two_futures.py.'
    )
  return futures_source.TwoFutures(
    run.schema.clip_shape, 'validation', fork=fork
  )


def numbers(
  world: futures_source.TwoFutures,
  index_b: np.ndarray,
  sample_bnthwc: np.ndarray,
) -> dict[str, float]:
  """Returns measurements of predictions, {name: value}.

  'best', 'worst' and 'mean' are PSNR in dB: the best of n predictions, the same
  in the tenth of the clips where it is worst, and that of the mean squared
  error of all predictions. 'left' and 'ambiguous' are fractions of predictions.

  Args:
    world: Dataset of the clips.
    index_b: Indices of the clips.
    sample_bnthwc: n predictions of each clip, uint8, with the known frames.
  """
  truth_bthwc = np.stack([world[int(i)]['video'] for i in index_b])
  found = prediction.compare(
    sample_bnthwc[:, :, world.fork :],
    truth_bthwc[:, world.fork :],
    metrics=('psnr',),
  ).numbers
  n = sample_bnthwc.shape[1]
  error_bnthwc = (
    sample_bnthwc[:, :, world.fork :] / 255.0
    - truth_bthwc[:, None, world.fork :] / 255.0
  )
  branch_bn = verifier.compute_features(world, index_b, sample_bnthwc)
  futures = verifier.summarize(world, index_b, branch_bn)
  true_b = np.array([world.branch(int(i)) for i in index_b])
  return {
    'best': found[f'psnr_best_of_{n}'],
    'worst': found[f'psnr_best_of_{n}_worst_decile'],
    'mean': -10 * np.log10(np.square(error_bnthwc).mean()),
    'diversity': found[f'diversity_of_{n}'],
    'left': futures['fraction_left'],
    'ambiguous': futures['fraction_ambiguous'],
    'correlation': correlation(branch_bn, true_b),
  }


def correlation(branch_bn: np.ndarray, true_b: np.ndarray) -> float:
  """Returns the correlation of shown and true futures; 0 if one is constant.

  Args:
    branch_bn: Future that each prediction shows; predictions that are
      `verifier.AMBIGUOUS` are left out.
    true_b: True futures.
  """
  true_bn = np.broadcast_to(true_b[:, None], branch_bn.shape)
  clear_bn = branch_bn != verifier.AMBIGUOUS
  shown, true = branch_bn[clear_bn], true_bn[clear_bn]
  if not len(shown) or shown.std() == 0 or true.std() == 0:
    return 0.0
  return float(np.corrcoef(shown, true)[0, 1])


def failures(
  found: dict[str, float],
  swapped: dict[str, float],
  latents: Latents | None,
  fork: int,
) -> list[str]:
  """Returns the names of the criteria that predictions do not meet.

  Args:
    found: Measurements of the predictions.
    swapped: Measurements with latents from N(0, 1) instead of the prior.
    latents: Information in the latents of the model; None if it has none.
    fork: First frame in which the futures differ.
  """
  passes = {
    'worst tenth': found['worst'] >= 30,
    'left': abs(found['left'] - 0.5) <= 0.15,
    'neither': found['ambiguous'] <= 0.1,
    'correlation': abs(found['correlation']) <= 0.2,
    'prior': found['worst'] - swapped['worst'] >= 5,
    'divergence': False,
  }
  if latents is not None:
    branch, others = latents.kl_t[fork - 1], np.delete(latents.kl_t, fork - 1)
    passes['divergence'] = bool(
      branch >= max(0.6, 10 * others.mean())
      and latents.deviation_t.argmax() == fork - 1
    )
  return [name for name, is_met in passes.items() if not is_met]


def cheats(sample_bnthwc: np.ndarray, fork: int) -> dict[str, np.ndarray]:
  """Returns predictions that must fail, made from those of a model."""
  n = sample_bnthwc.shape[1]
  same = lambda video_bthwc: np.repeat(video_bthwc[:, None], n, axis=1)
  known_bthwc, num_frames = sample_bnthwc[:, 0, :fork], sample_bnthwc.shape[2]
  after = lambda rest: same(
    np.concatenate([known_bthwc, _to_uint8(rest)], axis=1)
  )
  num_unknown = num_frames - fork
  linear = baselines.linear(known_bthwc, num_unknown, num_states=fork - 2)
  return {
    'last known frame': after(baselines.copy_last(known_bthwc, num_unknown)),
    'dynamic texture': after(linear),
    'mean of the predictions': same(_to_uint8(sample_bnthwc.mean(1))),
    'first prediction, 20 times': same(sample_bnthwc[:, 0]),
  }


def _to_uint8(level: np.ndarray) -> np.ndarray:
  """Returns levels, from 0 to 255, as uint8."""
  return np.clip(np.rint(level), 0, 255).astype(np.uint8)
