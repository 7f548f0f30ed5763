"""Tests of all configs: a step on many devices, and what devices exchange.

They exchange parameters, not activations. A batch has a prime number of clips
on each device, which divides no size of a network. So an array with a multiple
of it as its size holds clips, and a collective between devices with different
clips must not have such a result.

A step on many devices has the result of one device, up to the order of sums.
Two more steps on one device show that the comparison can fail. One starts from
parameters with other rounding errors; ten times the change of an array is added
to its bound. At most one array in 20 may change by more than a hundredth, such
as those that predict a flow near zero, where the derivative of a warp jumps.
The other uses the clips of the first device only, as without an exchange of
gradients; it must change a gradient by more than ten times its bound.

Configs with the same family and networks differ in data and sizes. One of them
is tested on three meshes (`config_lists.networks`). The others are
only compiled, for the mesh of which all axes have several devices.

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

from tests import config_lists
from tests import sharded_steps
from vgen_jax.nn import batch_sharding
from vgen_jax.runtime import sharding
from vgen_jax.training import collectives

BASELINE = pathlib.Path(__file__).with_name('collectives.json')
PRIME, MESHES = sharded_steps.PRIME, sharded_steps.MESHES
NAMES = [path.stem for path in config_lists.CONFIGS]
COMPARED = config_lists.representatives(config_lists.networks)
# Configs of different families; the others are slow tests.
FAST = {
  ('dit_world', 'fsdp'),
  ('tgan_world', 'fsdp'),
  ('vae_world', 'fsdp'),
  ('maskgit_world', 'both'),
  ('convlstm_world', 'fsdp'),
}
FAST_COMPARED = {'fsq_world'}
# Numbers of a clip, at most, that a collective may hold: logits, classes,
# labels, keys and scores, which metrics and losses reduce, but no features.
FEW = 1
LIMIT = 1e-4  # Of sharded_steps.differences; at most 3e-5 was seen.
ROUNDING = 3e-7  # Relative; float32 has rounding errors of 6e-8.
_STEPS = {}  # Compiled steps on one device, by the name of the config.


def cases():
  """Returns the cases that are only compiled; the others also run."""
  for name in NAMES:
    # The mesh 'both' of the others is tested when their steps are compared.
    meshes = ['fsdp', 'tensor'] if name in COMPARED else ['both']
    for mesh in MESHES:
      fast = (name, mesh) in FAST
      if mesh in meshes or fast:
        marks = [] if fast else [pytest.mark.slow]
        yield pytest.param(name, mesh, marks=marks)


def compared_cases():
  """Returns the configs of which results are compared."""
  for name in COMPARED:
    marks = [] if name in FAST_COMPARED else [pytest.mark.slow]
    yield pytest.param(name, marks=marks)


@pytest.fixture(autouse=True)
def _shard_small_arrays(monkeypatch):
  monkeypatch.setattr(sharding, '_MIN_SIZE_TO_SHARD', 256)


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


def check_exchanges(name: str, mesh: str, setup) -> jax.stages.Compiled:
  """Returns the compiled step, in which devices exchange no activations."""
  sizes = jax.tree.leaves(jax.tree.map(lambda x: x.shape, setup.state_shapes()))
  assert not any(n % PRIME == 0 for n in sizes if n)
  step = sharded_steps.compiled(setup)
  found = collectives.parse(step.as_text())
  assert moved_activations(found, MESHES[mesh]) == []
  counts = collectives.count(found)
  if os.environ.get('RECORD_COLLECTIVES'):
    record(f'{name}/{mesh}', counts)
  baseline = json.loads(BASELINE.read_text())
  if jax.__version__ == baseline['jax']:  # Other compilers have other counts.
    assert counts == baseline['counts'].get(f'{name}/{mesh}', counts)
  return step


@pytest.mark.parametrize(('name', 'mesh'), cases())
def test_devices_exchange_no_activations(name, mesh, clips, tmp_path):
  setup = sharded_steps.make(name, MESHES[mesh], clips, tmp_path)
  check_exchanges(name, mesh, setup)


def test_without_the_constraint_they_do(monkeypatch, clips, tmp_path):
  """Then the compiler splits features over fsdp, so the test above can fail."""
  monkeypatch.setattr(batch_sharding, 'constrain', lambda x: x)
  axes = MESHES['fsdp']
  setup = sharded_steps.make('dit_world', axes, clips, tmp_path)
  text = sharded_steps.compiled(setup).as_text()
  moved = moved_activations(collectives.parse(text), axes)
  assert len(moved) > 8
  assert any('blocks' in one for one in moved)


def step_on_one_device(name: str, setup) -> jax.stages.Compiled:
  """Returns the compiled step for a batch of the mesh 'both'."""
  if name not in _STEPS:
    _STEPS[name] = sharded_steps.compiled(setup)
  return _STEPS[name]


@pytest.mark.parametrize('name', compared_cases())
def test_results_equal_those_of_one_device(name, clips, tmp_path):
  """Gradients, statistics and metrics of a step; they exchange no activations.

  The check of exchanges is here because it needs the same compiled step.
  """
  many = sharded_steps.make(name, MESHES['both'], clips, tmp_path)
  one = sharded_steps.on_one_device(many)
  inputs = sharded_steps.Inputs.of(one)
  step = step_on_one_device(name, one)
  wanted = sharded_steps.run(one, step, inputs)
  other = lambda inputs: sharded_steps.differences(
    wanted, sharded_steps.run(one, step, inputs)
  )
  rounded = other(inputs.perturbed(ROUNDING))
  first_only = other(inputs.of_first_device())
  many_step = check_exchanges(name, 'both', many)
  found = sharded_steps.differences(
    wanted, sharded_steps.run(many, many_step, inputs)
  )
  for x in (rounded, first_only, found):
    print(name, *sharded_steps.largest(x))
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(wanted[:2]))
  sensitive = [path for path, x in rounded.items() if x > 1e-2]
  print(name, len(sensitive), 'of', len(rounded), 'arrays are sensitive')
  assert len(sensitive) < 0.05 * len(rounded), 'The step is ill-conditioned.'
  bounds = {path: LIMIT + 10 * x for path, x in rounded.items()}
  # Metrics always change. A generator without conditions has no other gradient
  # with other clips.
  grads = {k: x for k, x in first_only.items() if k.startswith('grads/')}
  assert any(x > 10 * bounds[path] for path, x in grads.items())
  assert not {path: x for path, x in found.items() if x > bounds[path]}


@pytest.mark.parametrize(
  ('name', 'has_batch_norm'),
  [
    ('fsq_world', False),
    pytest.param('videogpt_vqvae_world', True, marks=pytest.mark.slow),
  ],
)
def test_wrong_reductions_are_noticed(name, has_batch_norm, clips, tmp_path):
  """A device whose gradients are those of its own clips needs a mean.

  The mean is wrong, too, if each device normalizes with the statistics of its
  own clips.
  """
  own = sharded_steps.make(name, (1, 1, 1), clips, tmp_path)
  whole = sharded_steps.make(name, MESHES['both'], clips, tmp_path)
  whole = sharded_steps.on_one_device(whole)
  inputs = sharded_steps.Inputs.of(whole)
  wanted = sharded_steps.run(whole, step_on_one_device(name, whole), inputs)
  step = sharded_steps.compiled(own)
  parts = [sharded_steps.run(own, step, x).grads for x in inputs.split()]

  def difference(reduce) -> float:
    grads = jax.tree.map(lambda *x: reduce(x, axis=0), *parts)
    found = sharded_steps.differences(
      sharded_steps.Result(wanted.grads, {}, {}),
      sharded_steps.Result(grads, {}, {}),
    )
    return max(found.values())

  assert (difference(np.mean) > 10 * LIMIT) == has_batch_norm
  assert has_batch_norm or difference(np.mean) < LIMIT
  assert difference(np.sum) > 10 * LIMIT
  assert difference(lambda x, axis: x[0]) > 10 * LIMIT  # Without an exchange.
