"""Tests of inference/evaluations.py: evaluations during training."""

import jax
from ml_collections import ConfigDict
import numpy as np
import pytest

from tests import small_configs
from vgen_jax.config import loading as config_lib
from vgen_jax.inference import evaluations
from vgen_jax.inference import hooks
from vgen_jax.runtime import preemption
from vgen_jax.runtime import writers
from vgen_jax.training import loop

METRICS = ('verifier', 'flicker')
pytestmark = pytest.mark.usefixtures('draws_first_states')


@pytest.fixture(scope='module')
def config() -> ConfigDict:
  """Returns the config of a small run that evaluates in steps 2 and 4."""
  return small_configs.predictor(
    **{
      'num_steps': 4,
      'checkpoint_every': 4,
      'evaluate_every': 2,
      'evaluation': {'metrics': METRICS, 'num_clips': 6, 'batch_size': 4},
    },
  )


@pytest.fixture(scope='module')
def done(config, tmp_path_factory):
  """Returns the workdir and the last state of a finished run."""
  workdir = str(tmp_path_factory.mktemp('done'))
  return workdir, loop.train(config, workdir, hooks=hooks.standard())


def evaluated(workdir) -> dict[int, dict[str, float]]:
  """Returns the logged values of evaluations, by step."""
  lines = [
    (int(line['step']), numbers)
    for line in writers.read_metrics(str(workdir))
    if (numbers := {k: x for k, x in line.items() if k.startswith('evalua')})
  ]
  assert len(dict(lines)) == len(lines), 'A step was logged twice.'
  return dict(lines)


def assert_same(one, two):
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
    np.testing.assert_array_equal(a, b)


def test_evaluations_are_logged_and_do_not_change_the_training(
  config, done, tmp_path
):
  found = evaluated(done[0])
  assert sorted(found) == [2, 4]
  names = {'evaluation/validity_loose', 'evaluation/verifier_frechet'}
  assert names | {'evaluation/steadiness'} <= set(found[4])
  assert found[2] != found[4]
  plain = config_lib.replace(config, {'evaluate_every': 0})
  state = loop.train(plain, str(tmp_path), hooks=hooks.standard())
  assert_same(
    (state.params, state.ema, state.opt),
    (done[1].params, done[1].ema, done[1].opt),
  )
  assert not evaluated(tmp_path)
  losses = [
    [
      line['predictor/loss']
      for line in writers.read_metrics(str(where))
      if 'predictor/loss' in line
    ]
    for where in (done[0], tmp_path)
  ]
  assert losses[0] == losses[1]


def test_a_run_stopped_in_a_due_step_evaluates_on_resume(
  config, done, tmp_path, monkeypatch
):
  """The log then equals that of an uninterrupted run."""
  calls = []
  asked = lambda self: calls.append(0) or len(calls) >= 2  # After step 2.
  monkeypatch.setattr(preemption.Preemption, 'should_stop', asked)
  assert (
    int(loop.train(config, str(tmp_path), hooks=hooks.standard()).step) == 2
  )
  assert not evaluated(tmp_path)
  monkeypatch.undo()
  loop.train(config, str(tmp_path), hooks=hooks.standard())
  assert evaluated(tmp_path) == evaluated(done[0])


def test_a_kill_after_an_evaluation_does_not_log_it_twice(
  config, done, tmp_path, monkeypatch
):
  def killed(self, *args):
    raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(writers.Writer, 'write_clips', killed)
    patch.setattr(evaluations.Evaluations, 'log', killed)
    with pytest.raises(KeyboardInterrupt):
      loop.train(config, str(tmp_path), hooks=hooks.standard())
  loop.train(config, str(tmp_path), hooks=hooks.standard())
  assert evaluated(tmp_path) == evaluated(done[0])


@pytest.mark.parametrize(
  ('overrides', 'message'),
  [
    ({'evaluation.metrics': ('verifer',)}, "Did you mean 'verifier'?"),
    ({'evaluation.metrics': ('fvd',)}, 'clips of 4 frames'),
    ({'evaluation.metrics': ('fid',)}, 'File pt_inception.* is missing'),
    (
      {'evaluation.metrics': ('fid', 'inception_score')},
      r"'fid.*File .* is missing.*'inception_score': File .* is missing",
    ),
    ({'evaluation.metrics': ()}, 'must be a tuple of names'),
    ({'evaluation.num_clip': 3}, "Did you mean 'num_clips'?"),
    ({'evaluation.num_clips': 0}, 'num_clips is 0; it must be at least 1'),
    ({'evaluation.real_split': 'tset'}, "'tset'; it must be one of"),
    ({'evaluate_every': -1}, 'evaluate_every is -1; it must be at least 0'),
  ],
)
def test_wrong_options_are_reported_at_the_start(
  config, tmp_path, monkeypatch, overrides, message
):
  monkeypatch.setenv('VGEN_WEIGHTS', str(tmp_path))
  with pytest.raises(ValueError, match=message):
    loop.train(
      config_lib.replace(config, overrides),
      str(tmp_path / 'new'),
      hooks=hooks.standard(),
    )
  assert not (tmp_path / 'new').exists()


def test_evaluation_fields_may_change_on_resume(config, done):
  other = {'evaluate_every': 1, 'evaluation.num_clips': 5}
  state = loop.train(
    config_lib.replace(config, other), done[0], hooks=hooks.standard()
  )
  assert int(state.step) == 4
  loop.train(config, done[0], hooks=hooks.standard())
