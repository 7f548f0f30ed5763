"""Tests that help texts do not import JAX and other slow packages."""

import subprocess
import sys

import pytest

from vgen_jax.cli import data_bench
from vgen_jax.cli import data_encode
from vgen_jax.cli import data_prepare
from vgen_jax.cli import encode_dataset
from vgen_jax.cli import prepare_dataset
from vgen_jax.cli import time_pipeline
from vgen_jax.data.prepare import public_datasets
from vgen_jax.data.tfds import storage

SLOW = ('jax', 'numpy', 'scipy', 'sklearn', 'grain', 'orbax', 'av', 'PIL')
CODE = """
import sys
from vgen_jax.cli import main
main.main(sys.argv[1:])
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
  [
    '',
    'train',
    'sample',
    'evaluate',
    'report',
    'ablate',
    'demo',
    'configs',
    'data',
    'data prepare',
    'data encode',
    'data inspect',
    'data bench',
  ],
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


def test_flags_name_what_the_implementations_accept():
  assert set(data_bench.FORMATS) == set(time_pipeline.FORMATS)
  assert data_encode.DTYPES == encode_dataset.DTYPES


def test_data_prepare_names_what_it_can_prepare():
  assert data_prepare.DATASETS == prepare_dataset.DATASETS
  assert data_prepare.FORMATS == storage.FORMATS
  layouts = data_prepare._LAYOUTS.splitlines()
  assert public_datasets.__doc__.splitlines()[2:8] == layouts[2:8]
