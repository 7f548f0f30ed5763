"""Compares the errors of a denoiser of a few videos with the least possible.

  python -m experiments.zoo.denoiser_errors --workdir=runs/films

A diffusion model of a few videos is trained on a limited number of clips, the
random views of the videos. So the best estimate of a clean clip is known: the
mean of all views, each weighted by its probability given the noisy clip (Karras
et al., "Elucidating the Design Space of Diffusion-Based Generative Models",
2022, https://arxiv.org/abs/2206.00364). At some times, from 0 (noise) to 1
(data), and for each class of a model with classes, the script prints

* `error`: the mean squared error of the model's estimates of clean clips, whose
  pixels are in [-1, 1];
* `right video`: the fraction of the model's estimates whose nearest view is of
  the video that was made noisy;
* `least error` and `best right video`: the same for the best estimates.

A large error where the least one is small is not due to noise, but to the model
or its training. Where the least error is large, noise hides the clips. Views
are drawn 1,000 times from each example of the source, and noisy clips are made
from these, with the same noise at all times. If a video has many more views,
the least errors are too small. Guidance and `clip_x0` are not used.
"""

import collections
from collections.abc import Callable
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from experiments.zoo import arguments
from experiments.zoo import film_distances
from vgen_jax.core import pixels
from vgen_jax.data import pipeline
from vgen_jax.families.diffusion import denoising
from vgen_jax.families.diffusion import paths
from vgen_jax.families.diffusion import predictions
from vgen_jax.inference import runs

TIMES = (0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.5, 0.7, 0.9)
_DRAWS = 1_000  # Random views of an example of the source.

