"""Compares families on the same data, each with the same CPU-seconds.

  python experiments/zoo/equal_compute.py --cpu_seconds=900 --out=runs/equal

For a family over latents or codes, half of the budget is used to train its
tokenizer. Short runs of each config measure how many CPU-seconds a step costs,
without start and compilation. The number of steps, and so the length of the
learning rate schedule, follows from the budget. Each trained model then
generates clips, which the verifier of the dataset checks. Families with the
same tokenizer use the same training run of it.

Prints a Markdown table. OUT/rows.jsonl has a line for each trained model; a
repeated command skips these models. An interrupted training run is repeated
from its start, so that all of its CPU-seconds are counted.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import time

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
}
# Of configs whose data differ from those of `demo`.
OVERRIDES = {
  'mocogan_world:small': {
    'clip_shape': (8, 16, 16, 3),
    'data.meets_walls': True,
    'data.only': {
      'shape': ('circle',),
      'size': ('large',),
      'speed': ('quickly',),
    },
  }
}
PROBES = (10, 60)  # Steps of the two short runs that are measured.
# Short runs are too short for a warm-up, and with a constant rate all of them
# have the same program, which another run before them compiles.
_CONSTANT_RATE = {'optim.schedule': {'name': 'constant', 'peak': 1e-4}}
_ROOT = pathlib.Path(__file__).resolve().parents[2]
_COLUMNS = {
  'family': 'family',
  'seed': 'seed',
  'parameters': 'parameters, M',
  'steps': 'steps',
  'cpu_seconds': 'CPU-s, all training runs',
  'validity_loose': 'valid (loose tier)',
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
    default=','.join(FAMILIES),
    help='Names of families, separated by commas (default: all).',
  )
  parser.add_argument('--out', required=True, help='Directory of the runs.')
  args = parser.parse_args()
  names = args.families.split(',')
  if unknown := [name for name in names if name not in FAMILIES]:
    parser.error(
      f'--families has unknown names {unknown}; choose from {list(FAMILIES)}.'
    )
  if args.num < 1:
    parser.error(f'--num is {args.num}; it must be at least 1.')
  out = pathlib.Path(args.out)
  out.mkdir(parents=True, exist_ok=True)
  path = out / 'rows.jsonl'
  rows = read_rows(path)
  done = {(row['family'], row['seed'], row['budget']) for row in rows}
  for seed in map(int, args.seeds.split(',')):
    for name in names:
      if (name, seed, args.cpu_seconds) in done:
        continue
      workdirs, row = train(name, seed, args.cpu_seconds, out, run_training)
      row |= {'family': name, 'seed': seed, 'budget': args.cpu_seconds}
      rows.append(row | evaluate(workdirs[-1], args.num))
      with path.open('a') as file:
        print(json.dumps(rows[-1]), file=file)
  rows = [row for row in rows if row['budget'] == args.cpu_seconds]
  print(table(rows))


def train(
  family: str,
  seed: int,
  budget: float,
  out: pathlib.Path,
  run: Callable[..., float],
) -> tuple[list[pathlib.Path], dict[str, object]]:
  """Trains the configs of a family, one after another, within a budget.

  Args:
    family: Key of FAMILIES.
    seed: Seed of the training runs.
    budget: CPU-seconds of all training runs together.
    out: Directory of the runs.
    run: A function like `run_training`.

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
    workdirs.append(out / f'{name}_{seed}_{share:g}')
    overrides = {'seed': seed, 'sample_every': 0, 'evaluate_every': 0}
    overrides |= OVERRIDES.get(config, {}) | frozen
    cost = _train_once(config, workdirs[-1], overrides, share, run)
    spent += cost['cpu_seconds']
    steps.append(cost['steps'])
    frozen = {'frozen.autoencoder': str(workdirs[-1])}
  text = ' + '.join(map(str, steps))
  return workdirs, {'steps': text, 'cpu_seconds': spent}


def _train_once(
  config: str,
  workdir: pathlib.Path,
  overrides: Mapping[str, object],
  budget: float,
  run: Callable[..., float],
) -> dict[str, float]:
  """Trains a config within a budget, unless WORKDIR.json says what it cost."""
  record = workdir.with_name(f'{workdir.name}.json')
  if record.exists():
    return json.loads(record.read_text())
  costs = []
  for num in (PROBES[0], *PROBES):
    probe = workdir.with_name(f'{workdir.name}_probe_{num}')
    short = {**overrides, **_CONSTANT_RATE, 'num_steps': num}
    costs.append(run(config, probe, short, keeps_programs=True))
  steps = affordable_steps(budget, costs[1:])
  spent = run(config, workdir, {**overrides, 'num_steps': steps})
  record.write_text(json.dumps({'steps': steps, 'cpu_seconds': spent}))
  return {'steps': steps, 'cpu_seconds': spent}


def affordable_steps(budget: float, costs: Sequence[float]) -> int:
  """Returns how many steps a budget pays for, start and compilation excluded.

  Args:
    budget: CPU-seconds.
    costs: CPU-seconds of two runs, of PROBES steps.

  Raises:
    ValueError: If the longer run was not more expensive, or the budget does not
      pay for one step.
  """
  per_step = (costs[1] - costs[0]) / (PROBES[1] - PROBES[0])
  if per_step <= 0:
    raise ValueError(
      f'Runs of {PROBES} steps cost {tuple(costs)} CPU-seconds, which must'
      ' increase; repeat the measurement.'
    )
  if budget < per_step:
    raise ValueError(
      f'The budget is {budget:g} CPU-seconds, but one step costs {per_step:g};'
      ' increase --cpu_seconds.'
    )
  return int(budget / per_step)


def run_training(
  config: str,
  workdir: pathlib.Path,
  overrides: Mapping[str, object],
  keeps_programs: bool = False,
) -> float:
  """Trains a config in a process of its own, and returns its CPU-seconds.

  Args:
    config: Name of a config.
    workdir: Directory of the run, which is deleted first.
    overrides: {dotted path: value} of fields to change.
    keeps_programs: Whether the program is taken from a cache beside `workdir`,
      and added to it. Otherwise its compilation is always counted.
  """
  command = [sys.executable, '-m', 'vgen_jax.cli.main', 'train']
  command += [f'--config={config}', f'--workdir={workdir.resolve()}']
  command += [f'--config.{key}={value}' for key, value in overrides.items()]
  environment = {
    **os.environ,
    'PYTHONPATH': str(_ROOT),
    'JAX_COMPILATION_CACHE_DIR': str(workdir.resolve().parent / 'programs'),
    'JAX_ENABLE_COMPILATION_CACHE': str(keeps_programs),
  }
  before = resource.getrusage(resource.RUSAGE_CHILDREN)
  shutil.rmtree(workdir, ignore_errors=True)
  subprocess.run(command, check=True, cwd=_ROOT, env=environment)
  after = resource.getrusage(resource.RUSAGE_CHILDREN)
  return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def evaluate(workdir: pathlib.Path, num_clips: int) -> dict[str, float]:
  """Returns numbers of the verifier, parameters and the cost of a clip."""
  import jax

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
  numbers = verifier_lib.Verifier(world).report(video, label_b)
  size = sum(x.size for x in jax.tree.leaves(run.state.params))
  return {**numbers, 'parameters': size / 1e6, 'cpu_seconds_per_clip': cost}


def read_rows(path: pathlib.Path) -> list[dict]:
  """Returns the finished rows; a line cut short by a crash is left out."""
  rows = []
  for line in path.read_text().splitlines() if path.exists() else ():
    try:
      rows.append(json.loads(line))
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
