"""Interrupts commands at random moments, and compares the resulting files.

  python -m experiments.robustness.signals_and_kills --out=/tmp/robustness

Each trial starts a command, sends SIGTERM, SIGINT or SIGKILL at a random
moment, checks the exit status and that no process is left, repeats the command
until it has done its work, and compares all files and the state of the run, bit
for bit, with those of a command that was not interrupted. The processes are
forks of this one, which has imported JAX but not initialized a backend. The
table is written to OUT/table.md.
"""

import argparse
import collections
import functools
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import time

import grain  # noqa: F401
import jax
import orbax.checkpoint

from experiments.robustness import forks
from experiments.robustness import tasks
from vgen_jax.cli import main as cli
from vgen_jax.core import digests
from vgen_jax.inference import hooks  # noqa: F401
from vgen_jax.training import loop  # noqa: F401

# {task: (signals, kills)}
TRIALS = {
  'prepare': (7, 5),
  'encode': (7, 5),
  'sample': (8, 6),
  'evaluate': (8, 6),
  'train': (6, 6),
  'train with workers': (2, 2),
  'ablate': (3, 2),
}
_MAX_REPEATS = 3
_SOON = 1.5  # In seconds.


def main() -> int:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument(
    '--out', type=pathlib.Path, required=True, help='Directory for all files.'
  )
  parser.add_argument(
    '--seed', type=int, default=0, help='Seed of the random moments.'
  )
  parser.add_argument(
    '--only', default='', help='Names of tasks, separated by commas.'
  )
  args = parser.parse_args()
  jax.config.update('jax_platforms', 'cpu')
  jax.config.update('jax_disable_most_optimizations', True)
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
  base = args.out / 'base'
  if not (base / 'done').exists():
    _prepare(base)
  log = args.out / 'trials.jsonl'
  names = args.only.split(',') if args.only else list(TRIALS)
  for name in names:
    task = tasks.Task(name, base, workers=2 if 'workers' in name else 0)
    _run_trials(task, args.out, log, random.Random(f'{args.seed} {name}'))
  text = _table([json.loads(line) for line in log.read_text().splitlines()])
  (args.out / 'table.md').write_text(text)
  print(text)
  return 0


def _prepare(base: pathlib.Path) -> None:
  """Trains the runs that the commands need."""
  base.mkdir(parents=True, exist_ok=True)
  (base / 'experiment.py').write_text(tasks.EXPERIMENT)
  task = tasks.Task('train', base)
  _expect(
    forks.Child(lambda: cli.main(task.argv(base)), base / 'log').wait(), 0
  )
  tokenizer = [
    'train', f'--config={tasks.ROOT}/configs/fsq_world.py:smoke',
    f'--workdir={base}/tokenizer', *tasks.QUICK, '--config.sample_every=0',
    '--config.evaluate_every=0', '--config.num_steps=2',
  ]  # fmt: skip
  _expect(forks.Child(lambda: cli.main(tokenizer), base / 'log').wait(), 0)
  (base / 'done').touch()


def _run_trials(
  task: tasks.Task, out: pathlib.Path, log: pathlib.Path, rng: random.Random
) -> None:
  """Runs all trials of a task, and appends their outcomes to a file."""
  for _ in range(2):  # The first run fills the compilation cache.
    reference = _fresh(task, out / 'reference' / task.name, out)
    start = time.monotonic()
    status = forks.Child(_command(task, reference), reference / 'log').wait()
    seconds = time.monotonic() - start
    _expect(status, 0)
  wanted = _state(reference) | task.results(reference)
  num_signals, num_kills = TRIALS[task.name]
  numbers = [signal.SIGKILL] * num_kills
  numbers += [
    signal.SIGTERM if i % 2 else signal.SIGINT for i in range(num_signals)
  ]
  rng.shuffle(numbers)
  for i, number in enumerate(numbers):
    outcome = None
    while outcome is None:
      folder = _fresh(task, out / 'trials' / f'{task.name} {i}', out)
      outcome = _trial(task, folder, number, rng.uniform(0.05, 1.0) * seconds)
    there = _state(folder) | task.results(folder)
    outcome['missing'] = len(set(wanted) - set(there))
    outcome['different'] = [
      name for name in wanted if there.get(name, wanted[name]) != wanted[name]
    ]
    outcome['extra'] = [name for name in there if name not in wanted]
    with log.open('a') as file:
      file.write(json.dumps(outcome) + '\n')
    print(outcome, flush=True)
    is_right = outcome['status_is_right'] and outcome['finished']
    if is_right and not outcome['missing'] and not outcome['different']:
      shutil.rmtree(folder)


