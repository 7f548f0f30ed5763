"""Checks that a trained SVG predicts both futures of clips with two futures.

  python -m experiments.zoo.prediction.stochastic_prediction --workdir=runs/svg

The clips are those of synthetic/two_futures: a disc moves up, and then to the
left or to the right. For the first clips of the split 'validation' the model
continues the frames before the fork, 20 times. It passes if

* in the frame where the futures diverge, the divergence of the posterior from
  the prior is at least 0.6 nats (a choice of two needs ln 2 = 0.69) and at
  least 10 times its mean in the other frames, and the standard deviation of the
  prior is largest;
* the PSNR of the best of 20 predictions, averaged over the tenth of the clips
  that is worst, is at least 30 dB;
* the fraction of predictions to the left is within 0.15 of 0.5, and at
  most 0.1 of the predictions show neither future;
* the correlation of the predicted with the true future, which the known frames
  do not determine, is at most 0.2;
* latents from N(0, 1) instead of the prior reduce the PSNR of the worst tenth
  by at least 5 dB, which shows that the prior is not trivial.

The PSNR of the mean squared error of all predictions is not a criterion,
because it is highest for the mean of both futures. The same numbers are printed
for predictions that must fail and, with --control, for another run, such as one
without latents (--config.model.predictor.latent_width=0). --picture writes some
of the clips.
"""

from collections.abc import Callable
import functools

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from experiments.zoo import arguments
from experiments.zoo.prediction import futures_criteria
from vgen_jax.core import pixels
from vgen_jax.families.prediction import latent_roll_out
from vgen_jax.families.prediction import stochastic
from vgen_jax.inference import runs
from vgen_jax.inference import sampling
from vgen_jax.runtime.output import pictures
from vgen_jax.synthetic.two_futures import source as futures_source

NUM_SAMPLES = 20
HEADER = (
  '| predictions | best of 20, dB | worst tenth, dB | of the mean error, dB |'
  ' diversity | left | neither | correlation | fails |\n'
  '|---|---|---|---|---|---|---|---|---|'
)


class PosteriorAtTest(stochastic.Stochastic):
  """A cheat: predicted frames have latents of the posterior of the truth."""

  def prior_predictions(
    self, video_bthwc, known_bt, key_b, condition, **kwargs
  ):
    masks = latent_roll_out.known_only(known_bt)
    cheat = masks._replace(uses_posterior_bt=jnp.ones_like(known_bt[:, 1:]))
    return latent_roll_out.roll_out(
      self.predictor,
      video_bthwc,
      cheat,
      latent_roll_out.noise(self.predictor, key_b, video_bthwc.shape[1]),
      latent_roll_out.conditions(self.predictor, condition, video_bthwc),
      **kwargs,
    )


def real(world: futures_source.TwoFutures, index_b: np.ndarray) -> np.ndarray:
  """Returns real clips `[b, t, h, w, c]` in [-1, 1]."""
  return pixels.to_float(np.stack([world[int(i)]['video'] for i in index_b]))


def predict(
  run: runs.Run,
  model: stochastic.Stochastic,
  index_b: np.ndarray,
  world: futures_source.TwoFutures,
) -> np.ndarray:
  """Returns predicted clips `[b, n, t, h, w, c]`, uint8.

  Args:
    run: Run with the parameters.
    model: Model of the run, or one of another class.
    index_b: Indices of the clips to continue.
    world: Dataset of the clips.
  """
  variables = run.state.variables(run.config.sample_from)
  video_bthwc = real(world, index_b)
  apply = jax.jit(functools.partial(model.apply, method='sample'))
  sample = lambda key_b: apply(variables, key_b, {'known_video': video_bthwc})
  num = len(index_b)
  return np.stack(
    [
      pixels.to_uint8(np.asarray(sample(sampling.clip_keys(0, num, i * num))))
      for i in range(NUM_SAMPLES)
    ],
    axis=1,
  )


