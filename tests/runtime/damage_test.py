"""Tests of damage.py and leaf_digests.py: damaged checkpoints are found."""

import json
import pathlib
import shutil

import chex
import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
import numpy as np
import pytest

from tests.core import damage as damage_lib
from vgen_jax.runtime import checkpoint_parts
from vgen_jax.runtime import checkpoints as checkpoints_lib
from vgen_jax.runtime import leaf_digests
from vgen_jax.training import state as state_lib


def make(seed: int) -> state_lib.TrainState:
  """Returns a state with all kinds of leaves; large ones get their own file."""
  key = jax.random.key(seed)
  params = {
    'kernel': jax.random.normal(key, (40, 50)),
    'half': jnp.full((3, 5), seed + 0.1, jnp.bfloat16),
    'scalar': jnp.float32(seed),
  }
  return state_lib.TrainState(
    step=jnp.int32(seed),
    params={'net': params},
    ema={'slow': {'net': jax.tree.map(jnp.copy, params)}},
    stats={'batch_stats': {'net': {'is_set': jnp.array([True, False])}}},
    opt={'net': jnp.arange(6, dtype=jnp.uint8)},
    guard={'net': {'norm': jnp.float32(seed / 3)}},
    rng=key,
  )


def save(folder, *steps: int) -> pathlib.Path:
  checkpoints = checkpoints_lib.Checkpoints(str(folder))
  for step in steps:
    checkpoints.save(step, make(step), {})
  checkpoints.close()
  return pathlib.Path(folder) / 'checkpoints'


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
  folder = tmp_path_factory.mktemp('saved')
  save(folder, 3, 4)
  return folder


def restore(folder) -> state_lib.TrainState:
  checkpoints = checkpoints_lib.Checkpoints(str(folder))
  try:
    return checkpoints.restore(make(9))
  finally:
    checkpoints._manager.close()


def plain(state: state_lib.TrainState) -> state_lib.TrainState:
  return state.replace(rng=jax.random.key_data(state.rng))


def flip(file: pathlib.Path, rng: np.random.Generator) -> None:
  content = bytearray(file.read_bytes())
  content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
  file.write_bytes(content)


def test_a_changed_element_changes_the_digest():
  rng = np.random.default_rng(0)
  for dtype in (np.float32, np.float16, np.uint8, np.bool_, np.int32):
    array = (rng.normal(size=(7, 11)) * 9).astype(dtype)
    before = leaf_digests.on_cpu(array)
    for _ in range(20):
      bits = array.copy().view(np.uint8).reshape(-1)
      bits[rng.integers(len(bits))] ^= 1
      assert leaf_digests.on_cpu(bits.view(dtype).reshape(7, 11)) != before
  signs = np.ones(10, np.float32)
  assert leaf_digests.on_cpu(signs) != leaf_digests.on_cpu(-signs)
  order = np.arange(10, dtype=np.float32)
  assert leaf_digests.on_cpu(order) != leaf_digests.on_cpu(order[::-1])


def test_a_digest_does_not_depend_on_the_devices():
  """The sums of NumPy and of JAX agree, on one device and on several."""
  leaves = jax.tree.leaves(plain(make(5)))
  on_cpu = [leaf_digests.on_cpu(np.asarray(leaf)) for leaf in leaves]
  assert [int(leaf_digests.on_devices(leaf)) for leaf in leaves] == on_cpu
  large = np.random.default_rng(0).normal(size=(8, 70_001)).astype(np.float32)
  mesh = jax.make_mesh((jax.device_count(),), ('x',))
  for spec in (P(), P('x')):
    placed = jax.device_put(large, NamedSharding(mesh, spec))
    assert int(leaf_digests.on_devices(placed)) == leaf_digests.on_cpu(large)


def test_a_state_is_checked_leaf_by_leaf(saved, tmp_path):
  shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
  chex.assert_trees_all_equal(plain(restore(tmp_path)), plain(make(4)))
  file = tmp_path / 'checkpoints/4/_CHECKPOINT_METADATA'
  content = json.loads(file.read_text())
  digests = content['custom_metadata']['leaf_digests']
  digests['ema/slow/net/kernel'] = 'float32[40, 50] 00000000'
  file.write_text(json.dumps(content))
  message = (
    r'4 is damaged: ema/slow/net/kernel was saved as .* 00000000 .*'
    r'\(1 of 11 arrays differ\).*intact: \[3\]\. Delete .*4 to resume from'
    r' step 3\.'
  )
  with pytest.raises(ValueError, match=message):
    restore(tmp_path)
  part = {'ema': make(0).ema}
  with pytest.raises(ValueError, match=r'kernel was.* intact: \[3\]\.'):
    checkpoint_parts.read(str(tmp_path), part)
  other = {'params': make(0).params}  # Not damaged.
  found = checkpoint_parts.read(str(tmp_path), other)
  chex.assert_trees_all_equal(found, {'params': make(4).params})
  del digests['ema/slow/net/kernel']
  file.write_text(json.dumps(content))
  with pytest.raises(ValueError, match='kernel was saved as nothing'):
    restore(tmp_path)


