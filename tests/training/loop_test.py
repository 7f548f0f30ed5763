"""Tests of training/loop.py: logging, resuming, stopping and errors."""

import dataclasses
import os
import pathlib
import signal

import jax
from ml_collections import ConfigDict
import numpy as np
import pytest

from tests import small_configs
from vgen_jax.config import loading as config_lib
from vgen_jax.core import faults
from vgen_jax.families.adversarial import gan
from vgen_jax.families.prediction import recurrent
from vgen_jax.inference import hooks
from vgen_jax.runtime import checkpoints
from vgen_jax.runtime import writers
from vgen_jax.synthetic.world import source
from vgen_jax.training import hooks as training_hooks
from vgen_jax.training import loop

ROOT = pathlib.Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures('draws_first_states')


@pytest.fixture(scope='module')
def config() -> ConfigDict:
  """A GAN with two critics that compiles fast."""
  config = config_lib.load(f'{ROOT}/configs/dcgan_world.py:smoke')
  with config.unlocked():
    critic = {
      'name': 'models.conv_critic.ConvCritic',
      'conditioning': 'projection',
      'width': 4,
    }
    config.model.critic = {
      'image': critic | {'view': 'frames'}, 'video': critic,
    }  # fmt: skip
    config.model.penalty_every = 2
    config.data.label = 'direction'
  return config_lib.replace(
    config,
    {'mesh.data': 1, 'tensorboard': False, 'num_steps': 6, 'sample_every': 0},
  )


@pytest.fixture(scope='module')
def predictor() -> ConfigDict:
  """A model with one player, which compiles faster."""
  return small_configs.predictor()


@pytest.fixture(scope='module')
def done(config, tmp_path_factory, draws_first_states):
  """A finished run: its workdir and its last state."""
  workdir = tmp_path_factory.mktemp('done')
  return workdir, loop.train(config, str(workdir), hooks=hooks.standard())


def test_metrics_of_an_update_are_logged_when_it_is_due(done):
  entries = writers.read_metrics(str(done[0]))
  assert [entry['step'] for entry in entries] == [1, 2, 3, 4, 5, 6]
  penalty = [
    'critic_image_penalty/loss' in entry for entry in entries
  ]  # Every second step, from the first.
  assert penalty == [True, False] * 3
  assert all(
    {'generator/loss', 'generator/learning_rate', 'steps_per_second'} <= set(e)
    for e in entries
  )


def test_a_late_update_is_not_logged_before_its_start(
  config, tmp_path, monkeypatch
):
  """Its NaNs and learning rate are not logged; `best` cannot be its metric."""
  updates = gan.GAN.updates.fget
  late = lambda update: dataclasses.replace(
    update, start=3 if update.player == 'critic_image' else 0
  )
  monkeypatch.setattr(
    gan.GAN, 'updates', property(lambda self: tuple(map(late, updates(self))))
  )
  config = config_lib.replace(config, {'tensorboard': True})
  loop.train(config, str(tmp_path), hooks=hooks.standard())
  entries = writers.read_metrics(str(tmp_path))
  has = lambda name: [f'critic_image{name}' in entry for entry in entries]
  assert has('/loss') == has('/learning_rate') == [False] * 3 + [True] * 3
  # Every second step from its start on, which is the fourth.
  assert has('_penalty/loss') == [False, False, False, True, False, True]
  assert all('critic_video/loss' in entry for entry in entries)
  assert all(np.isfinite(x) for entry in entries for x in entry.values())
  rates = [x.get('critic_image/learning_rate') for x in entries]
  assert rates[3] == entries[0]['critic_video/learning_rate']
  assert list((tmp_path / 'tensorboard').iterdir())
  best = config_lib.replace(config, {'best': 'critic_image/loss'})
  with pytest.raises(ValueError, match='must be a metric that every step has'):
    loop.train(best, str(tmp_path / 'best'), hooks=hooks.standard())


def test_unreadable_clips_are_counted_under_substitute(
  config, tmp_path, monkeypatch
):
  """Clips 0 and 1 cannot be read, and neither setup nor a step fails."""
  read = source.World.__getitem__

  def broken(self, index):
    if index < 2:
      raise faults.ClipError(f'{index}.mp4', 'it is broken.')
    return read(self, index)

  monkeypatch.setattr(source.World, '__getitem__', broken)
  config = config_lib.replace(config, {'data.num_clips': 4})
  with pytest.raises(faults.ClipError, match=r'0.mp4: it is broken'):
    loop.train(config, str(tmp_path / 'stopped'), hooks=hooks.standard())
  settings = {'faults.policy': 'substitute'}
  config = config_lib.replace(config, settings)
  loop.train(config, str(tmp_path / 'on'), stop_at=2, hooks=hooks.standard())
  entries = writers.read_metrics(str(tmp_path / 'on'))
  counts = [entry['data/substituted'] for entry in entries]
  assert counts == [config.batch_size / 2, config.batch_size]


