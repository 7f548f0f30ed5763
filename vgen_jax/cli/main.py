"""The command `vgen`: runs a sub-command and prints errors as one line.

  vgen train --config=dit_world --workdir=runs/dit
  vgen sample --workdir=runs/dit --num=16

`vgen COMMAND --help` or `vgen help COMMAND` lists the flags of a command. With
--debug, errors are shown with their traceback. `vgen --version` prints the
version.

The exit status is 0 if the command has done its work, 1 after an error, 143 if
SIGTERM stopped it early, 130 if Ctrl-C did, and 141 if the program that reads
its output ended before it.
"""

# The modules of commands import JAX and the rest of the package inside `run`,
# so that help texts are printed at once.

import argparse
import importlib
import itertools
import logging
import pathlib
import signal
import sys
import traceback

import vgen_jax
from vgen_jax.cli import closed_output
from vgen_jax.cli import cluster
from vgen_jax.core import checks
from vgen_jax.core import disk
from vgen_jax.core import file_paths
from vgen_jax.core.processes import signals

_COMMANDS = {
  'train': 'Train a model, or resume its training.',
  'sample': 'Generate clips with a trained model.',
  'evaluate': 'Generate clips and compute metrics.',
  'report': 'Write a page with the evaluations of one or several runs.',
  'configs': 'List the configs that ship with vgen_jax, or copy one.',
  'data': 'Prepare, encode, inspect and time datasets.',
  'demo': 'Train, sample and verify a small model in minutes.',
  'ablate': 'Run an experiment: several runs, then a table and a plot.',
}


def main(argv: list[str] | None = None) -> int:
  """Runs a command and returns the exit status."""
  try:
    status = _main(sys.argv[1:] if argv is None else argv)
  except SystemExit as ended:  # Raised by argparse after a help text.
    status = ended.code or 0
  except BrokenPipeError:
    if not closed_output.is_closed():
      raise
    closed_output.discard()
    status = closed_output.STATUS
  try:
    print(end='', flush=True)
  except OSError as error:
    closed_output.discard()
    if isinstance(error, BrokenPipeError):
      return closed_output.STATUS
    print(f'vgen: {one_line(error)}', file=sys.stderr)
    return 1
  return status


def _main(argv: list[str]) -> int:
  if len(argv) > 1 and argv[0] == 'help':
    argv = [*argv[1:], '--help']
  if not argv or argv[0] in ('-h', '--help', 'help'):
    print(__doc__)
    for name, what in _COMMANDS.items():
      print(f'  {name:8} {what}')
    print('\n`vgen configs` shows what can be trained.')
    return 0 if argv else 2
  if argv[0] == '--version':
    print(f'vgen_jax {vgen_jax.__version__}')
    return 0
  return _status(*argv)


def _status(name: str, *rest: str) -> int:
  """Runs a command, prints its error, and returns the exit status."""
  debug = '--debug' in rest
  _set_up_logging(debug)
  try:
    if name not in _COMMANDS:
      known = list(_COMMANDS)
      raise ValueError(f'Unknown command {name!r}.{checks.hint(name, known)}')
    module = importlib.import_module(f'vgen_jax.cli.{name}')
    parser = _Parser(
      prog=f'vgen {name}',
      description=module.__doc__,
      formatter_class=Formatter,
      allow_abbrev=False,
    )
    parser.add_argument(
      '--debug', action='store_true', help='Show tracebacks of errors.'
    )
    module.add_arguments(parser)
    with signals.raising():
      status = module.run(parser.parse(list(rest))) or 0
    cluster.finish()
    return status
  except KeyboardInterrupt:
    print(f'vgen {name}: stopped by Ctrl-C', file=sys.stderr)
    return cluster.failed(signals.status(signal.SIGINT))
  except signals.Stopped as stopped:
    print(f'vgen {name}: stopped by SIGTERM', file=sys.stderr)
    return cluster.failed(stopped.code)
  except Exception as error:
    if isinstance(error, BrokenPipeError) and closed_output.is_closed():
      closed_output.discard()
      return cluster.failed(closed_output.STATUS)
    cluster.wait_for_verdict(error)
    if debug and not cluster.is_watching():
      raise
    if debug:  # A process of a pod ends in `cluster.failed`.
      traceback.print_exc()
    print(f'vgen {name}: {one_line(error)}', file=sys.stderr)
    return cluster.failed(1)


