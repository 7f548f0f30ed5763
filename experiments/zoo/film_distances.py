"""Measures how far clips of a model of a few videos are from the videos.

  python -m experiments.zoo.film_distances --workdir=runs/films

FVD needs a pretrained network and thousands of clips. This script computes
Frechet distances in four small spaces instead, for models that were trained on
a few videos. The features of a clip are averages over cells of 4 x 4 pixels:

* `appearance`: of the mean of all frames;
* `color`: of its channels minus their mean;
* `motion`: of the absolute changes from each frame to the next;
* `detail`: of the absolute difference to the same frames, blurred.

Each is projected to the first 8 principal components of real clips, scaled so
that their total variance is 1; deviations in other directions are not noticed.
The distance is NaN if all real clips are equal in a space, such as gray ones.
Real clips are random clips of the training data, so the distances measure how
well the videos are reproduced, and not generalization. `floor` is the distance
of two sets of real clips. For comparison, distances are printed of clips that
are wrong in one of the spaces or more: real clips whose first frame is
repeated, whose frames are in random order, that are blurred, noisy or mixed
with another clip, whose colour channels are exchanged, or that are all the
same.
"""

from collections import Counter
from collections.abc import Mapping

import einops
import numpy as np
from scipy import ndimage

from experiments.zoo import arguments
from vgen_jax.core import pixels
from vgen_jax.core import sources
from vgen_jax.core.types import ClipShape
from vgen_jax.data import pipeline
from vgen_jax.evaluation.scores import frechet
from vgen_jax.inference import runs

_CELL = 4  # Pixels.
_WIDTH = 8  # Number of principal components.
SPACES = ('appearance', 'color', 'motion', 'detail')


def main(argv: list[str] | None = None) -> None:
  parser = arguments.parser(__doc__, num=64, least=2 * _WIDTH)
  args = parser.parse_args(argv)
  run = runs.load(args.workdir)
  check_shape(tuple(run.config.clip_shape))
  first, _ = random_clips(run.source, args.num, seed=0)
  second, label_b = random_clips(run.source, args.num, seed=1)
  if np.array_equal(first, second):
    raise ValueError(
      'Two sets of random clips of the data are equal, so there is no floor.'
      ' Use data with videos that are longer than a clip.'
    )
  generated = pixels.to_float(_generated(run, args.num, label_b))
  arms = {'generated': generated, 'floor': second, **cheats(second)}
  print(f'| {args.num} clips | {" | ".join(SPACES)} |')
  print('|' + '---|' * (1 + len(SPACES)))
  for name, video in arms.items():
    found = distances(video, first)
    print(f'| {name} |', ' | '.join(f'{found[x]:.3f}' for x in SPACES), '|')


def check_shape(clip_shape: ClipShape) -> None:
  """Raises a ValueError if clips of a shape have no features.

  Args:
    clip_shape: (t, h, w, c); t must be at least 2, h and w multiples of 4.
  """
  t, h, w, _ = clip_shape
  if t < 2 or h % _CELL or w % _CELL:
    raise ValueError(
      f'Clips have the shape {clip_shape}; they need 2 frames or more, with'
      f' sides that are multiples of {_CELL} pixels.'
    )


def check_source(source: pipeline.Source) -> None:
  """Raises a TypeError if a source has no random views."""
  if not isinstance(source, sources.HasRandomViews):
    raise TypeError(
      f'The data are {type(source).__name__}, without random clips of a video;'
      ' use a source of video files, such as VideoFolder or TFDSVideo.'
    )


def random_clips(
  source: pipeline.Source, num_clips: int, seed: int
) -> tuple[np.ndarray, list[int | None]]:
  """Returns random clips, float32 in [-1, 1], and their labels.

  Args:
    source: Source of clips with random views; labels are None if it has none.
    num_clips: Number of clips; each video has about as many of them.
    seed: Seed of the views.

  Raises:
    TypeError: If the source has no random views.
  """
  check_source(source)
  rng = np.random.default_rng(seed)
  clips = [source.random_view(i % len(source), rng) for i in range(num_clips)]
  video = pixels.to_float(np.stack([clip['video'] for clip in clips]))
  labels = [clip.get('label') for clip in clips]
  return video, [None if x is None else int(x) for x in labels]


