"""Tests of training/frozen.py: parts that another run has trained."""

import functools
import json
import pathlib
import re
import shutil
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict
import numpy as np
import optax
import pytest

from vgen_jax.config import initial
from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.families import base
from vgen_jax.runtime import checkpoints as checkpoints_lib
from vgen_jax.training import frozen
from vgen_jax.training import loop
from vgen_jax.training import state as state_lib
from vgen_jax.training import step as step_lib

CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'
BATCH = {'video': jnp.zeros((2, 1, 1, 1, 3))}


class Encoder(nn.Module):
  """A kernel and a statistic."""

  width: int = 3

  @nn.compact
  def __call__(self, x_bd):
    self.variable('batch_stats', 'mean', lambda: jnp.zeros(3))
    return nn.Dense(self.width)(x_bd)


class TokenizerOnly(base.VideoModel):
  """Trains a tokenizer."""

  tokenizer: nn.Module

  @property
  def updates(self):
    return (base.Update('tokenizer'),)

  def loss(self, batch, *, player, train):
    return jnp.square(self.tokenizer(batch['video']) - 1).mean(), {}


class HeadOnTokenizer(base.VideoModel):
  """Trains a head on a tokenizer that stays constant."""

  tokenizer: nn.Module
  head: nn.Module

  @property
  def updates(self):
    return (base.Update('head'),)

  def loss(self, batch, *, player, train):
    return jnp.square(self.head(self.tokenizer(batch['video']))).mean(), {}


@functools.cache
def make_with_head(width: int = 3, averages: tuple[str, ...] = ()):
  model = HeadOnTokenizer((1, 1, 1, 3), Encoder(width), nn.Dense(2))
  optimizers = {'head': optax.sgd(0.1)}
  create = lambda: state_lib.create(model, optimizers, averages, BATCH, 1)
  return model, optimizers, jax.jit(create)()


def write_run(workdir, state, model='y.TokenizerOnly', sample_from='slow'):
  """Writes a config and a checkpoint to a workdir, as a run does."""
  config = ConfigDict(
    {
      'clip_shape': (1, 1, 1, 3),
      'batch_size': 2,
      'num_steps': 3,
      'data': {'name': 'x'},
      'model': {'name': model},
      'optim': {'name': 'z'},
      'sample_from': sample_from,
    }
  )
  workdir.mkdir(exist_ok=True)
  (workdir / 'config.json').write_text(config_lib.to_json(config))
  checkpoints = checkpoints_lib.Checkpoints(str(workdir))
  checkpoints.save(1, state, {})
  checkpoints.close()
  return str(workdir)


@pytest.fixture(scope='module', params=['slow', 'params'])
def trained(request, tmp_path_factory):
  """A workdir with a tokenizer whose parameters and average differ."""
  workdir = tmp_path_factory.mktemp('tokenizer')
  model = TokenizerOnly((1, 1, 1, 3), Encoder())
  optimizers = {'tokenizer': optax.sgd(0.1)}
  state = state_lib.create(model, optimizers, ('slow',), BATCH, 0)
  step = step_lib.make_train_step(
    model, optimizers, averages={'slow': {'decay': 0.5}}
  )
  state, _ = jax.jit(step)(state, BATCH)
  stats = {'batch_stats': {'tokenizer': {'mean': jnp.ones(3)}}}
  state = state.replace(stats=stats)
  write_run(workdir, state, sample_from=request.param)
  return str(workdir), state.variables(request.param)


def test_a_frozen_part_equals_that_of_the_other_run(trained):
  workdir, variables = trained
  model, optimizers, state = make_with_head()
  fresh = state.params['tokenizer']
  update = jax.jit(step_lib.make_train_step(model, optimizers))
  state = frozen.restore(state, {'tokenizer': workdir})
  for step in range(3):
    assert int(state.step) == step
    for ours, theirs in (
      (state.params['tokenizer'], variables['params']['tokenizer']),
      (state.stats['batch_stats'], variables['batch_stats']),
    ):
      jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    state, _ = update(state, BATCH)
  gap = jax.tree.map(
    lambda a, b: abs(a - b).max(), fresh, state.params['tokenizer']
  )
  assert max(jax.tree.leaves(gap)) > 1e-3, (
    'The first state has another tokenizer.'
  )


def test_a_part_that_was_frozen_in_the_other_run_is_restored(trained, tmp_path):
  """Averages cover players only; frozen parts are read from the parameters."""
  workdir, variables = trained
  model, optimizers, state = make_with_head(averages=('slow',))
  state = frozen.restore(state, {'tokenizer': workdir})
  step = step_lib.make_train_step(
    model, optimizers, averages={'slow': {'decay': 0.5}}
  )
  state, _ = jax.jit(step)(state, BATCH)
  assert state.ema['slow'].keys() == {'head'}
  second = write_run(tmp_path / 'second', state, 'y.HeadOnTokenizer')

  *_, third = make_with_head()
  third = frozen.restore(third, {'tokenizer': second})
  for ours, theirs in (
    (third.params['tokenizer'], variables['params']['tokenizer']),
    (third.stats['batch_stats'], variables['batch_stats']),
  ):
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_missing_statistics_are_reported(tmp_path):
  model, optimizers = (
    TokenizerOnly((1, 1, 1, 3), Encoder()),
    {'tokenizer': optax.sgd(1)},
  )
  state = state_lib.create(model, optimizers, ('slow',), BATCH, 0)
  state = state.replace(stats={'other': state.stats['batch_stats']})
  workdir = write_run(tmp_path, state)
  *_, state = make_with_head()
  with pytest.raises(
    ValueError, match='has no stats/batch_stats/tokenizer/mean'
  ):
    frozen.restore(state, {'tokenizer': workdir})


