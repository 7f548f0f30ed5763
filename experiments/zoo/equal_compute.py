"""Compares families on the same data, each with the same CPU-seconds.

  python -m experiments.zoo.equal_compute --cpu_seconds=900 --out=runs/equal
  python -m experiments.zoo.equal_compute --data=slow --out=runs/gans

The data are those of demo.py: large, quick discs in eight directions that turn
at walls. With --data=slow they are those of configs/vgan_world.py: slow discs
in four directions that meet no walls; only GANs are compared then.

For a family over latents or codes, half of the budget is used to train its
tokenizer. Families with the same tokenizer share one training run of it.
`cpu_budgets.py` measures the cost of a step, which determines the number of
steps. Each trained model then generates clips, which the verifier of the
dataset checks.

Prints a Markdown table. OUT/rows.jsonl has a line for each trained model; a
repeated command skips these models. An interrupted training run is repeated
from its start, so that all of its CPU-seconds are counted.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
import json
import pathlib
import sys
import time

from experiments.zoo import cpu_budgets

# Configs in the order of training; all but the last are tokenizers.
FAMILIES = {
  'patch U-Net': ('demo',),
  'DiT': ('dit_world:small',),
  'flow over latents': ('gaussian_world:small', 'flow_latent_world:small'),
  'VideoGPT': ('fsq_world:small', 'videogpt_world:small'),
  'MaskGIT': ('fsq_world:small', 'maskgit_world:small'),
  'VAE': ('vae_world',),
  'MoCoGAN': ('mocogan_world:small',),
  'VGAN': ('vgan_world:small',),
  'TGAN': ('tgan_world:small',),
  'R3GAN': ('r3gan_world:small',),
  'STGAN': ('stgan_world:small',),
  'SAVN': ('savn_mirror:small',),
}
GANS = ('MoCoGAN', 'VGAN', 'TGAN', 'R3GAN', 'STGAN', 'SAVN')
_WORLD = {'name': 'synthetic.world.source.World', 'label': 'direction'}
# Overrides of the data of GANs, for each value of --data.
OVERRIDES = {
  'demo': {
    'clip_shape': (8, 16, 16, 3),
    'data': {
      **_WORLD,
      'meets_walls': True,
      'only': {
        'shape': ('circle',),
        'size': ('large',),
        'speed': ('quickly',),
      },
    },
  },
  'slow': {
    'clip_shape': (8, 16, 16, 3),
    'data': {
      **_WORLD,
      'meets_walls': False,
      'only': {
        'shape': 'circle',
        'size': 'large',
        'speed': 'slowly',
        'direction': ('right', 'down', 'left', 'up'),
      },
    },
  },
}
# Fields that identify a finished row.
_KEYS = ('family', 'seed', 'budget', 'data')
_COLUMNS = {
  'family': 'family',
  'seed': 'seed',
  'parameters': 'parameters, M',
  'steps': 'steps',
  'cpu_seconds': 'CPU-s, all training runs',
  'validity_loose': 'valid (loose tier)',
  'valid_rough': 'roughly valid',
  'class_accuracy_all': 'requested class',
  'coverage': 'coverage',
  'entropy_color': 'entropy of colours',
  'cpu_seconds_per_clip': 'CPU-s per clip',
}


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument(
    '--cpu_seconds',
    type=float,
    default=900.0,
    help='CPU-seconds for the training of each family (default: 900).',
  )
  parser.add_argument(
    '--seeds', default='0,1', help='Seeds, separated by commas (default: 0,1).'
  )
  parser.add_argument(
    '--num', type=int, default=256, help='Number of clips to generate.'
  )
  parser.add_argument(
    '--families',
    help='Names of families, separated by commas (default: all).',
  )
  parser.add_argument(
    '--data',
    choices=tuple(OVERRIDES),
    default='demo',
    help='Data of all families (default: demo).',
  )
  parser.add_argument('--out', required=True, help='Directory of the runs.')
  args = parser.parse_args()
  allowed = list(FAMILIES) if args.data == 'demo' else list(GANS)
  names = args.families.split(',') if args.families else allowed
  if unknown := [name for name in names if name not in allowed]:
    parser.error(
      f'--families has unknown names {unknown}; with --data={args.data}, choose'
      f' from {allowed}.'
    )
  if args.num < 1:
    parser.error(f'--num is {args.num}; it must be at least 1.')
  out = pathlib.Path(args.out)
  out.mkdir(parents=True, exist_ok=True)
  path = out / 'rows.jsonl'
  rows = read_rows(path)
  done = {tuple(row[key] for key in _KEYS) for row in rows}
  for seed in map(int, args.seeds.split(',')):
    for name in names:
      key = (name, seed, args.cpu_seconds, args.data)
      if key in done:
        continue
      workdirs, row = train(*key, out, cpu_budgets.run_training)
      row |= dict(zip(_KEYS, key, strict=True))
      rows.append(row | evaluate(workdirs[-1], args.num))
      with path.open('a') as file:
        print(json.dumps(rows[-1]), file=file)
  rows = [
    row
    for row in rows
    if (row['budget'], row['data']) == (args.cpu_seconds, args.data)
  ]
  print(table(rows))


def train(
  family: str,
  seed: int,
  budget: float,
  data: str,
  out: pathlib.Path,
  run: Callable[..., float],
) -> tuple[list[pathlib.Path], dict[str, object]]:
  """Trains the configs of a family, one after another, within a budget.

  Args:
    family: Key of FAMILIES.
    seed: Seed of the training runs.
    budget: CPU-seconds of all training runs together.
    data: Key of OVERRIDES.
    out: Directory of the runs.
    run: A function like `cpu_budgets.run_training`.

  Returns:
    The workdirs of the training runs, and their steps and CPU-seconds.

  Raises:
    ValueError: If the budget is too small for one step of a training run.
  """
  configs = FAMILIES[family]
  workdirs, frozen, steps, spent = [], {}, [], 0.0
  share = budget / len(configs)
  for config in configs:
    name = config.replace(':', '_')
    workdirs.append(out / f'{name}_{data}_{seed}_{share:g}')
    overrides = {'seed': seed, 'sample_every': 0, 'evaluate_every': 0}
    overrides |= frozen | (OVERRIDES[data] if family in GANS else {})
    cost = cpu_budgets.train_once(config, workdirs[-1], overrides, share, run)
    spent += cost['cpu_seconds']
    steps.append(cost['steps'])
    frozen = {'frozen.autoencoder': str(workdirs[-1])}
  text = ' + '.join(map(str, steps))
  return workdirs, {'steps': text, 'cpu_seconds': spent}


def evaluate(workdir: pathlib.Path, num_clips: int) -> dict[str, float]:
  """Returns numbers of the verifier, parameters and the cost of a clip."""
  import jax

  from experiments.zoo.adversarial import rough_clips
  from vgen_jax.config import build
  from vgen_jax.inference import runs
  from vgen_jax.synthetic.world import verifier as verifier_lib

  run = runs.load(str(workdir))
  data, shape = run.config.data.to_dict(), run.config.clip_shape
  world = build.source(data, shape, split='validation')
  label_b = run.condition(num_clips)['label'] if world.label else None
  run.sample(num_clips)  # Compiles the sampler.
  start = time.process_time()
  video = run.sample(num_clips)
  cost = (time.process_time() - start) / num_clips
  verifier = verifier_lib.Verifier(world)
  numbers = verifier.report(video, label_b)
  rough_b = verifier.valid(verifier.features(video), rough_clips.ROUGH)
  size = sum(x.size for x in jax.tree.leaves(run.state.params))
  numbers['valid_rough'] = float(rough_b.mean())
  return {**numbers, 'parameters': size / 1e6, 'cpu_seconds_per_clip': cost}


def read_rows(path: pathlib.Path) -> list[dict]:
  """Returns the finished rows; a line cut short by a crash is left out."""
  rows = []
  for line in path.read_text().splitlines() if path.exists() else ():
    try:
      # Rows of earlier versions do not state their data.
      rows.append({'data': 'demo', **json.loads(line)})
    except json.JSONDecodeError:
      print(f'{path}: left out {line[:40]!r}', file=sys.stderr)
  return rows


def table(rows: Sequence[Mapping[str, object]]) -> str:
  """Returns a Markdown table of rows, the best family first."""
  best = sorted(rows, key=lambda row: -float(row['validity_loose']))
  lines = [
    '| ' + ' | '.join(_COLUMNS.values()) + ' |',
    '|' + '---|' * len(_COLUMNS),
  ]
  for row in best:
    cells = [row.get(key, '') for key in _COLUMNS]
    cells = [f'{x:.3g}' if isinstance(x, float) else str(x) for x in cells]
    lines.append('| ' + ' | '.join(cells) + ' |')
  return '\n'.join(lines)


if __name__ == '__main__':
  main()
