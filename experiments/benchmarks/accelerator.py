"""Measures this project on an accelerator that is available for some minutes.

  python -m experiments.benchmarks.accelerator --minutes=9 --out=runs/gpu

Runs the files of accelerator_parts/ one after the other, the most important
first: properties of the machine, agreement of fast code paths with slow ones,
train steps, train steps against PyTorch, other models, and training runs. Each
part has its own process and a fraction of the time. If a part fails, this is
reported and the next one starts. A part that exceeds its time is killed; the
results that it has written are kept. Time that a part does not need is given to
the parts after it.

The directory of --out gets results.jsonl (one line per measurement, written at
once), results.md (the same as tables), a log per part, and the clips and runs
of the last part. `--tiny` makes every size small enough for a CPU, to check the
script itself; its numbers are meaningless.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
import itertools
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time
from typing import Any

_STARTED = time.monotonic()
_ROOT = pathlib.Path(__file__).resolve().parents[2]
_FOLDER = pathlib.Path(__file__).resolve().parent / 'accelerator_parts'
# Parts in their order, and the seconds that each needs of nine minutes.
SHARES = {
  'machine': 20,
  'parity': 110,
  'train_step': 125,
  'torch_ratio': 80,
  'others': 80,
  'train_base': 120,
}
_OTHER_SHARE = 60  # Of a file that is not one of these.
# Seconds reserved for the last table and for ending a killed process.
_RESERVE_S = 3.0
_POLL_S = 0.25
_TITLES = ('part', 'name', 'status')  # Keys that are not values.
_MAX_COLUMNS = 12


def main(argv: Sequence[str] | None = None) -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument(
    '--minutes', type=float, default=9.0, help='Time limit of the whole script.'
  )
  parser.add_argument(
    '--out', type=pathlib.Path, required=True, help='Directory for results.'
  )
  parser.add_argument(
    '--parts',
    default=','.join(SHARES),
    help='Parts to run, separated by commas: names, or paths of .py files that'
    ' take the same arguments. Default: %(default)s.',
  )
  parser.add_argument(
    '--tiny', action='store_true', help='Use sizes for a CPU.'
  )
  args = parser.parse_args(argv)
  files = part_files(args.parts.split(','))
  if not 0 < args.minutes < float('inf'):
    raise ValueError(f'--minutes is {args.minutes}; it must be above 0.')
  out = args.out.resolve()
  out.mkdir(parents=True, exist_ok=True)
  results = out / 'results.jsonl'
  if results.exists():
    raise ValueError(f'{results} exists; choose an empty directory for --out.')
  results.touch()
  command = shlex.join(['python', *(sys.argv if argv is None else argv)])
  table = Table(results, f'`{command}`')

  end = _STARTED if argv is None else time.monotonic()
  end += 60 * args.minutes - _RESERVE_S
  left = [SHARES.get(name, _OTHER_SHARE) for name in files]
  for name, file in files.items():
    seconds = seconds_of_next(left, end - time.monotonic())
    left.pop(0)
    line = {'part': name, 'name': 'whole part'}
    if seconds < 1:
      line |= {'status': 'skipped', 'note': 'No time was left for it.'}
    else:
      line |= run_part(file, seconds, out, args.tiny, table.update)
    append(results, line)
    table.update()
  print(f'Tables: {out / "results.md"}')
  return 0


def part_files(names: Iterable[str]) -> dict[str, pathlib.Path]:
  """Returns {name: file} of parts that are given by name or by path.

  Raises:
    ValueError: If there is no such part or file.
  """
  files = {}
  for name in names:
    if name in SHARES:
      files[name] = _FOLDER / f'{name}.py'
    elif name.endswith('.py') and pathlib.Path(name).is_file():
      files[pathlib.Path(name).stem] = pathlib.Path(name).resolve()
    else:
      raise ValueError(
        f'--parts names {name!r}; it must be one of {", ".join(SHARES)}, or an'
        ' existing .py file.'
      )
  return files


def seconds_of_next(shares: Sequence[float], seconds: float) -> float:
  """Returns the seconds of the first part if all parts are run."""
  return max(seconds, 0.0) * shares[0] / sum(shares)


def run_part(
  file: pathlib.Path,
  seconds: float,
  out: pathlib.Path,
  tiny: bool,
  on_poll: Callable[[], None],
) -> dict[str, Any]:
  """Runs a part in a process group of its own, and kills it after some time.

  Args:
    file: Python file to run.
    seconds: After this time the process group is killed. The part itself
      is given a slightly earlier deadline.
    out: Directory of results and logs.
    tiny: Whether the part should use sizes for a CPU.
    on_poll: Called several times per second while the part runs.

  Returns:
    `status` ('ok', 'failed' or 'cut') and `seconds`; `note` unless it is 'ok'.
  """
  begun = time.monotonic()
  log = out / f'{file.stem}.log'
  margin = min(8.0, max(0.5, 0.1 * seconds))
  command = [sys.executable, '-P', str(file), f'--out={out}']
  command += [f'--seconds={seconds - margin:.1f}', *['--tiny'] * tiny]
  with log.open('w') as opened:
    process = subprocess.Popen(
      command,
      cwd=_ROOT,
      env=environment(os.environ, out, tiny),
      stdin=subprocess.DEVNULL,
      stdout=opened,
      stderr=subprocess.STDOUT,
      start_new_session=True,
    )
    try:
      while process.poll() is None and time.monotonic() - begun < seconds:
        time.sleep(_POLL_S)
        on_poll()
      code = process.poll()
    finally:
      _kill_group(process)
  line = {'status': 'ok', 'seconds': time.monotonic() - begun}
  if code is None:
    note = f'Killed after its share of {seconds:.0f} s; see {log.name}.'
    line |= {'status': 'cut', 'note': note}
  elif code:
    words = log.read_text(errors='replace').split('\n')
    last = next((x for x in reversed(words) if x.strip()), 'It said nothing.')
    note = f'Exit status {code}: {last.strip()[:300]} See {log.name}.'
    line |= {'status': 'failed', 'note': note}
  return line


def environment(
  env: Mapping[str, str], out: pathlib.Path, tiny: bool
) -> dict[str, str]:
  """Returns the environment of a part; variables of the user are kept.

  Args:
    env: Environment of the caller.
    out: Directory of results, which gets the cache of compiled programs.
    tiny: Whether the part should use sizes for a CPU.
  """
  path = os.pathsep.join(filter(None, [str(_ROOT), env.get('PYTHONPATH')]))
  defaults = {
    # The parts share compiled programs. The folder is new, so that reported
    # compile times do not profit from an earlier call.
    'JAX_COMPILATION_CACHE_DIR': str(out / 'compilation_cache'),
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
    # PyTorch needs memory, too, and peaks are then those of the program.
    'XLA_PYTHON_CLIENT_PREALLOCATE': 'false',
  }
  if 'XLA_PYTHON_CLIENT_MEM_FRACTION' not in env:  # Old name; not both.
    defaults['XLA_CLIENT_MEM_FRACTION'] = '0.92'
  if tiny:
    defaults['JAX_DISABLE_MOST_OPTIMIZATIONS'] = '1'
  return {**defaults, **env, 'PYTHONPATH': path}


def append(results: pathlib.Path, line: Mapping[str, Any]) -> None:
  """Adds a line to the results, after a line that a kill may have cut off."""
  text = results.read_text()
  separator = '' if text.endswith('\n') or not text else '\n'
  with results.open('a') as opened:
    opened.write(separator + json.dumps(line) + '\n')


class Table:
  """Rewrites results.md whenever results.jsonl has grown."""

  def __init__(self, results: pathlib.Path, title: str):
    self._results, self._title = results, title
    self._size = self._shown = 0

  def update(self) -> None:
    """Writes the tables, and prints the lines that are new."""
    text = self._results.read_text()
    if len(text) == self._size:
      return
    self._size = len(text)
    lines = read_lines(text)
    for line in lines[self._shown :]:
      print(json.dumps(line), flush=True)
    self._shown = len(lines)
    page = f'{self._title}\n\n' + markdown(lines)
    self._results.with_suffix('.md').write_text(page)


def read_lines(text: str) -> list[dict[str, Any]]:
  """Returns the results, without a line that is incomplete."""
  lines = []
  for line in text.splitlines():
    try:
      lines.append(json.loads(line))
    except json.JSONDecodeError:
      continue
  return lines


def markdown(lines: Iterable[Mapping[str, Any]]) -> str:
  """Returns tables: one for all results of a part with the same value names.

  A single result with many values is a table of two columns.
  """
  rows, part = [], None
  keys_of = lambda line: [k for k in line if k not in _TITLES]
  by_table = lambda line: (line['part'], keys_of(line))
  for (name, keys), group in itertools.groupby(lines, by_table):
    group = list(group)
    if name != part:
      part = name
      rows += ['', f'## {part}']
    table = [['measurement', *keys]]
    table += [[_title(x), *(x[key] for key in keys)] for x in group]
    if len(group) == 1 and len(keys) > _MAX_COLUMNS:
      table = list(zip(*table, strict=True))
    rows.append('')
    for number, cells in enumerate(table):
      rows.append('| ' + ' | '.join(map(_cell, cells)) + ' |')
      if not number:
        rows.append('|---' * len(cells) + '|')
  return '\n'.join(rows).strip() + '\n'


def _title(line: Mapping[str, Any]) -> str:
  status = line.get('status', 'ok')
  return line['name'] if status == 'ok' else f'{line["name"]}: **{status}**'


def _cell(value: Any) -> str:
  if value is None:
    return ''
  text = f'{value:.4g}' if isinstance(value, float) else str(value)
  return text.replace('|', '\\|').replace('\n', ' ')


def _kill_group(process: subprocess.Popen) -> None:
  """Ends a part and all processes that it has started, even if it has ended."""
  try:
    os.killpg(process.pid, signal.SIGKILL)
  except ProcessLookupError:
    pass
  try:
    process.wait(timeout=_RESERVE_S - 1)
  except subprocess.TimeoutExpired:
    print(f'Process {process.pid} does not end.', file=sys.stderr)


if __name__ == '__main__':
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # Runs `finally`.
  sys.exit(main())