def distances(
  video_bthwc: np.ndarray, real_bthwc: np.ndarray
) -> dict[str, float]:
  """Returns Frechet distances to real clips, {space: distance}.

  Args:
    video_bthwc: Clips, float32 in [-1, 1].
    real_bthwc: Real clips of the same shape, float32 in [-1, 1], 16 or more.

  Returns:
    Distances; NaN for spaces in which all real clips are equal.
  """
  mine, theirs = features(video_bthwc), features(real_bthwc)
  found = {}
  for name in SPACES:
    center_d = theirs[name].mean(0)
    _, scale_k, axes_kd = np.linalg.svd(
      theirs[name] - center_d, full_matrices=False
    )
    scale = np.linalg.norm(scale_k[:_WIDTH]) / np.sqrt(len(real_bthwc) - 1)
    if scale < 1e-5:
      found[name] = np.nan
      continue
    axes_kd = axes_kd[:_WIDTH] / scale
    a, b = ((x[name] - center_d) @ axes_kd.T for x in (mine, theirs))
    found[name] = frechet.distance_of_features(a, b)
  return found


def features(video_bthwc: np.ndarray) -> dict[str, np.ndarray]:
  """Returns features of clips, {space: float64 [b, d]}.

  Args:
    video_bthwc: Clips, float32 in [-1, 1], with a shape that `check_shape`
      allows.
  """
  mean_b1hwc = video_bthwc.mean(1, keepdims=True)
  change_bthwc = np.abs(np.diff(video_bthwc, axis=1))
  detail_bthwc = np.abs(video_bthwc - _blurred(video_bthwc))
  found = {
    'appearance': mean_b1hwc,
    'color': mean_b1hwc - mean_b1hwc.mean(-1, keepdims=True),
    'motion': change_bthwc,
    'detail': detail_bthwc.mean(1, keepdims=True),
  }
  cells = 'b t (h y) (w x) c -> b (t h w c)'
  return {
    name: einops.reduce(x, cells, 'mean', y=_CELL, x=_CELL).astype(np.float64)
    for name, x in found.items()
  }


def cheats(real_bthwc: np.ndarray) -> Mapping[str, np.ndarray]:
  """Returns clips that are wrong in a space or more, {name: clips}.

  Args:
    real_bthwc: Real clips, float32 in [-1, 1].
  """
  num_frames = real_bthwc.shape[1]
  rng = np.random.default_rng(0)
  order_bt = np.stack([rng.permutation(num_frames) for _ in real_bthwc])
  noise = rng.normal(0, 0.1, real_bthwc.shape).astype(np.float32)
  other = real_bthwc[rng.permutation(len(real_bthwc))]
  return {
    'first frame': np.repeat(real_bthwc[:, :1], num_frames, axis=1),
    'random order': np.take_along_axis(
      real_bthwc, order_bt[:, :, None, None, None], axis=1
    ),
    'blurred': _blurred(real_bthwc),
    'noisy': (real_bthwc + noise).clip(-1, 1),
    'mixed': (real_bthwc + other) / 2,
    'channels exchanged': np.roll(real_bthwc, 1, axis=-1),
    'one clip': np.repeat(real_bthwc[:1], len(real_bthwc), axis=0),
  }


def _blurred(video_bthwc: np.ndarray) -> np.ndarray:
  """Returns clips whose frames are blurred by one pixel."""
  return ndimage.gaussian_filter(video_bthwc, (0, 0, 1, 1, 0))


def _generated(
  run: runs.Run, num_clips: int, label_b: list[int | None]
) -> np.ndarray:
  """Returns generated clips, of these classes if the model has classes."""
  if 'label' not in run.condition(1):
    return run.sample(num_clips)
  # Clip i of a seed has the same noise in each class, so seeds differ.
  return np.concatenate(
    [
      run.sample(count, label=label, seed=label)
      for label, count in sorted(Counter(label_b).items())
    ]
  )


if __name__ == '__main__':
  main()