def one_line(error: BaseException) -> str:
  """Returns an error as one line, with its type if that is informative."""
  text = file_paths.printable(' '.join(str(error).split()))
  if disk.is_full(error) and disk.FULL not in text:
    file = getattr(error, 'filename', None)
    where = f' File: {file}.' if file else ''
    return f'{disk.FULL}{where} Free some space, then repeat the command.'
  if isinstance(error, ValueError | FloatingPointError | OSError) and text:
    return text
  return f'{type(error).__name__}: {text} (--debug shows the traceback)'


class Formatter(
  argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter
):
  """Keeps line breaks of descriptions, and shows the defaults of flags."""

  def _get_help_string(self, action: argparse.Action) -> str | None:
    text = action.help or ''
    is_unset = any(action.default is x for x in (None, False))  # Not 0.
    if is_unset or action.default == [] or '(default' in text:
      return text
    return super()._get_help_string(action)


class _Parser(argparse.ArgumentParser):
  """Accepts `--config.x=value` and reports unknown flags in one line."""

  def parse(self, argv: list[str]) -> argparse.Namespace:
    """Returns the flags; `overrides` has the strings of --config.x=value.

    Commands that accept these flags set a default of `overrides`.
    """
    overrides, rest = [], []
    words = iter(argv)
    for word in words:
      if not word.startswith('--config.'):
        rest.append(word)
        continue
      if '=' not in word:
        value = next(words, '--')
        if value.startswith('--'):
          raise ValueError(f'{word} has no value; write {word}=VALUE.')
        word += f'={value}'
      overrides.append(word.removeprefix('--config.'))
    if overrides and self.get_default('overrides') is None:
      raise ValueError(
        f'--config.{overrides[0]} has no effect, because {self.prog} reads no'
        ' config; remove it.'
      )
    # A misspelt flag is reported as such, not as the absence of another one.
    checked = rest
    if any(a.nargs == argparse.REMAINDER for a in self._actions):
      is_flag = lambda word: word.startswith('-')
      checked = list(itertools.takewhile(is_flag, rest))
    for word in checked:
      self._check_flag(word)
    args, unknown = self.parse_known_args(rest)
    if unknown:
      self._check_flag(unknown[0], always=True)
    args.overrides = overrides
    return args

  def _check_flag(self, word: str, always: bool = False) -> None:
    """Raises ValueError if a word looks like a flag that does not exist."""
    flags = [s for a in self._actions for s in a.option_strings]
    flag = word.partition('=')[0]
    if always or (
      flag.startswith('--') and len(flag) > 2 and flag not in flags
    ):
      raise ValueError(f'Unknown flag {flag!r}.{checks.hint(flag, flags)}')

  def error(self, message: str) -> None:
    raise ValueError(message)


class _Handler(logging.StreamHandler):
  """Writes messages to standard error, above a progress bar if there is one."""

  def emit(self, record: logging.LogRecord) -> None:
    progress = sys.modules.get('tqdm')  # Not imported if there is no bar.
    if progress is None:
      super().emit(record)
      return
    try:
      progress.tqdm.write(self.format(record), file=self.stream)
    except Exception:
      self.handleError(record)


def _set_up_logging(debug: bool) -> None:
  handler = _Handler()
  handler.setFormatter(file_paths.Formatter('%(message)s'))
  logger = logging.getLogger('vgen_jax')
  logger.handlers = [handler]
  logger.setLevel(logging.DEBUG if debug else logging.INFO)
  logger.propagate = False
  if not debug:  # Orbax and others log every step through absl.
    logging.getLogger('absl').setLevel(logging.ERROR)


def run_as_module() -> int:
  """Runs `main` for `python -m`, with the module path of the command `vgen`.

  Python puts the current directory in front of the path of a module that it
  runs. Code there, such as that of a downloaded run, could then replace modules
  or be named by a config.json. The directory stays in the path only if it
  contains vgen_jax itself.
  """
  here = pathlib.Path.cwd()
  first = pathlib.Path(sys.path[0]).resolve()
  root = pathlib.Path(vgen_jax.__file__).resolve().parents[1]
  if first == here != root and not sys.flags.safe_path:
    del sys.path[0]
  return main()


if __name__ == '__main__':
  sys.exit(run_as_module())