def test_an_old_checkpoint_is_read_with_one_warning(saved, tmp_path, caplog):
  shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
  file = tmp_path / 'checkpoints/4/_CHECKPOINT_METADATA'
  content = json.loads(file.read_text())
  content['custom_metadata'] = {}
  file.write_text(json.dumps(content))
  chex.assert_trees_all_equal(plain(restore(tmp_path)), plain(make(4)))
  printed = [r for r in caplog.records if 'has no digests' in r.message]
  assert len(printed) == 1


def outcome(folder) -> str:
  """Returns 'equal', 'silent' if the values are wrong, or the error."""
  try:
    found = plain(restore(folder))
  except ValueError as error:
    return str(error)
  same = jax.tree.map(np.array_equal, found, plain(make(4)))
  return 'equal' if all(jax.tree.leaves(same)) else 'silent'


def outcomes(saved, folder, num_flips: int, seed: int) -> list[str]:
  """Returns the outcomes of restoring after the flip of a single bit."""
  rng, found = np.random.default_rng(seed), []
  for i in range(num_flips):
    copy = folder / str(i)
    shutil.copytree(saved, copy)
    files = [p for p in sorted(copy.rglob('4/**/*')) if p.is_file()]
    files = [p for p in files if p.stat().st_size]
    weights = np.array([p.stat().st_size ** 0.5 for p in files])
    flip(files[rng.choice(len(files), p=weights / weights.sum())], rng)
    found.append(outcome(copy))
    shutil.rmtree(copy)
  return found


def test_no_flipped_bit_is_silent(saved, tmp_path):
  found = outcomes(saved, tmp_path, 12, seed=1)
  assert 'silent' not in found
  assert any('damaged' in text for text in found), found


@pytest.mark.slow
def test_none_of_many_flipped_bits_is_silent(saved, tmp_path):
  found = outcomes(saved, tmp_path, 200, seed=2)
  assert 'silent' not in found
  assert sum('checkpoints/4' in text for text in found) > 50


@pytest.fixture(scope='module')
def with_best(tmp_path_factory):
  """Checkpoints of which the first is the best."""
  folder = tmp_path_factory.mktemp('best')
  checkpoints = checkpoints_lib.Checkpoints(str(folder), keep=1, best='loss')
  for step, loss in ((1, 0.25), (2, 0.5)):
    checkpoints.save(step, {'x': jnp.arange(3)}, {'loss': loss})
  checkpoints.close()
  return folder


def best_step(folder) -> int | None:
  checkpoints = checkpoints_lib.Checkpoints(str(folder), keep=1, best='loss')
  try:
    return checkpoints.best_step()
  finally:
    checkpoints._manager.close()


def test_no_flipped_bit_of_the_best_metric_is_silent(with_best, tmp_path):
  """Otherwise the best checkpoint would be deleted at the next one."""
  shutil.copytree(with_best, tmp_path, dirs_exist_ok=True)
  file = tmp_path / 'checkpoints/1/metrics/metrics'
  content = file.read_bytes()
  assert json.loads(content) == {'loss': 0.25}
  assert best_step(tmp_path) == 1
  for flipped in damage_lib.flips(content):
    file.write_bytes(flipped)
    with pytest.raises(ValueError, match=r'1/metrics/metrics is not as it was'):
      best_step(tmp_path)
  with pytest.raises(ValueError, match=r'or delete .*checkpoints/1\.'):
    checkpoints_lib.Checkpoints(str(tmp_path))
  file.write_bytes(content)
  assert best_step(tmp_path) == 1


def test_metrics_of_an_earlier_version_are_used(with_best, tmp_path):
  shutil.copytree(with_best, tmp_path, dirs_exist_ok=True)
  file = tmp_path / 'checkpoints/1/_CHECKPOINT_METADATA'
  metadata = json.loads(file.read_text())
  assert metadata['custom_metadata'].pop('metrics') == {'loss': 0.25}
  file.write_text(json.dumps(metadata))
  assert best_step(tmp_path) == 1
  (tmp_path / 'checkpoints/1/metrics/metrics').write_text('{"loss": "a"}')
  with pytest.raises(ValueError, match="'loss', has 'a'; it must be float"):
    best_step(tmp_path)
