"""Mutation test: changes one line at a time and runs the tests of its file.

  python tests/mutants.py --num=60 --seed=0 --out=build/mutants.jsonl

A mutant that no test notices shows a missing assertion. Lines are a random
sample of the statements of six packages; docstrings, type hints, messages of
errors and import lines are left out. Each mutant is a copy of the repository
with one changed expression. Its tests are those that import the changed file,
the closest first, until one fails or the time is over; a mutant that hangs is
killed. The result of each mutant is a line of the output, and mutants that are
in the output already are not run again. See tests/README.md for the results.
"""

import argparse
from collections.abc import Mapping
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from tests import mutations

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ('families', 'nn', 'models', 'training', 'data', 'evaluation')
_COPIED = ('vgen_jax', 'tests', 'configs', 'experiments', 'docs', 'colab')


def sample(root: pathlib.Path, num: int, seed: int) -> list[mutations.Mutant]:
  """Returns one mutant for each of `num` random lines of the packages."""
  by_line: dict[tuple[str, int], list[mutations.Mutant]] = {}
  for package in PACKAGES:
    for path in sorted((root / 'vgen_jax' / package).rglob('*.py')):
      for mutant in mutations.mutants_of(path, root):
        by_line.setdefault((mutant.path, mutant.line), []).append(mutant)
  rng = random.Random(seed)
  chosen = rng.sample(sorted(by_line), num)
  return [rng.choice(by_line[line]) for line in chosen]


def tests_of(root: pathlib.Path, path: str, most: int) -> list[str]:
  """Returns the test files that import a file, the closest first."""
  module = path.removesuffix('.py').replace('/', '.')
  package, _, name = module.rpartition('.')
  pattern = re.compile(
    rf'{re.escape(module)}\b|from {re.escape(package)} import {name}\b'
  )
  names = [part.removesuffix('.py') for part in pathlib.Path(path).parts[1:]]
  folder = root.joinpath('tests', *names[:-1])
  mirror = {*folder.glob(f'{names[-1]}_test.py')}
  mirror |= {*folder.glob(f'{names[-1]}_*_test.py')}
  importing = {
    test
    for test in (root / 'tests').rglob('*_test.py')
    if pattern.search(test.read_text())
  }

  def distance(test: pathlib.Path) -> tuple:
    parts = test.relative_to(root / 'tests').parts
    common = sum(a == b for a, b in zip(parts, names, strict=False))
    return test not in mirror, test not in importing, -common, str(test)

  near = {*folder.glob('*_test.py')} if len(importing | mirror) < 2 else set()
  found = sorted(mirror | importing | near, key=distance)
  return [str(test.relative_to(root)) for test in found[:most]]


def run(
  mutant: mutations.Mutant, root: pathlib.Path, timeout: float, most: int
) -> dict:
  """Returns the result of the tests on a copy with the mutant."""
  tests = tests_of(root, mutant.path, most)
  start = time.monotonic()
  outcome, killer = run_tests(
    root, tests, timeout, {mutant.path: mutant.source}
  )
  return {
    'name': mutant.name,
    'outcome': {'failed': 'killed', 'passed': 'survived'}.get(outcome, outcome),
    'killer': killer,
    'tests': tests,
    'seconds': round(time.monotonic() - start),
  }


def run_tests(
  root: pathlib.Path,
  tests: list[str],
  timeout: float,
  changed: Mapping[str, str],
) -> tuple[str, str]:
  """Returns 'passed', 'failed' or 'timeout', and the first failing test.

  Args:
    root: The repository, of which a copy is tested.
    tests: Files or names of tests.
    timeout: Seconds after which the tests are killed.
    changed: {path of a file: its new source}.
  """
  with tempfile.TemporaryDirectory(prefix='mutant') as folder:
    tree = pathlib.Path(folder)
    for name in _COPIED:
      if (root / name).exists():
        shutil.copytree(root / name, tree / name)
    for file in root.iterdir():
      if file.is_file():
        shutil.copy(file, tree)
    (tree / '.cache').mkdir()
    (root / '.cache/jax').mkdir(parents=True, exist_ok=True)
    (tree / '.cache/jax').symlink_to((root / '.cache/jax').resolve())
    for path, source in changed.items():
      (tree / path).write_text(source)
    process = subprocess.Popen(
      [sys.executable, '-m', 'pytest', '-n', '0', '-x', '-q', *tests],
      cwd=tree,
      env=os.environ | {'PYTHONPATH': folder},
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
      start_new_session=True,
    )
    try:
      output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
      os.killpg(process.pid, signal.SIGKILL)  # Also processes that tests start.
      process.communicate()
      return 'timeout', ''
  if not process.returncode:
    return 'passed', ''
  found = re.findall(r'^(?:FAILED|ERROR) (\S+)', output, re.M)
  return 'failed', found[0] if found else output[-200:]


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--num', type=int, default=60, help='Number of mutants.')
  parser.add_argument('--seed', type=int, default=0, help='Seed of the sample.')
  parser.add_argument(
    '--timeout', type=float, default=300, help='Seconds for each mutant.'
  )
  parser.add_argument(
    '--most', type=int, default=4, help='Largest number of test files.'
  )
  parser.add_argument(
    '--only', default='', help='Text that the names of mutants to run contain.'
  )
  parser.add_argument(
    '--stop_after', type=int, default=0, help='Mutants to run; 0 for all.'
  )
  parser.add_argument(
    '--check', action='store_true', help='Run failed tests without mutants.'
  )
  parser.add_argument('--out', default='build/mutants.jsonl', help='Output.')
  args = parser.parse_args()
  out = pathlib.Path(args.out)
  out.parent.mkdir(parents=True, exist_ok=True)
  lines = out.read_text().splitlines() if out.exists() else []
  done = {line['name']: line for line in map(json.loads, lines)}
  num_run = 0
  for mutant in sample(ROOT, args.num, args.seed):
    if mutant.name in done or args.only not in mutant.name:
      continue
    if args.stop_after and num_run == args.stop_after:
      break
    num_run += 1
    result = run(mutant, ROOT, args.timeout, args.most)
    done[mutant.name] = result
    with out.open('a') as file:
      file.write(json.dumps(result) + '\n')
    print(f'{result["outcome"]} in {result["seconds"]} s: {mutant.name}')
  found = [x['outcome'] for x in done.values()]
  print(f'{len(found)} mutants, {found.count("survived")} survived.')
  if args.check:
    # A test that fails without a mutant shows nothing.
    killers = sorted({x['killer'] for x in done.values() if x['killer']})
    outcome, failed = run_tests(ROOT, killers, 3600, {})
    print(f'Without a mutant, the tests that noticed one {outcome} {failed}')


if __name__ == '__main__':
  main()