@pytest.mark.parametrize('sample_from', ['slow', 'params'])
def test_a_run_without_the_part_is_reported(tmp_path, sample_from):
  *_, state = make_with_head(averages=('slow',))
  params = {'head': state.params['head']}
  state = state.replace(params=params, stats={})
  workdir = write_run(
    tmp_path, state, 'families.prediction.recurrent.Recurrent', sample_from
  )
  *_, state = make_with_head()
  message = (
    f'config.frozen.tokenizer is {workdir!r}, whose model,'
    " families.prediction.recurrent.Recurrent, has no part 'tokenizer'; it has"
    " ['head']."
  )
  with pytest.raises(ValueError, match=re.escape(message)):
    frozen.restore(state, {'tokenizer': workdir})


@pytest.mark.parametrize(
  ('part', 'where', 'message'),
  [
    ('tokeniser', None, r"'tokeniser', which .* Did you mean 'tokenizer'\?"),
    ('head', None, "'head', which is not a part of this model that can be"),
    ('tokenizer', '/nowhere', "is '/nowhere', but there is no run in it"),
  ],
)
def test_parts_that_cannot_be_frozen_are_reported(
  trained, part, where, message
):
  *_, state = make_with_head()
  with pytest.raises(ValueError, match=message):
    frozen.restore(state, {part: where or trained[0]})


def test_a_part_of_another_shape_is_reported(trained):
  *_, state = make_with_head(width=4)
  with pytest.raises(ValueError, match=r'float32\[3\], but .*float32\[4\]'):
    frozen.restore(state, {'tokenizer': trained[0]})


def test_a_part_with_another_spec_is_reported(trained, tmp_path):
  """Shapes may agree; the error names the first field that differs."""
  *_, state = make_with_head()
  config = json.loads((pathlib.Path(trained[0]) / 'config.json').read_text())
  there = {'name': 'a.Encoder', 'levels': (8, 8), 'width': 3}
  config['model']['tokenizer'] = there
  shutil.copytree(trained[0], tmp_path / 'run')
  del config['digest']  # The file was edited on purpose.
  (tmp_path / 'run/config.json').write_text(json.dumps(config))
  where = {'tokenizer': str(tmp_path / 'run')}
  frozen.restore(state, where, {'tokenizer': there})
  frozen.restore(state, where, {'name': 'b.Other'})
  for model in (
    {'tokenizer': there | {'levels': (8, 5)}},
    {'prior': {'tokenizer': there | {'levels': (8, 5)}}},
  ):
    with pytest.raises(
      ValueError, match=r'levels = \(8, 8\), but this .* \(8, 5\)\.'
    ):
      frozen.restore(state, where, model)


def latent_settings(workdir, **model) -> settings_lib.Settings:
  return settings_lib.read(
    {
      'clip_shape': (4, 8, 8, 3),
      'batch_size': 2,
      'num_steps': 3,
      'data': {'name': 'x'},
      'model': {'name': 'families.latent.Latent', 'prior': {'name': 'y'}}
      | model,
      'optim': {'name': 'z'},
      'frozen': {'autoencoder': str(workdir)},
    }
  )


def test_the_spec_of_a_tokenizer_is_that_of_its_run(tmp_path):
  tokenizer = config_lib.load(f'{CONFIGS}/fsq_world.py:smoke')
  (tmp_path / 'config.json').write_text(config_lib.to_json(tokenizer))
  spec = tokenizer.model.autoencoder.to_dict()
  filled = frozen.with_tokenizer(latent_settings(tmp_path))
  assert filled.model['autoencoder'] == spec
  assert filled.model['prior'] == {'name': 'y'}
  # A spec in the config is kept; `restore` compares it.
  settings = latent_settings(tmp_path, autoencoder={'name': 'own'})
  assert frozen.with_tokenizer(settings) == settings


def test_a_tokenizer_that_is_not_trained_yet_is_reported_with_its_command():
  command = (
    'Train it first: vgen train --config=fsq_world --workdir=absent/fsq_world.'
  )
  with pytest.raises(ValueError, match=re.escape(command)):
    frozen.with_tokenizer(latent_settings('absent/fsq_world'))
  with pytest.raises(
    ValueError, match='--config=<its config> --workdir=absent'
  ):
    frozen.with_tokenizer(latent_settings('absent'))


def test_a_run_without_a_tokenizer_is_reported(tmp_path):
  other = config_lib.load(f'{CONFIGS}/convlstm_world.py:smoke')
  (tmp_path / 'config.json').write_text(config_lib.to_json(other))
  with pytest.raises(ValueError, match=r"Recurrent.*has no part 'autoencoder'"):
    frozen.with_tokenizer(latent_settings(tmp_path))


def test_a_part_that_is_neither_trained_nor_frozen_is_reported():
  model, _, state = make_with_head()
  setup = types.SimpleNamespace(
    model=model,
    first_state=lambda: state,
    settings=types.SimpleNamespace(frozen={}, init=initial.Init()),
  )
  no_checkpoints = types.SimpleNamespace(latest_step=lambda: None)
  message = r"HeadOnTokenizer does not train its parts \['tokenizer'\]"
  with pytest.raises(ValueError, match=message):
    loop.restore_or_init(setup, no_checkpoints)