Estimate = Callable[[np.ndarray, float, int | None], np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Views:
  """Different views of videos of a class.

  Attributes:
    label: Class of the videos; None for videos of all classes.
    video_nthwc: Views, float32 `[n, t, h, w, c]` in [-1, 1].
    count_n: How often each was drawn, int `[n]`.
    is_of_nm: Whether each is a view of each of the examples of the source, bool
      `[n, m]`; a video may be several examples.
  """

  label: int | None
  video_nthwc: np.ndarray
  count_n: np.ndarray
  is_of_nm: np.ndarray

  @functools.cached_property
  def row_nd(self) -> np.ndarray:
    """Views as rows of numbers, float64 `[n, d]`."""
    return _rows(self.video_nthwc)

  @functools.cached_property
  def square_n(self) -> np.ndarray:
    """Squared norms of the rows, float64 `[n]`."""
    return (self.row_nd**2).sum(1)


def main(argv: list[str] | None = None) -> None:
  args = arguments.parser(__doc__, num=64).parse_args(argv)
  run = runs.load(args.workdir)
  if not isinstance(run.model, denoising.Diffusion):
    raise TypeError(
      f'The model is {type(run.model).__name__}; this script needs a Diffusion.'
    )
  names = run.schema.class_names
  estimate = estimator(run)
  columns = ('error', 'least error', 'right video', 'best right video')
  print(f'| time | class | {" | ".join(columns)} |')
  print('|' + '---|' * (2 + len(columns)))
  for views in views_of_classes(run.source, run.model.num_classes > 0):
    name = 'all' if views.label is None else str(views.label)
    if names and views.label is not None:
      name = names[views.label]
    for time in TIMES:
      numbers = measure(estimate, run.model.path, views, time, args.num)
      cells = ' | '.join(f'{numbers[x]:.3f}' for x in columns)
      print(f'| {time} | {name} | {cells} |')


def views_of_classes(source: pipeline.Source, has_classes: bool) -> list[Views]:
  """Returns the different views of the videos of each class.

  Args:
    source: Source of videos with random views.
    has_classes: Whether to separate classes.

  Raises:
    TypeError: If the source has no random views.
  """
  film_distances.check_source(source)
  counts = collections.defaultdict(collections.Counter)
  for index in range(len(source)):
    rng = np.random.default_rng(index)
    for _ in range(_DRAWS):
      clip = source.random_view(index, rng)
      label = int(clip['label']) if has_classes else None
      counts[label][clip['video'].tobytes(), index] += 1
      shape = clip['video'].shape
  found = []
  for label, count in counts.items():
    ordered = sorted(count, key=lambda key: key[::-1])
    videos = dict.fromkeys(video for video, _ in ordered)
    number = {video: n for n, video in enumerate(videos)}
    count_nm = np.zeros((len(number), len(source)), int)
    for (video, index), times in count.items():
      count_nm[number[video], index] = times
    video_nthwc = np.frombuffer(b''.join(number), np.uint8)
    video_nthwc = pixels.to_float(video_nthwc.reshape(-1, *shape))
    found.append(Views(label, video_nthwc, count_nm.sum(1), count_nm > 0))
  return found


def measure(
  estimate: Estimate, path: paths.Path, views: Views, time: float, num: int
) -> dict[str, float]:
  """Returns the errors of estimates from noisy views.

  Args:
    estimate: Function that `estimator` returns.
    path: Path from noise to data.
    views: Views of one class.
    time: Time of the noisy clips, in [0, 1].
    num: Number of noisy clips.

  Returns:
    The columns of the table, {name: number}.
  """
  rng = np.random.default_rng(0)
  chosen_b = rng.choice(
    len(views.count_n), num, p=views.count_n / views.count_n.sum()
  )
  clean_bthwc = views.video_nthwc[chosen_b]
  noise = rng.normal(size=clean_bthwc.shape).astype(np.float32)
  alpha, sigma = (float(x) for x in path.scales(jnp.float32(time)))
  noisy_bthwc = alpha * clean_bthwc + sigma * noise
  mine = estimate(noisy_bthwc, time, views.label)
  best = best_estimates(views, noisy_bthwc, alpha, sigma)
  of_bm = views.is_of_nm[chosen_b]
  right = lambda x: (views.is_of_nm[nearest(views, x)] & of_bm).any(1).mean()
  return {
    'error': np.square(mine - clean_bthwc).mean(),
    'least error': np.square(best - clean_bthwc).mean(),
    'right video': right(mine),
    'best right video': right(best),
  }


def estimator(run: runs.Run) -> Estimate:
  """Returns the function that estimates clean clips.

  Args:
    run: Run of a diffusion model; the parameters are those of its samples.

  Returns:
    Function `(noisy_bthwc, time, label) -> clean_bthwc` of noisy clips, float32
    `[b, t, h, w, c]`, their time in [0, 1], and their class, or None.
  """
  model = run.model
  variables = run.state.variables(run.config.sample_from)
  target = predictions.Prediction(
    model.prediction, model.path, model.sigma_data
  )

  def estimate(model, noisy_bthwc, time, condition):
    output = model.denoiser(
      noisy_bthwc * target.input_scale(time),
      model.path.network_time(jnp.full(len(noisy_bthwc), time)),
      condition,
      train=False,
    )
    return target.clean(output, noisy_bthwc, time)

  apply = jax.jit(lambda *args: model.apply(variables, *args, method=estimate))

  def estimated(noisy_bthwc, time, label):
    condition = {}
    if label is not None:
      condition['label'] = np.full(len(noisy_bthwc), label, np.int32)
    return np.asarray(apply(noisy_bthwc, np.float32(time), condition))

  return estimated


def best_estimates(
  views: Views, noisy_bthwc: np.ndarray, alpha: float, sigma: float
) -> np.ndarray:
  """Returns the means of views, weighted by their probabilities.

  Args:
    views: Views of which the clean clips are some.
    noisy_bthwc: `alpha * clean_bthwc + sigma * noise`, `[b, t, h, w, c]`.
    alpha: Scale of the clean clips.
    sigma: Standard deviation of the noise, above 0.
  """
  logits = (
    alpha * _rows(noisy_bthwc) @ views.row_nd.T - alpha**2 * views.square_n / 2
  )
  weights = special.softmax(logits / sigma**2 + np.log(views.count_n), axis=1)
  return (weights @ views.row_nd).reshape(noisy_bthwc.shape)


def nearest(views: Views, video_bthwc: np.ndarray) -> np.ndarray:
  """Returns the numbers of the views that are nearest to clips, int `[b]`.

  Args:
    views: Views of videos.
    video_bthwc: Clips, `[b, t, h, w, c]` in [-1, 1].
  """
  distance = views.square_n - 2 * _rows(video_bthwc) @ views.row_nd.T
  return distance.argmin(1)


def _rows(video: np.ndarray) -> np.ndarray:
  """Returns one row of numbers for each clip, float64."""
  return video.reshape(len(video), -1).astype(np.float64)


if __name__ == '__main__':
  main()
