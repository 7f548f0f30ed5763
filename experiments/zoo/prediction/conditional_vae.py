"""Checks that a trained conditional VAE shows what its labels request.

  python -m experiments.zoo.prediction.conditional_vae --workdir=runs/cvae

A label requests a colour and a direction; the start of the disc is free. All
labels are requested in turn. The model passes if

* at least 90 % of the clips have the requested colour, and 90 % the direction;
* the starts of clips with one label vary as those of the data do: the standard
  deviation of the disc's centre in the first frame, given the label, is from
  0.7 to 1.3 times that of real clips;
* at least half of the clips are valid (loose).

The same numbers are printed for clips that must fail, and for latents from
N(0, 1) in place of the prior of the label.
"""

from collections.abc import Callable
import functools

import jax
import numpy as np

from experiments.zoo import arguments
from experiments.zoo.prediction import attribute_criteria
from vgen_jax.core import checks
from vgen_jax.core import pixels
from vgen_jax.core.types import Array
from vgen_jax.families.prediction import conditional
from vgen_jax.inference import runs
from vgen_jax.synthetic import saturation
from vgen_jax.synthetic.world import source as world_lib

HEADER = (
  '| clips | colour | direction | both | spread | valid | fails |\n'
  '|---|---|---|---|---|---|---|'
)
LATENTS = ('prior', 'standard', 'mean')


def decoded(
  model: conditional.ConditionalVAE,
  label_b: Array,
  noise_bd: Array,
  *,
  latents: str = 'prior',
) -> Array:
  """Returns clips of labels; a method of the model.

  Args:
    model: Model, bound.
    label_b: Labels.
    noise_bd: Noise from N(0, 1).
    latents: 'prior'; 'standard', the noise itself; 'mean', the mean of the
      prior, which is the same for all clips of a label.
  """
  features_bf = model.network.features({'label': label_b}, None, len(label_b))
  prior = model.network.prior_of(features_bf)
  latent_bd = {
    'prior': prior.from_noise(noise_bd),
    'standard': noise_bd,
    'mean': prior.mean,
  }[latents]
  return model.network.decode(latent_bd, features_bf)


def generate(run: runs.Run, label_b: np.ndarray, latents: str) -> np.ndarray:
  """Returns clips of labels, uint8 `[b, t, h, w, c]`.

  Args:
    run: Run of a conditional VAE.
    label_b: Labels of the clips.
    latents: Distribution of the latents, as in `decoded`.
  """
  width = run.model.network.latent_width
  noise_bd = jax.random.normal(jax.random.key(0), (len(label_b), width))
  apply = jax.jit(
    functools.partial(
      run.model.apply,
      method=functools.partial(decoded, latents=latents),
    )
  )
  variables = run.state.variables(run.config.sample_from)
  return pixels.to_uint8(
    np.asarray(apply(variables, label_b, noise_bd).clip(-1, 1))
  )


def numbers(
  world: world_lib.World,
  video_bthwc: np.ndarray,
  label_b: np.ndarray,
  real_spread: float,
) -> dict[str, float]:
  """Returns the numbers of `attribute_criteria.numbers`, and `spread`.

  Args:
    world: Dataset of the clips.
    video_bthwc: Clips, uint8.
    label_b: Requested labels.
    real_spread: Spread of real clips, from `spread`.
  """
  requested = attribute_criteria.of_labels(world, label_b)
  found = attribute_criteria.numbers(world, video_bthwc, requested)
  return found | {'spread': spread(video_bthwc, label_b) / real_spread}


def spread(video_bthwc: np.ndarray, label_b: np.ndarray) -> float:
  """Returns the deviation of starts given the label, in pixels."""
  center_b2 = saturation.locate(video_bthwc).center_bt2[:, 0]
  rest_b2 = center_b2.copy()
  for label in np.unique(label_b):
    rest_b2[label_b == label] -= center_b2[label_b == label].mean(0)
  return float(np.sqrt(np.square(rest_b2).sum(1).mean()))


def failures(found: dict[str, float]) -> list[str]:
  """Returns the names of the criteria that clips do not meet."""
  passes = {
    'colour': found['color'] >= 0.9,
    'direction': found['direction'] >= 0.9,
    'spread': 0.7 <= found['spread'] <= 1.3,
    'valid': found['valid'] >= 0.5,
  }
  return [name for name, is_met in passes.items() if not is_met]


def cheats(
  video_bthwc: np.ndarray, label_b: np.ndarray
) -> dict[str, np.ndarray]:
  """Returns clips that must fail, {name: clips}.

  Args:
    video_bthwc: Clips to make them from, of a model or of the data.
    label_b: Labels of the clips.
  """
  one, mean = video_bthwc.copy(), video_bthwc.copy()
  for label in np.unique(label_b):
    is_label_b = label_b == label
    one[is_label_b] = video_bthwc[is_label_b][:1]
    mean[is_label_b] = np.rint(video_bthwc[is_label_b].mean(0))
  return {
    'one clip of each label': one,
    'mean clip of each label': mean,
    **attribute_criteria.cheats(video_bthwc),
  }


def real(world: world_lib.World, label_b: np.ndarray) -> np.ndarray:
  """Returns real clips of labels, the first unused ones of the dataset."""
  found, index = [], {int(label): 0 for label in np.unique(label_b)}
  for label in label_b.tolist():
    while world[index[label]]['label'] != label:
      index[label] += 1
    found.append(world[index[label]]['video'])
    index[label] += 1
  return np.stack(found)


def check(run: runs.Run, num: int) -> None:
  """Checks that clips of a run can be generated and compared.

  Args:
    run: Run of a conditional VAE.
    num: Number of clips.

  Raises:
    ValueError: If labels are not the only condition, or there are fewer than
      two clips of each label, which have no spread.
  """
  if run.model.condition_keys != ('label',):
    raise ValueError(
      f'{run.workdir}: the conditions of the model are'
      f' {run.model.condition_keys}; this experiment needs a label only: train'
      ' with config.model.network.first_frame=False.'
    )
  least = 2 * len(run.schema.class_names)
  checks.at_least('--num, two clips of each label,', num, least)


def main() -> None:
  args = arguments.parser(__doc__, num=240).parse_args()
  run = runs.load(args.workdir)
  check(run, args.num)
  world = run.source
  label_b = np.arange(args.num) % len(run.schema.class_names)
  truth = real(world, label_b)
  width = spread(truth, label_b)
  samples = generate(run, label_b, 'prior')
  rows: dict[str, Callable[[], np.ndarray]] = {
    'real': lambda: truth,
    'the model': lambda: samples,
    'latents from N(0, 1)': lambda: generate(run, label_b, 'standard'),
    'mean of the prior': lambda: generate(run, label_b, 'mean'),
    **{
      name: lambda clips=clips: clips
      for name, clips in cheats(samples, label_b).items()
    },
  }
  print(HEADER)
  for name, make in rows.items():
    found = numbers(world, make(), label_b, width)
    keys = ('color', 'direction', 'both', 'spread', 'valid')
    cells = [f'{found[key]:.2f}' for key in keys]
    cells.append(', '.join(failures(found)) or 'nothing')
    print(f'| {name} | {" | ".join(cells)} |')


if __name__ == '__main__':
  main()
