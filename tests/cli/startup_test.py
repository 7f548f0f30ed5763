"""Tests that help texts do not import JAX and other slow packages."""

import subprocess
import sys

import pytest

SLOW = ('jax', 'numpy', 'scipy', 'sklearn', 'grain', 'orbax', 'av', 'PIL')
CODE = """
import sys
from vgen_jax.cli import main
try:
  main.main(sys.argv[1:])
except SystemExit:
  pass
print([name for name in {slow!r} if name in sys.modules])
"""


def imported(*argv: str) -> str:
  """Returns the slow packages that a command imports, as a list in a text."""
  done = subprocess.run(
    [sys.executable, '-c', CODE.format(slow=SLOW), *argv],
    capture_output=True,
    text=True,
    check=True,
  )
  assert len(done.stdout) > 200  # The help text is there.
  return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
  'command',
  ['', 'train', 'sample', 'evaluate', 'report', 'ablate', 'data', 'demo'],
)
def test_help_imports_nothing_slow(command: str):
  assert imported(*command.split(), '--help') == '[]'


def test_a_slow_import_is_noticed():
  done = subprocess.run(
    [sys.executable, '-c', 'import jax\n' + CODE.format(slow=SLOW), '--help'],
    capture_output=True,
    text=True,
    check=True,
  )
  assert "'jax'" in done.stdout.splitlines()[-1]
