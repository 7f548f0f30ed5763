"""Checks that clips of a trained VideoVAE have the requested attributes.

  python -m experiments.zoo.prediction.attribute_control --workdir=runs/videovae

The run is one of `configs/videovae_world.py`, whose attributes are a colour and
a direction. It passes if

* attributes are inferred from whole clips of the split 'validation' with an
  accuracy of at least 0.98 each;
* of clips generated from attributes, at least 0.9 have the requested colour and
  0.8 the requested direction; the entropy of their directions is at least 1.2
  nats (ln 4 = 1.39 for equal frequencies), and the conditional entropy given
  the requested direction is at most 0.2 nats;
* of clips generated from a real first frame, whose colour the network infers,
  at least 0.9 keep this colour, with an average content distance of at most
  0.05; and at least 0.7 turn if the requested direction becomes the opposite
  one in frame 5, although no training clip turns;
* of clips of the held-out combination, at least 0.6 show both attributes;
* the divergence of the posterior from the prior is positive, and at least twice
  as large if zeros replace the LSTM's output in the prior.

The same numbers are printed for models and clips that must fail: a prior that
ignores attributes, so that only the posterior depends on them; a prior with the
attributes of another clip; no change of the direction; corrupted clips of the
model; and, with --control, another run, such as one with
--config.model.predictor.prior_attributes=False. --picture writes some clips.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from experiments.zoo import arguments
from experiments.zoo.prediction import attribute_criteria as criteria
from vgen_jax.config import build
from vgen_jax.core import pixels
from vgen_jax.core.types import Array
from vgen_jax.families.prediction import holistic
from vgen_jax.inference import runs
from vgen_jax.inference import sampling
from vgen_jax.models import videovae
from vgen_jax.runtime.output import pictures
from vgen_jax.synthetic.world import source as world_lib

_BATCH = 64
HEADER = (
  '| clips | colour | direction | entropy | given direction | content |'
  ' turned | held out | valid | fails |\n'
  '|---|---|---|---|---|---|---|---|---|---|'
)


class BlindPrior(videovae.VideoVAE):
  """A cheat: the prior has the mean of all attributes instead of the clip's."""

  def prior(self, hidden_bu: Array, attribute_bk: Array):
    mean_k = np.concatenate([np.full(n, 1 / n) for n in self.sizes])
    mean_bk = jnp.broadcast_to(jnp.float32(mean_k), attribute_bk.shape)
    return super().prior(hidden_bu, mean_bk)


class OtherPrior(videovae.VideoVAE):
  """A cheat: the prior has the attributes of the clip before in the batch."""

  def prior(self, hidden_bu: Array, attribute_bk: Array):
    return super().prior(hidden_bu, jnp.roll(attribute_bk, 1, axis=0))


class StatelessPrior(videovae.VideoVAE):
  """An ablation: the prior does not depend on the past."""

  def prior(self, hidden_bu: Array, attribute_bk: Array):
    return super().prior(jnp.zeros_like(hidden_bu), attribute_bk)


def with_network(
  cls: type[videovae.VideoVAE], model: holistic.Holistic
) -> holistic.Holistic:
  """Returns a model whose network has another class, with the same fields."""
  network = model.predictor
  names = set(type(network).__dataclass_fields__) - {'parent', 'name'}
  fields = {name: getattr(network, name) for name in names}
  return model.clone(predictor=cls(**fields))


def generate(
  run: runs.Run,
  model: holistic.Holistic,
  value_btn: np.ndarray,
  first_bhwc: np.ndarray | None = None,
) -> np.ndarray:
  """Returns generated clips, uint8.

  Args:
    run: Run with the parameters.
    model: Model of the run, or one with another network.
    value_btn: Attributes of each frame, as in `sample_with_attributes`.
    first_bhwc: Known first frames in [-1, 1]; None for none.
  """
  variables = run.state.variables(run.config.sample_from)
  apply = jax.jit(
    functools.partial(model.apply, method='sample_with_attributes')
  )
  found = []
  for i in range(0, len(value_btn), _BATCH):
    part = value_btn[i : i + _BATCH]
    condition = {}
    if first_bhwc is not None:
      shape = (*part.shape[:2], *first_bhwc.shape[1:])
      video = np.zeros(shape, np.float32)
      video[:, 0] = first_bhwc[i : i + _BATCH]
      known = np.zeros((*shape[:-1], 1), bool)
      known[:, 0] = True
      condition = {'known_video': video, 'known': known}
    key_b = sampling.clip_keys(0, len(part), i)
    clips = apply(variables, key_b, condition, part)
    found.append(pixels.to_uint8(np.asarray(clips).clip(-1, 1)))
  return np.concatenate(found)


