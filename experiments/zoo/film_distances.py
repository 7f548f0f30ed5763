"""Measures how far clips of a model of a few videos are from the videos.

  python -m experiments.zoo.film_distances --workdir=runs/films

FVD needs a pretrained network and thousands of clips. This script computes
Frechet distances in three small spaces instead, for models that were trained on
a few videos. The features of a clip are averages over cells of 4 x 4 pixels:

* `appearance`: of the mean of all frames;
* `motion`: of the absolute changes from each frame to the next;
* `detail`: of the absolute difference to the same frames, blurred.

Each is projected to the first 8 principal components of real clips, scaled so
that their total variance is 1. Real clips are random clips of the training
data, so the distances measure how well the videos are reproduced, and not
generalization. `floor` is the distance of two sets of real clips. For
comparison, distances are printed of clips that must be worse: real clips whose
first frame is repeated, whose frames are in random order, that are blurred, or
that are all the same.
"""

from collections.abc import Mapping
import itertools

import einops
import numpy as np
from scipy import ndimage

from experiments.zoo import arguments
from vgen_jax.core import pixels
from vgen_jax.evaluation.scores import frechet_finite
from vgen_jax.inference import runs

_CELL = 4  # Pixels.
_WIDTH = 8  # Number of principal components.
SPACES = ('appearance', 'motion', 'detail')


def main() -> None:
  args = arguments.parser(__doc__, num=64, least=2 * _WIDTH).parse_args()
  run = runs.load(args.workdir)
  real = [_random_clips(run.source, args.num, seed) for seed in (0, 1)]
  first = pixels.to_float(np.stack([clip['video'] for clip in real[0]]))
  second = pixels.to_float(np.stack([clip['video'] for clip in real[1]]))
  if 'label' in run.condition(1):
    parts = [
      run.sample(len(list(clips)), label=label)
      for label, clips in itertools.groupby(
        sorted(int(clip['label']) for clip in real[1])
      )
    ]
    generated = np.concatenate(parts)
  else:
    generated = run.sample(args.num)
  arms = {'generated': pixels.to_float(generated), 'floor': second}
  print(f'| {args.num} clips | {" | ".join(SPACES)} |')
  print('|' + '---|' * (1 + len(SPACES)))
  for name, video in {**arms, **cheats(second)}.items():
    found = distances(video, first)
    print(f'| {name} |', ' | '.join(f'{found[x]:.3f}' for x in SPACES), '|')


def distances(
  video_bthwc: np.ndarray, real_bthwc: np.ndarray
) -> dict[str, float]:
  """Returns Frechet distances to real clips, {space: distance}.

  Args:
    video_bthwc: Clips, float32 in [-1, 1].
    real_bthwc: Real clips of the same shape, float32 in [-1, 1], 16 or more.
  """
  mine, theirs = features(video_bthwc), features(real_bthwc)
  found = {}
  for name in SPACES:
    center_d = theirs[name].mean(0)
    _, scale_k, axes_kd = np.linalg.svd(
      theirs[name] - center_d, full_matrices=False
    )
    axes_kd = axes_kd[:_WIDTH] * np.sqrt(len(real_bthwc) - 1)
    axes_kd /= max(np.linalg.norm(scale_k[:_WIDTH]), 1e-6)
    a, b = ((x[name] - center_d) @ axes_kd.T for x in (mine, theirs))
    found[name] = frechet_finite.estimate(a, b).value
  return found


def features(video_bthwc: np.ndarray) -> dict[str, np.ndarray]:
  """Returns features of clips, {space: float [b, d]}.

  Args:
    video_bthwc: Clips, float32 in [-1, 1], with sides that are multiples of 4
      pixels.
  """
  change_bthwc = np.abs(np.diff(video_bthwc, axis=1))
  blurred_bthwc = _blurred(video_bthwc)
  detail_bthwc = np.abs(video_bthwc - blurred_bthwc).mean(1, keepdims=True)
  found = {
    'appearance': video_bthwc.mean(1, keepdims=True),
    'motion': change_bthwc,
    'detail': detail_bthwc,
  }
  return {
    name: einops.reduce(
      x,
      'b t (h y) (w x) c -> b (t h w c)',
      'mean',
      y=_CELL,
      x=_CELL,
    ).astype(np.float64)
    for name, x in found.items()
  }


def cheats(real_bthwc: np.ndarray) -> Mapping[str, np.ndarray]:
  """Returns clips that must be worse than real clips, {name: clips}.

  Args:
    real_bthwc: Real clips.
  """
  num_frames = real_bthwc.shape[1]
  rng = np.random.default_rng(0)
  order_bt = np.stack([rng.permutation(num_frames) for _ in real_bthwc])
  return {
    'first frame': np.repeat(real_bthwc[:, :1], num_frames, axis=1),
    'random order': np.take_along_axis(
      real_bthwc, order_bt[:, :, None, None, None], axis=1
    ),
    'blurred': _blurred(real_bthwc),
    'one clip': np.repeat(real_bthwc[:1], len(real_bthwc), axis=0),
  }


def _blurred(video_bthwc: np.ndarray) -> np.ndarray:
  """Returns clips whose frames are blurred by one pixel."""
  return ndimage.gaussian_filter(video_bthwc, (0, 0, 1, 1, 0))


def _random_clips(source, num_clips: int, seed: int) -> list[Mapping]:
  rng = np.random.default_rng(seed)
  return [source.random_view(i % len(source), rng) for i in range(num_clips)]


if __name__ == '__main__':
  main()