def test_sigterm_saves_and_stops(config, tmp_path, done):
  """The run stops after the step of the signal, and can be resumed."""

  class SendSignal(training_hooks.Hook):
    def on_log(self, step, metrics):
      if step == 3:
        os.kill(os.getpid(), signal.SIGTERM)

    def close(self):
      closed.append(self)

  closed = []
  state = loop.train(
    config_lib.replace(config, {'checkpoint_every': 100}),
    str(tmp_path),
    hooks=[*hooks.standard(), SendSignal()],
  )
  # The signal is sent at the log of step 3 and noticed after step 4.
  assert int(state.step) == 4
  assert checkpoints.steps(str(tmp_path)) == [4]
  assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
  assert len(closed) == 1
  final = loop.train(config, str(tmp_path), hooks=hooks.standard())
  for a, b in zip(
    jax.tree.leaves(final.params),
    jax.tree.leaves(done[1].params),
    strict=True,
  ):
    np.testing.assert_array_equal(a, b)


def test_updates_skipped_before_a_resume_do_not_stop_a_run(
  predictor, tmp_path, monkeypatch
):
  """The policy 'raise' counts only updates skipped since the resume."""
  config, loss = predictor, recurrent.Recurrent.loss

  def broken(self, batch, *, player, train):
    value, terms = loss(self, batch, player=player, train=train)
    return value * np.nan, terms

  monkeypatch.setattr(recurrent.Recurrent, 'loss', broken)
  skips = config_lib.replace(config, {'guard.policy': 'skip'})
  state = loop.train(skips, str(tmp_path), stop_at=1, hooks=hooks.standard())
  assert int(state.guard['predictor']['skipped']) == 1
  monkeypatch.undo()
  state = loop.train(config, str(tmp_path), stop_at=2, hooks=hooks.standard())
  assert int(state.step) == 2
  assert int(state.guard['predictor']['skipped']) == 1


def test_training_a_finished_run_changes_nothing(config, done):
  before = (done[0] / 'metrics.jsonl').read_text()
  again = loop.train(config, str(done[0]), hooks=hooks.standard())
  assert int(again.step) == 6
  assert (done[0] / 'metrics.jsonl').read_text() == before


def test_a_loss_that_is_not_finite_stops_the_run(
  predictor, tmp_path, monkeypatch
):
  """The last checkpoint is one from before."""
  config, loss = predictor, recurrent.Recurrent.loss

  def break_at_step_4(self, batch, *, player, train):
    value, terms = loss(self, batch, player=player, train=train)
    return value + np.nan * (value > -1e6), terms

  loop.train(config, str(tmp_path), stop_at=3, hooks=hooks.standard())
  monkeypatch.setattr(recurrent.Recurrent, 'loss', break_at_step_4)
  with pytest.raises(
    FloatingPointError, match='not finite, or a gradient norm above'
  ):
    loop.train(config, str(tmp_path), hooks=hooks.standard())
  assert checkpoints.steps(str(tmp_path))[-1] == 3
  monkeypatch.undo()
  final = loop.train(config, str(tmp_path), hooks=hooks.standard())
  assert int(final.step) == 4
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(final.params))


@pytest.mark.parametrize(
  ('overrides', 'message'),
  [
    (
      {'model.generator.width': 8},
      r'with model\.generator\.width=4; you asked for 8\. This field cannot',
    ),
    ({'batch_size': 16}, 'with batch_size=8; you asked for 16'),
  ],
)
def test_a_workdir_of_another_config_is_refused(
  config, done, overrides, message
):
  before = (done[0] / 'config.json').read_text()
  with pytest.raises(ValueError, match=message):
    loop.train(
      config_lib.replace(config, overrides),
      str(done[0]),
      hooks=hooks.standard(),
    )
  assert (done[0] / 'config.json').read_text() == before


@pytest.mark.parametrize(
  ('overrides', 'message'),
  [
    ({'batch_size': 6, 'mesh.data': 4}, 'is 6; it must be a multiple of the 4'),
    (
      {'model.num_critic_updates': 3},
      'critic_image is updated 3 times in each step',
    ),
    ({'model.num_classes': 4}, 'num_classes is 4; the data has 8 classes'),
    ({'best': 'critic_image_penalty/loss'}, 'a metric that every step has'),
    ({'model.generator.widht': 3}, "no argument 'widht'. Did you mean 'width'"),
    (
      {'model.name': 'families.adversarial.gan.Gan'},
      "no class 'Gan' in .* Did you mean 'GAN'",
    ),
    ({'optim.name': 'adamm'}, "Did you mean 'adam"),
    ({'optim.players': {'critc_image': {}}}, 'critic_image'),
    ({'data.label': 'colour'}, "Did you mean 'color'"),
    ({'ema.slow.dekay': 1}, 'decay'),
    ({'frozen': {'generator': 'x'}}, 'not a part of this model that can be'),
    ({'best': 'valid'}, "config.best is 'valid'; it must be a metric"),
  ],
)
def test_wrong_configs_are_reported_before_training(
  config, tmp_path, overrides, message
):
  with pytest.raises(ValueError, match=message):
    loop.train(
      config_lib.replace(config, overrides),
      str(tmp_path / 'new'),
      hooks=hooks.standard(),
    )
