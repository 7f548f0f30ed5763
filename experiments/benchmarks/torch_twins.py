"""Compares train steps of three networks with their twins in PyTorch.

  pip install torch==2.13.0
  python -m experiments.benchmarks.torch_twins --threads=1

The configs are the sizes `small` of VGAN, MoCoGAN and SVG with a learned prior.
A twin, in twins/, has the same layers, sizes, losses, updates, optimizer and
averages, read from the config. Before steps are measured:

- numbers of parameters must be equal, except that an LSTM or a GRU of PyTorch
  has a second vector of biases;
- with the parameters of Flax, outputs of all networks must agree to 1e-4, and
  must not agree when one kernel is reversed;
- with the same random numbers, all losses of a whole step must agree.

Then whole steps of both are measured in turn, on the same cores with the same
number of threads. PyTorch runs eagerly, and with fused Adam. It does not
compute the metrics that vgen_jax logs.

`--costs` measures instead what several updates of the critic, R1 and
simultaneous updates cost in a step of VGAN, in JAX only. Prints tables in
Markdown. PyTorch is needed by this script only, and not with `--costs`.
"""

import argparse
from collections.abc import Sequence
import importlib.util
import os
import pathlib
import statistics

_ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIGS = {
  'vgan': 'vgan_world',
  'mocogan': 'mocogan_world',
  'svg': 'svg_two_futures',
}


def main(argv: Sequence[str] | None = None) -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument(
    '--networks', default=','.join(CONFIGS), help='Names. Default: %(default)s.'
  )
  parser.add_argument('--size', default='small', help='Size of the configs.')
  parser.add_argument(
    '--repeats', type=int, default=5, help='Measurements of each.'
  )
  parser.add_argument(
    '--steps', type=int, default=10, help='Steps of a measurement.'
  )
  parser.add_argument(
    '--threads', type=int, default=1, help='Cores, and threads of each.'
  )
  parser.add_argument(
    '--costs', action='store_true', help='Measure variants of VGAN instead.'
  )
  args = parser.parse_args(argv)
  for name in ('repeats', 'steps', 'threads'):
    if getattr(args, name) < 1:
      parser.error(f'--{name} is {getattr(args, name)}; it must be 1 or more.')
  names = args.networks.split(',')
  if unknown := [name for name in names if name not in CONFIGS]:
    parser.error(
      f'--networks has {unknown}; it must be of {", ".join(CONFIGS)}.'
    )
  if not args.costs and importlib.util.find_spec('torch') is None:
    parser.error(
      'PyTorch is not installed; this script compares with it: pip install'
      ' torch==2.13.0'
    )
  use_cores(args.threads)
  if args.costs:
    measure_costs(args)
  else:
    measure_twins(args, names)


def use_cores(number: int) -> None:
  """Restricts this process to some cores; call it before JAX computes.

  Raises:
    ValueError: If the process may not use as many cores.
  """
  cores = sorted(os.sched_getaffinity(0))
  if len(cores) < number:
    raise ValueError(
      f'--threads is {number}, but this process may use {len(cores)} cores.'
    )
  os.sched_setaffinity(0, cores[:number])


def measure_twins(args: argparse.Namespace, names: Sequence[str]) -> None:
  """Compares and times the networks, and prints what was found."""
  import torch

  from experiments.benchmarks.twins import comparison
  from experiments.benchmarks.twins import timing
  from vgen_jax.config import settings as settings_lib
  from vgen_jax.training import setup as setup_lib

  torch.set_num_threads(args.threads)
  rows = []
  for name in names:
    setup = setup_lib.make(settings_lib.read(load(name, args.size)))
    one = comparison.pair(setup)
    ours, theirs, more = comparison.parameters(one)
    print(f'{CONFIGS[name]}: {ours} parameters in JAX, {theirs} in PyTorch;')
    print(f'  second vectors of biases, only in PyTorch: {more or "none"}')
    errors, wrong, losses = comparison.check(one)
    print(f'  errors of outputs: {_numbers(errors)}')
    print(f'  with a reversed kernel: {_numbers(wrong)}')
    print(f'  errors of losses of a step: {_numbers(losses)}', flush=True)
    steps = {
      'JAX': one.run.step,
      'PyTorch': lambda one=one: one.twin.step(one.run.batch),
    }
    times = timing.interleaved(
      steps, args.repeats, dict.fromkeys(steps, args.steps)
    )
    rows.append(
      {
        'config': f'`{CONFIGS[name]}:{args.size}`',
        'parameters': str(ours),
        **{
          f'{side}, ms per step': f'{statistics.median(values):.1f}'
          for side, values in times.items()
        },
        'JAX / PyTorch (range)': timing.ratio(times['JAX'], times['PyTorch']),
      }
    )
  print(f'\n{_conditions(args)}, PyTorch {torch.__version__}\n')
  print(timing.table(rows))


def measure_costs(args: argparse.Namespace) -> None:
  """Times variants of VGAN, and prints a table."""
  from experiments.benchmarks.twins import costs
  from experiments.benchmarks.twins import run as run_lib
  from experiments.benchmarks.twins import timing
  from vgen_jax.config import settings as settings_lib
  from vgen_jax.training import setup as setup_lib

  config = load('vgan', args.size)
  steps, number = {}, {}
  for name, variant in costs.VARIANTS.items():
    changed = costs.config_of(config, variant, costs.BATCH_SIZE)
    setup = setup_lib.make(settings_lib.read(changed))
    steps[name] = run_lib.Run(setup).step
    # A measurement covers whole periods.
    number[name] = -(-args.steps // variant.every) * variant.every
  times = timing.interleaved(steps, args.repeats, number)
  print(f'{_conditions(args)}, {costs.BATCH_SIZE} clips\n')
  print(timing.table(costs.rows(times, costs.VARIANTS, costs.BATCH_SIZE)))


def load(name: str, size: str):
  """Returns the config of a network of CONFIGS, with a constant learning rate.

  The twins in PyTorch have no other schedule.
  """
  from vgen_jax.config import loading as config_lib

  config = config_lib.load(f'{_ROOT}/configs/{CONFIGS[name]}.py:{size}')
  schedule = {'name': 'constant', 'peak': config.optim.schedule.peak}
  return config_lib.replace(config, {'optim.schedule': schedule})


def _conditions(args: argparse.Namespace) -> str:
  import jax

  return (
    f'{args.threads} threads, {args.repeats} repeats of {args.steps} steps, JAX'
    f' {jax.__version__}'
  )


def _numbers(errors: dict[str, float]) -> str:
  return ', '.join(f'{name} {x:.1e}' for name, x in errors.items())


if __name__ == '__main__':
  main()
