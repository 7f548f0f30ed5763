"""Trains configs within budgets of CPU-seconds.

Short runs of a config measure how many CPU-seconds a step costs, without start
and compilation. The number of steps, and so the length of the learning rate
schedule, follows from the budget.
"""

from collections.abc import Callable, Mapping, Sequence
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys

PROBES = (10, 60)  # Steps of the two short runs that are measured.
# Short runs end before a warm-up would. With a constant learning rate they
# share one program, which an extra run compiles first.
_CONSTANT_RATE = {'optim.schedule': {'name': 'constant', 'peak': 1e-4}}
_ROOT = pathlib.Path(__file__).resolve().parents[2]


def train_once(
  config: str,
  workdir: pathlib.Path,
  overrides: Mapping[str, object],
  budget: float,
  run: Callable[..., float],
) -> dict[str, float]:
  """Trains a config within a budget.

  If WORKDIR.json exists, the cost that is recorded there is returned instead.

  Args:
    config: Name of a config.
    workdir: Directory of the run.
    overrides: {dotted path: value} of fields to change.
    budget: CPU-seconds, without start and compilation.
    run: A function like `run_training`.

  Returns:
    'steps' and 'cpu_seconds', which include start and compilation.

  Raises:
    ValueError: If the budget is too small for one step.
  """
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
