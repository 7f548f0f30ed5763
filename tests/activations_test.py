"""Tests of all configs: devices exchange parameters, not activations.

A batch has a prime number of clips on each device, which divides no size of a
network. So an array with a multiple of it as its size holds clips, and a
collective between devices with different clips must not have such a result.

`collectives.json` has the number of collectives of each case, as compiled by
the version of JAX that it names. To count them again:

  RECORD_COLLECTIVES=1 pytest tests/activations_test.py -m 'slow or not slow'
"""

import json
import os
import pathlib

import jax
import numpy as np
import pytest

from tests import untrained
from vgen_jax.config import settings as settings_lib
from vgen_jax.nn import batch_sharding
from vgen_jax.runtime import sharding
from vgen_jax.training import collectives
from vgen_jax.training import setup as setup_lib

ROOT = pathlib.Path(__file__).parents[1]
BASELINE = pathlib.Path(__file__).with_name('collectives.json')
PRIME = 37  # Number of clips on each device.
MESHES = {'fsdp': (1, 8, 1), 'tensor': (2, 1, 4), 'both': (2, 2, 2)}
# One config for each family and kind of network; the others are slow tests.
FAST = {
  ('dit_world', 'fsdp'),
  ('tgan_world', 'fsdp'),
  ('vae_world', 'fsdp'),
  ('maskgit_world', 'both'),
  ('convlstm_world', 'fsdp'),
}
# Numbers of a clip, at most, that a collective may hold: logits, classes,
# labels, keys and scores, which metrics and losses reduce, but no features.
FEW = 1
_QUICK = {  # The program is not run, so it is compiled in little time.
  'xla_backend_optimization_level': 0,
  'xla_llvm_disable_expensive_passes': True,
  'xla_cpu_use_fusion_emitters': False,
}
CONFIGS = sorted((ROOT / 'configs').glob('*.py'))
CASES = [
  pytest.param(
    path.stem,
    name,
    marks=[] if (path.stem, name) in FAST else [pytest.mark.slow],
  )
  for path in CONFIGS
  for name in MESHES
]


@pytest.fixture(autouse=True)
def _shard_small_arrays(monkeypatch):
  monkeypatch.setattr(sharding, '_MIN_SIZE_TO_SHARD', 256)


def make(name: str, axes, clips, folder, batch_size=None) -> setup_lib.Setup:
  """Returns the setup of the smoke size of a config, without a trained run."""
  config = untrained.load(name, 'smoke', clips, folder)
  config.unlock()
  # The optimizer and averages only add to the time of compilation.
  config.optim = {'name': 'sgd', 'schedule': {'name': 'constant', 'peak': 0.01}}
  config.ema = {}
  config.accumulate = 1
  config.mesh = dict(zip(('data', 'fsdp', 'tensor'), axes, strict=True))
  config.batch_size = batch_size or PRIME * axes[0] * axes[1]
  return setup_lib.make(settings_lib.read(config))


def compiled(setup: setup_lib.Setup) -> list[collectives.Collective]:
  """Returns the collectives of a train step."""
  shards = sharding.of_batch(setup.mesh)
  batch = {
    key: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=shards)
    for key, x in setup.batch.items()
  }
  lowered = setup.train_step().lower(setup.state_shapes(), batch)
  return collectives.parse(lowered.compile(_QUICK).as_text())


def moved_activations(found, axes) -> list[str]:
  """Returns the collectives that exchange activations of different clips."""
  whole = PRIME * axes[0] * axes[1]
  return [
    f'{one.kind} of {shape}: {one.op_name}'
    for one in found
    if one.crosses(axes, (0, 1))
    for shape in one.shapes
    if np.prod(shape) % PRIME == 0 and np.prod(shape) > FEW * whole
  ]


def record(case: str, counts: dict[str, int]) -> None:
  """Writes the counts of a case; removes those of another version of JAX."""
  baseline = json.loads(BASELINE.read_text())
  kept = baseline['counts'] if baseline['jax'] == jax.__version__ else {}
  kept = dict(sorted({**kept, case: counts}.items()))
  content = {'jax': jax.__version__, 'counts': kept}
  BASELINE.write_text(json.dumps(content, indent=1) + '\n')


@pytest.mark.parametrize(('name', 'mesh'), CASES)
def test_devices_exchange_no_activations(name, mesh, clips, tmp_path):
  axes = MESHES[mesh]
  setup = make(name, axes, clips, tmp_path)
  sizes = jax.tree.leaves(jax.tree.map(lambda x: x.shape, setup.state_shapes()))
  assert not any(n % PRIME == 0 for n in sizes if n)
  found = compiled(setup)
  assert moved_activations(found, axes) == []
  counts = collectives.count(found)
  if os.environ.get('RECORD_COLLECTIVES'):
    record(f'{name}/{mesh}', counts)
  baseline = json.loads(BASELINE.read_text())
  if jax.__version__ == baseline['jax']:  # Other compilers have other counts.
    assert counts == baseline['counts'].get(f'{name}/{mesh}', counts)


def test_without_the_constraint_they_do(monkeypatch, clips, tmp_path):
  """Then the compiler splits features over fsdp, so the test above can fail."""
  monkeypatch.setattr(batch_sharding, 'constrain', lambda x: x)
  axes = MESHES['fsdp']
  found = compiled(make('dit_world', axes, clips, tmp_path))
  moved = moved_activations(found, axes)
  assert len(moved) > 8
  assert any('blocks' in one for one in moved)


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_results_equal_those_of_one_device(path, clips, tmp_path):
  """The state and the metrics after a step, up to the order of sums."""
  results = []
  for axes in ((1, 1, 1), MESHES['both']):
    setup = make(path.stem, axes, clips, tmp_path, batch_size=8)
    examples = [setup.source[i] for i in range(8)]
    batch = {k: np.stack([x[k] for x in examples]) for k in examples[0]}
    batch = jax.device_put(batch, sharding.of_batch(setup.mesh))
    state, metrics = setup.train_step()(setup.first_state(), batch)
    results.append(jax.device_get((state.params, state.stats, metrics)))
  one, many = results
  for name, x in jax.tree_util.tree_leaves_with_path(one[:2]):
    assert np.isfinite(x).all(), name
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
    np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-6)