def latents_of(
  run: runs.Run, index_b: np.ndarray, world: futures_source.TwoFutures
) -> futures_criteria.Latents | None:
  """Returns the information in the latents of a run; None if it has none.

  Args:
    run: Run of an SVG.
    index_b: Indices of the clips.
    world: Dataset of the clips.
  """
  if not run.model.predictor.latent_width:
    return None
  video_bthwc = real(world, index_b)
  _, posterior, prior = run.model.apply(
    run.state.variables(run.config.sample_from),
    {'video': video_bthwc},
    rngs={'noise': jax.random.key(0)},
    method='posterior_predictions',
  )
  mean = lambda kl_btd: np.asarray(kl_btd.sum(2).mean(0))
  return futures_criteria.Latents(
    mean(posterior.divergence(prior)),
    mean(posterior.divergence()),
    np.asarray(jnp.exp(prior.log_variance / 2).mean((0, 2))),
  )


def as_class(
  cls: type[stochastic.Stochastic], model: stochastic.Stochastic
) -> stochastic.Stochastic:
  """Returns a family of another class with its fields of a model."""
  fields = cls.__dataclass_fields__.keys() & type(model).__dataclass_fields__
  names = fields - {'parent', 'name'}
  return cls(**{name: getattr(model, name) for name in names})


def main() -> None:
  parser = arguments.parser(__doc__, num=128)
  parser.add_argument('--control', default='', help='Workdir of another run.')
  parser.add_argument('--picture', default='', help='PNG file to write.')
  args = parser.parse_args()
  run = runs.load(args.workdir)
  world = futures_criteria.dataset(run)
  index_b = np.arange(args.num)
  latents = latents_of(run, index_b, world)
  if latents is not None:
    print('divergence, nats:', np.round(latents.kl_t, 3))
    print('divergence from N(0, 1):', np.round(latents.standard_kl_t, 3))
    print('deviation of the prior:', np.round(latents.deviation_t, 3))
  print(HEADER)

  samples = predict(run, run.model, index_b, world)
  standard = predict(run, run.model.clone(latents='standard'), index_b, world)
  swapped = futures_criteria.numbers(world, index_b, standard)
  cheating = as_class(PosteriorAtTest, run.model)
  rows: dict[str, Callable[[], np.ndarray]] = {
    'the model': lambda: samples,
    'latents from N(0, 1)': lambda: standard,
    'mean of the prior': lambda: predict(
      run, run.model.clone(latents='zero'), index_b, world
    ),
    'posterior of the truth': lambda: predict(run, cheating, index_b, world),
    **{
      name: lambda clips=clips: clips
      for name, clips in futures_criteria.cheats(samples, world.fork).items()
    },
  }
  for name, make in rows.items():
    report(
      name,
      futures_criteria.numbers(world, index_b, make()),
      swapped,
      latents,
      world.fork,
    )
  if args.control:
    control = runs.load(args.control)
    found = futures_criteria.numbers(
      world, index_b, predict(control, control.model, index_b, world)
    )
    own = latents_of(control, index_b, world)
    report('the control', found, found, own, world.fork)
  if args.picture:
    picture(args.picture, world, index_b[:4], samples[:4, :3])


def report(
  name: str,
  found: dict[str, float],
  swapped: dict[str, float],
  latents: futures_criteria.Latents | None,
  fork: int,
) -> None:
  """Prints a row of the table; its arguments are those of `failures`."""
  failed = futures_criteria.failures(found, swapped, latents, fork)
  cells = [
    f'{found["best"]:.1f}', f'{found["worst"]:.1f}', f'{found["mean"]:.1f}',
    f'{found["diversity"]:.4f}', f'{found["left"]:.2f}',
    f'{found["ambiguous"]:.2f}', f'{found["correlation"]:.2f}',
    ', '.join(failed) or 'nothing',
  ]  # fmt: skip
  print(f'| {name} | {" | ".join(cells)} |')


def picture(
  file: str,
  world: futures_source.TwoFutures,
  index_b: np.ndarray,
  sample_bnthwc: np.ndarray,
) -> None:
  """Writes real clips, and below each its predictions.

  Args:
    file: Path of the image.
    world: Dataset of the clips.
    index_b: Indices of the clips.
    sample_bnthwc: Predictions to show of each clip, uint8.
  """
  sections = []
  for i, sample_nthwc in zip(index_b, sample_bnthwc, strict=True):
    real = world[int(i)]['video'][None]
    clips = np.concatenate([real, sample_nthwc])
    labels = ['real', *(f'prediction {j + 1}' for j in range(len(clips) - 1))]
    sections.append(pictures.Section(clips, f'Clip {i}', labels))
  Image.fromarray(pictures.sheet(sections)).save(file)


if __name__ == '__main__':
  main()
