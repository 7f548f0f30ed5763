"""Tests of inference/clip_providers.py: the identity of clips."""

import os
import pathlib
import types

import jax
import jax.numpy as jnp
import pytest

from vgen_jax.config import sections
from vgen_jax.core import types as core_types
from vgen_jax.evaluation.metrics import base
from vgen_jax.inference import clip_providers
from vgen_jax.training import state as state_lib


class Files:
  """A source whose clips depend on the files of a folder."""

  schema = core_types.Schema((1, 1, 1, 3))
  splits = ('train',)

  def __init__(self, folder: pathlib.Path):
    self.folder = folder

  def __len__(self) -> int:
    return 3

  def files(self) -> dict[str, pathlib.Path]:
    return {path.name: path for path in self.folder.iterdir()}


class Setup(types.SimpleNamespace):
  def over_pixels(self):
    return self


@pytest.fixture
def providers(tmp_path):
  """Providers of a model that can do everything."""
  for name in 'ab':
    (tmp_path / name).write_text(name * 9)
  settings = types.SimpleNamespace(
    data={'name': 'files'},
    clip_shape=(1, 1, 1, 3),
    model={'name': 'm'},
    sample_from='slow',
    faults=types.SimpleNamespace(policy='raise'),
  )
  tasks = ('generate', 'predict', 'reconstruct')
  model = types.SimpleNamespace(
    supported_tasks=tasks, num_known=0, apply=lambda *a, **k: 8
  )
  mesh = jax.make_mesh((1,), ('data',), devices=jax.devices()[:1])
  setup = Setup(
    settings=settings, source=Files(tmp_path), model=model, mesh=mesh
  )
  options = sections.Evaluation(num_clips=4, batch_size=2)
  return clip_providers.ClipProviders(setup, None, options)


def state(value: float) -> state_lib.TrainState:
  params = {'net': {'kernel': jnp.float32([1, 2])}}
  slow = {'net': {'kernel': jnp.float32([1, value])}}
  return state_lib.TrainState(
    jnp.int32(4), params, {'slow': slow}, {}, {}, {}, jax.random.key(0)
  )


def identities(providers, value: float = 2.0):
  found = providers.for_state(state(value))
  return {kind: dict(x.identity) for kind, x in found.items()}


def changed(one, other) -> set[str]:
  return {kind for kind in one if one[kind] != other[kind]}


def test_replaced_files_change_the_identity_of_all_clips(providers, tmp_path):
  before = identities(providers)
  assert set(before) == {
    base.GENERATED, base.PREDICTED, base.RECONSTRUCTED, base.REAL
  }  # fmt: skip
  assert not changed(before, identities(providers))
  (tmp_path / 'a').write_text('b' * 9)  # The same name and size.
  assert changed(before, identities(providers)) == set(before)


def test_other_parameters_of_the_same_step_are_noticed(providers):
  """Only the parameters that generate clips count: here, the average 'slow'."""
  found = changed(identities(providers), identities(providers, 2.5))
  assert found == {base.GENERATED, base.PREDICTED, base.RECONSTRUCTED}


def test_another_file_of_a_class_outside_the_package_is_noticed(
  providers, tmp_path, monkeypatch
):
  """As with the code of vgen_jax, clips of the model are generated again."""
  file = tmp_path / 'own_net.py'
  file.write_text('class Net: ...')
  monkeypatch.syspath_prepend(tmp_path)
  before = identities(providers)
  providers._setup.settings.model['name'] = 'own_net.Net'
  named = identities(providers)
  time = file.stat().st_mtime_ns
  file.write_text('class Net: 123')
  os.utime(file, ns=(time, time))  # It is in the folder of clips, too.
  found = changed(named, identities(providers))
  assert found == {base.GENERATED, base.PREDICTED, base.RECONSTRUCTED}
  assert changed(before, named)