def main() -> None:
  parser = arguments.parser(__doc__, num=256)
  parser.add_argument('--control', default='', help='Workdir of another run.')
  parser.add_argument('--picture', default='', help='PNG file to write.')
  args = parser.parse_args()
  run = runs.load(args.workdir)
  source = lambda split: build.source(
    {**run.config.data.to_dict(), 'split': split}, run.schema.clip_shape
  )
  world, held_out = source('validation'), source('test')
  losses = run.validate(args.num)
  stateless = stateless_divergence(run, args.num)
  names = [x for x in sorted(losses) if 'accuracy_attribute' in x]
  least = min(losses[x] for x in names)
  print(f'accuracy of inferred attributes: {[losses[x] for x in names]}')
  print(f'at least 0.98: {least >= 0.98}')
  kl = losses['predictor/kl']
  print(f'divergence: {kl:.2f} nats, with a prior without a past', end=' ')
  print(f'{stateless:.2f}; twice as large: {stateless >= 2 * kl > 0}')
  print(HEADER)
  clips = report('the model', run, run.model, world, held_out, args.num)
  for name, cls in {
    'attributes only in the posterior': BlindPrior,
    'attributes of other clips': OtherPrior,
  }.items():
    model = with_network(cls, run.model)
    report(name, run, model, world, held_out, args.num)
  changed = {kind: criteria.cheats(video) for kind, video in clips.items()}
  for name in changed['attributes']:
    cheating = {kind: made[name] for kind, made in changed.items()}
    print_row(name, cheating, world, held_out, args.num)
  still = generated(run, run.model, world, held_out, args.num, turns=False)
  print_row('no change of the direction', still, world, held_out, args.num)
  if args.control:
    other = runs.load(args.control)
    report('the control', other, other.model, world, held_out, args.num)
  if args.picture:
    picture(args.picture, clips)


def stateless_divergence(run: runs.Run, num: int) -> float:
  """Returns the divergence from a `StatelessPrior`, in nats per clip."""
  model = with_network(StatelessPrior, run.model)
  variables = run.state.variables(run.config.sample_from)
  source = build.source(
    {**run.config.data.to_dict(), 'split': 'validation'}, run.schema.clip_shape
  )
  clips = [source[i] for i in range(num)]
  batch = {key: np.stack([x[key] for x in clips]) for key in clips[0]}
  batch['video'] = pixels.to_float(batch['video'])
  _, terms = jax.jit(
    functools.partial(
      model.apply, player='predictor', train=False, method='loss'
    )
  )(variables, batch, rngs={'noise': jax.random.key(0)})
  return float(terms['kl'])


def requests(
  world: world_lib.World, held_out: world_lib.World, num: int
) -> dict[str, criteria.Requested]:
  """Returns the requested attributes of each kind of clips.

  Args:
    world: Dataset with all combinations but those that are held out.
    held_out: Dataset with those that are held out.
    num: Number of clips of each kind.
  """
  labels = lambda source: np.array([source[i]['label'] for i in range(num)])
  first = criteria.of_labels(world, labels(world))
  turned_b = criteria.opposite(world, first.direction_b)
  return {
    'attributes': criteria.of_labels(world, labels(world)),
    'first frame': first._replace(turned_b=turned_b),
    'held out': criteria.of_labels(held_out, labels(held_out)),
  }


def generated(
  run: runs.Run,
  model: holistic.Holistic,
  world: world_lib.World,
  held_out: world_lib.World,
  num: int,
  *,
  turns: bool = True,
) -> dict[str, np.ndarray]:
  """Returns generated clips of each kind of `requests`.

  Args:
    run: Run with the parameters.
    model: Model of the run, or one with another network.
    world: As in `requests`.
    held_out: As in `requests`.
    num: As in `requests`.
    turns: Whether the direction changes in clips with a first frame.
  """
  found = {}
  for kind, request in requests(world, held_out, num).items():
    value_bn = np.stack([request.color_b, request.direction_b], axis=-1)
    value_btn = np.repeat(value_bn[:, None], world.clip_shape[0], axis=1)
    first_bhwc = None
    if request.turned_b is not None:
      first = np.stack([world[i]['video'][0] for i in range(num)])
      first_bhwc = pixels.to_float(first)
      value_btn[..., 0] = holistic.UNKNOWN
      if turns:
        value_btn[:, criteria.FIRST_TURNED :, 1] = request.turned_b[:, None]
    found[kind] = generate(run, model, value_btn, first_bhwc)
  return found


def report(name, run, model, world, held_out, num) -> dict[str, np.ndarray]:
  """Prints the row of a model and returns its clips.

  The arguments are those of `generated`; `name` is the label of the row.
  """
  clips = generated(run, model, world, held_out, num)
  print_row(name, clips, world, held_out, num)
  return clips


def print_row(name, clips, world, held_out, num) -> None:
  """Prints a row of the table.

  The arguments are those of `report`; `clips` are those of `generated`.
  """
  of_kind = {
    kind: criteria.numbers(world, clips[kind], request)
    for kind, request in requests(world, held_out, num).items()
  }
  found, first = of_kind['attributes'], of_kind['first frame']
  both = of_kind['held out']
  failed = criteria.failures(found, first, both)
  cells = [
    f'{found["color"]:.2f}', f'{found["direction"]:.2f}',
    f'{found["entropy"]:.2f}', f'{found["conditional_entropy"]:.2f}',
    f'{first["content"]:.3f}', f'{first["turned"]:.2f}', f'{both["both"]:.2f}',
    f'{found["valid"]:.2f}', ', '.join(failed) or 'nothing',
  ]  # fmt: skip
  print(f'| {name} | {" | ".join(cells)} |')


def picture(file: str, clips: dict[str, np.ndarray]) -> None:
  """Writes some generated clips of each kind."""
  sections = [
    pictures.Section(video[:4], kind, [f'clip {i + 1}' for i in range(4)])
    for kind, video in clips.items()
  ]
  Image.fromarray(pictures.sheet(sections)).save(file)


if __name__ == '__main__':
  main()
