"""Tests of runtime/checkpoints.py: saving, restoring and errors."""

import pathlib
import subprocess
import sys
import textwrap

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
import pytest

from vgen_jax.families import base
from vgen_jax.runtime import checkpoint_parts
from vgen_jax.runtime import checkpoints as checkpoints_lib
from vgen_jax.runtime import mismatch
from vgen_jax.training import state as state_lib

BATCH = {'video': jnp.zeros((2, 1, 1, 1, 3))}


class Fit(base.VideoModel):
  """A small model."""

  net: nn.Module

  @property
  def updates(self):
    return (base.Update('net'),)

  def loss(self, batch, *, player, train):
    return jnp.square(self.net(batch['video'])).mean(), {}


def make(width: int = 3, optimizer=None, seed: int = 0) -> state_lib.TrainState:
  model = Fit((1, 1, 1, 3), nn.Dense(width))
  optimizers = {'net': optimizer or optax.adam(1e-3)}
  return state_lib.create(model, optimizers, ('slow',), BATCH, seed)


def save(folder, *steps, **kwargs) -> checkpoints_lib.Checkpoints:
  checkpoints = checkpoints_lib.Checkpoints(str(folder), **kwargs)
  for step in steps:
    state = make(seed=step).replace(step=jnp.int32(step))
    checkpoints.save(step, state, {'loss': abs(step - 2.0)})
  checkpoints.wait()
  return checkpoints


def test_every_leaf_is_restored(tmp_path):
  with_key = save(tmp_path, 3)
  restored = with_key.restore(make(seed=9))
  saved = make(seed=3).replace(step=jnp.int32(3))
  plain = lambda s: s.replace(rng=jax.random.key_data(s.rng))
  chex.assert_trees_all_equal(plain(restored), plain(saved))


@pytest.mark.parametrize(
  ('best', 'kept'), [('', [4, 5]), ('loss', [2, 4, 5]), ('-loss', [4, 5])]
)
def test_the_latest_and_the_best_checkpoints_are_kept(
  tmp_path, best: str, kept: list[int]
):
  checkpoints = save(tmp_path, 1, 2, 3, 4, 5, keep=2, best=best)
  assert checkpoints_lib.steps(str(tmp_path)) == kept
  assert checkpoints.latest_step() == 5
  assert checkpoints.best_step() == {'': None, 'loss': 2, '-loss': 5}[best]
  checkpoints.close()


def test_a_value_that_is_not_finite_is_never_the_best(tmp_path):
  checkpoints = checkpoints_lib.Checkpoints(str(tmp_path), keep=1, best='loss')
  values = ({'loss': 0.5}, {'loss': float('nan')}, {}, {'loss': 0.7})
  for step, metrics in enumerate(values, start=1):
    checkpoints.save(step, make(), metrics)
  checkpoints.close()
  assert checkpoints_lib.steps(str(tmp_path)) == [1, 4]
  again = checkpoints_lib.Checkpoints(str(tmp_path), keep=1, best='other')
  again.save(5, make(), {'other': 1.0})  # `best` may change on resume.
  again.close()
  assert 5 in checkpoints_lib.steps(str(tmp_path))


def test_two_processes_cannot_write_to_a_workdir(tmp_path):
  one = save(tmp_path, 1)
  two = checkpoints_lib.Checkpoints(str(tmp_path))
  one.save(2, make(), {})
  one.wait()
  with pytest.raises(OSError, match='another process trains in this workdir'):
    two.save(2, make(), {})


def test_paths_of_buckets_are_kept():
  folder = checkpoints_lib.folder_of('gs://bucket/run')
  assert str(folder) == 'gs://bucket/run/checkpoints'


@pytest.mark.parametrize(
  ('other', 'message'),
  [
    (
      dict(width=4),
      r'params/net/bias is float32\[3\], but with .* float32\[4\]',
    ),
    (
      dict(optimizer=optax.adamw(1e-3)),
      'belongs to a run with another optimizer',
    ),
    (dict(optimizer=optax.sgd(1e-3)), 'has opt/net/0/count, which this'),
    (dict(optimizer=optax.adagrad(1e-3)), 'has no opt/net/0/sum_of_squares'),
  ],
)
def test_the_first_leaf_that_differs_is_reported(tmp_path, other, message):
  checkpoints = save(tmp_path, 1)
  with pytest.raises(mismatch.MismatchError, match=message):
    checkpoints.restore(make(**other))


def test_an_unreadable_checkpoint_is_reported_with_its_folder(tmp_path):
  save(tmp_path, 1, 2).close()
  for file in (tmp_path / 'checkpoints/2').rglob('*'):
    if file.is_file() and '/d/' in str(file):
      file.write_bytes(b'x' * 10)
  checkpoints = checkpoints_lib.Checkpoints(str(tmp_path))
  with pytest.raises(
    ValueError, match=r'/2 cannot be read: .*intact: \[1\].* from step 1\.'
  ):
    checkpoints.restore(make())


def test_parameters_can_be_read_without_the_optimizer(tmp_path):
  save(tmp_path, 1, 2).close()
  part = {'ema': make().ema}
  found = checkpoint_parts.read(str(tmp_path), part, step=1)
  chex.assert_trees_all_equal(found, {'ema': make(seed=1).ema})
  with pytest.raises(
    ValueError, match=r'step 7; it has checkpoints of .*\[1, 2\]'
  ):
    checkpoint_parts.read(str(tmp_path), part, step=7)
  with pytest.raises(ValueError, match=r'has no checkpoint\. Train first'):
    checkpoint_parts.read(str(tmp_path / 'none'), part)


FULL_DISK = """
import resource, signal, sys
import jax, jax.numpy as jnp
jax.config.update('jax_platforms', 'cpu')
from vgen_jax.runtime import checkpoints
from vgen_jax.training import state
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
one = state.TrainState(jnp.int32(1), {'net': jax.random.normal(
  jax.random.key(0), (400, 400))}, {}, {}, {}, {}, jax.random.key(0))
saved = checkpoints.Checkpoints(sys.argv[1])
saved.save(1, one, {})
saved.wait()
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
  saved.save(2, one, {})
  saved.wait()
except OSError as error:
  print(error)
"""


def test_a_full_disk_is_the_reason_that_is_reported(tmp_path, monkeypatch):
  checkpoints = save(tmp_path, 1)

  def full(*args, **kwargs):
    raise ValueError('Traceback\n' * 300 + 'OS error 28: ENOSPC')

  monkeypatch.setattr(checkpoints._manager, 'save', full)
  with pytest.raises(
    OSError, match=r'written to \S+: The disk is full'
  ) as error:
    checkpoints.save(2, make(), {})
  assert len(str(error.value)) < 400


def test_a_full_disk_keeps_complete_checkpoints(tmp_path):
  """Files are limited to 100 kB while a checkpoint of 640 kB is saved."""
  done = subprocess.run(
    [sys.executable, '-c', textwrap.dedent(FULL_DISK), str(tmp_path)],
    capture_output=True,
    text=True,
    cwd=pathlib.Path(__file__).parents[2],
    check=False,
  )
  assert 'could not be written' in done.stdout, done.stderr[-2000:]
  assert 'checkpoints of steps [1] are complete' in done.stdout
  assert checkpoints_lib.steps(str(tmp_path)) == [1]