def _trial(
  task: tasks.Task, folder: pathlib.Path, number: int, delay: float
) -> dict | None:
  """Interrupts a command once, and repeats it until it has done its work.

  Returns:
    The outcome; None if the command had ended before the signal was sent.
  """
  before = forks.shared_memory()
  child = forks.Child(_command(task, folder), folder / 'log')
  time.sleep(delay)
  if child.poll() is not None:
    _expect(child.wait(), 0)
    return None
  sent = time.monotonic()
  os.kill(child.pid, number)
  status = child.wait()
  took = time.monotonic() - sent
  orphans = child.group()
  logged, saved = _steps(folder)
  is_signal = number != signal.SIGKILL
  # Before the command has installed its handlers, a signal ends the process;
  # shells then report the same status. A command that is done soon after the
  # signal may report success.
  allowed = (-number, 128 + number) if is_signal else (-number,)
  status_is_right = status in allowed or (status == 0 and took < _SOON)
  repeats, last = 0, status
  while last != 0 and repeats < _MAX_REPEATS:
    last = forks.Child(_command(task, folder), folder / 'log').wait()
    repeats += 1
  return {
    'task': task.name,
    'signal': signal.Signals(number).name,
    'after': round(delay, 2),
    'took': round(took, 2),
    'stopped': status != 0,
    'status': status,
    'status_is_right': status_is_right,
    'orphans': len(orphans),
    'shared_memory': len(forks.shared_memory() - before),
    'steps_lost': max(0, logged - saved) if is_signal else 0,
    'finished': last == 0 or task.is_done(folder / 'log'),
    'repeats': repeats,
  }


def _command(task: tasks.Task, folder: pathlib.Path):
  return lambda: cli.main(task.argv(folder))


def _fresh(
  task: tasks.Task, folder: pathlib.Path, out: pathlib.Path
) -> pathlib.Path:
  """Returns an empty folder, with a copy of the finished run if it is needed.

  The name of the folder has the same length, and is not stored in results.
  """
  shutil.rmtree(folder, ignore_errors=True)
  folder.mkdir(parents=True)
  if task.needs_run:
    shutil.copytree(out / 'base/run', folder / 'run')
  return folder


def _steps(folder: pathlib.Path) -> tuple[int, int]:
  """Returns the last step in the log, and that of the latest checkpoint."""
  file = folder / 'run/metrics.jsonl'
  lines = file.read_text().splitlines() if file.exists() else []
  logged = max((json.loads(line)['step'] for line in lines), default=0)
  saved = [
    int(path.name)
    for path in (folder / 'run/checkpoints').glob('*')
    if path.name.isdigit()
  ]
  return logged, max(saved, default=0)


def _state(folder: pathlib.Path) -> dict[str, str]:
  """Returns digests of the final states of all runs in a folder."""
  found = {}
  for checkpoints in sorted((folder / 'run').rglob('checkpoints')):
    last = max(int(path.name) for path in checkpoints.iterdir())
    output = folder / 'digest'
    write = lambda path: output.write_text(_digest(path)) and 0  # noqa: B023
    path = checkpoints / f'{last}/default'
    child = forks.Child(functools.partial(write, path), folder / 'log')
    _expect(child.wait(), 0)
    found[f'{checkpoints.parent.relative_to(folder)} state'] = (
      f'{last} {output.read_text()}'
    )
  return found


def _digest(path: pathlib.Path) -> str:
  """Returns a digest of all arrays of a checkpoint."""
  state = orbax.checkpoint.StandardCheckpointer().restore(path)
  return digests.tree({**state, 'rng': jax.random.key_data(state['rng'])})


def _expect(status: int, wanted: int) -> None:
  if status != wanted:
    raise RuntimeError(f'A command ended with {status}, not {wanted}.')


def _table(trials: list[dict]) -> str:
  """Returns the number of trials and of faults, by task and signal."""
  rows = collections.defaultdict(list)
  for trial in trials:
    kind = 'kill' if trial['signal'] == 'SIGKILL' else 'signal'
    rows[trial['task'], kind].append(trial)
  lines = [
    '| command | sent | trials | stopped early | wrong status | steps lost'
    ' | files missing | files or states that differ | other files left'
    ' | processes left'
    ' | not finished |',
    '|---' * 11 + '|',
  ]
  for (task, kind), found in sorted(rows.items()):
    count = lambda key, found=found: sum(map(key, found))
    cells = [
      len(found),
      count(lambda x: x['stopped']),
      count(lambda x: not x['status_is_right']),
      count(lambda x: x['steps_lost']),
      count(lambda x: x['missing']),
      count(lambda x: len(x['different'])),
      count(lambda x: len(x['extra'])),
      count(lambda x: x['orphans'] + x['shared_memory']),
      count(lambda x: not x['finished']),
    ]
    lines.append(f'| {task} | {kind} | ' + ' | '.join(map(str, cells)) + ' |')
  return '\n'.join(lines) + '\n'


if __name__ == '__main__':
  sys.exit(main())
