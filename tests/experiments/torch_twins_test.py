"""Tests of experiments/benchmarks/torch_twins.py and its parts.

`make test` has no PyTorch; the last test compares whole steps where it is.
"""

import importlib.util
import re

import jax
import numpy as np
import pytest

from experiments.benchmarks import torch_twins
from experiments.benchmarks.twins import costs
from experiments.benchmarks.twins import noises
from experiments.benchmarks.twins import timing
from tests import compiled
from vgen_jax.config import build
from vgen_jax.config import settings as settings_lib
from vgen_jax.data import run_data
from vgen_jax.models import mocogan
from vgen_jax.models import vgan
from vgen_jax.training import setup as setup_lib


def test_random_numbers_are_those_of_the_network():
  key_b = jax.random.split(jax.random.key(0), 2)
  generator = vgan.Generator((4, 8, 8, 3), latent_width=5, width=2)
  (code_bd,) = noises.codes(generator, key_b)
  variables = compiled.init(
    generator, jax.random.key(1), key_b, {}, train=False
  )
  video, _ = compiled.apply(generator, variables, key_b, {}, train=False)
  layers = compiled.apply(
    generator, variables, code_bd, {}, train=False, method='layers'
  )
  mask = layers.mask_bthw[..., None]
  blended = mask * layers.front_bthwc + (1 - mask) * layers.back_bthwc
  np.testing.assert_allclose(blended, video, atol=1e-6)


def test_the_frame_is_that_of_the_image_critic():
  key_b = jax.random.split(jax.random.key(0), 3)
  critic = mocogan.ImageCritic(width=2)
  rng = np.random.default_rng(0)
  video = rng.standard_normal((3, 6, 8, 8, 1), np.float32)
  variables = compiled.init(
    critic, jax.random.key(1), video, {}, key_b, train=False
  )
  logit = compiled.jit(
    lambda x: critic.apply(variables, x, {}, key_b, train=False)
  )
  frame_b = np.asarray(noises.frames(critic, key_b, 6))
  other = np.zeros_like(video)
  other[np.arange(3), frame_b] = video[np.arange(3), frame_b]
  np.testing.assert_allclose(logit(other), logit(video), atol=1e-6)
  assert np.abs(logit(video - other) - logit(video)).max() > 1e-3
  assert noises.frames(mocogan.VideoCritic(), key_b, 6) is None


def test_steps_are_measured_in_turn():
  now, calls = [0.0], []

  def step(name: str, seconds: float):
    def call():
      calls.append(name)
      now[0] += seconds

    return call

  steps = {'a': step('a', 0.002), 'b': step('b', 0.001)}
  found = timing.interleaved(steps, 2, {'a': 1, 'b': 3}, lambda: now[0])
  assert ''.join(calls) == 'ab' + 'abbb' * 2
  assert found['a'] == pytest.approx([2, 2])
  assert found['b'] == pytest.approx([1, 1])


def test_ratios_are_those_of_single_repeats():
  assert timing.ratio([1, 4, 9], [1, 2, 3]) == '2.00 (1.00 to 3.00)'
  rows = [{'a': '1', 'b': '2'}, {'a': '3', 'b': '4'}]
  assert timing.table(rows) == (
    '| a | b |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |'
  )


def test_variants_have_the_updates_that_their_names_state():
  config = torch_twins.load('vgan', 'small')
  every_step = costs.VARIANTS['R1 in every step']
  for name, variant in costs.VARIANTS.items():
    settings = settings_lib.read(
      costs.config_of(config, variant, costs.BATCH_SIZE)
    )
    schema = run_data.RunData(settings).schema
    updates = build.model(settings.model, schema).updates
    critic = updates[0]
    assert critic.player == 'critic_clip'
    assert critic.times == variant.updates, name
    assert costs.BATCH_SIZE % variant.updates == 0
    assert max(update.every for update in updates) == variant.every
    assert updates[-1].with_previous == (name == 'simultaneous updates')
    assert len(updates) == (3 if variant.every > 1 else 2)
  assert costs.config_of(config, every_step, 40).model.penalty_kind == 'r1'
  assert torch_twins.load('vgan', 'small').batch_size == config.batch_size


@pytest.mark.parametrize('name', torch_twins.CONFIGS)
def test_learning_rates_are_constant_as_those_of_the_twins(name):
  schedule = torch_twins.load(name, 'small').optim.schedule
  assert schedule.to_dict() == {'name': 'constant', 'peak': schedule.peak}


def test_costs_are_relative_to_the_first_variant():
  times = {'R1 in every step': [2.0, 4.0], 'n_critic 5': [3.0, 8.0]}
  rows = costs.rows(times, costs.VARIANTS, 40)
  relative = '1.75 (1.50 to 2.00)'
  assert list(rows[1].values()) == ['n_critic 5', '8', '5.5', relative]
  assert rows[0]['relative to the first (range)'] == '1.00 (1.00 to 1.00)'


@pytest.mark.parametrize(
  ('flag', 'message'),
  [
    ('--networks=svg,vgn', r"--networks has \['vgn'\]"),
    ('--repeats=0', '--repeats is 0; it must be 1 or more'),
    ('--threads=-1', '--threads is -1'),
  ],
)
def test_wrong_arguments_are_errors(flag, message, capsys):
  with pytest.raises(SystemExit):
    torch_twins.main([flag])
  assert re.search(message, capsys.readouterr().err)


def test_without_pytorch_the_error_states_how_to_install_it(
  monkeypatch, capsys
):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(SystemExit):
    torch_twins.main(['--networks=svg'])
  assert 'pip install torch==2.13.0' in capsys.readouterr().err


def test_more_threads_than_cores_are_an_error(monkeypatch):
  monkeypatch.setattr('os.sched_getaffinity', lambda pid: {3, 1})
  chosen = []
  monkeypatch.setattr(
    'os.sched_setaffinity', lambda pid, cores: chosen.append(list(cores))
  )
  torch_twins.use_cores(1)
  assert chosen == [[1]]
  with pytest.raises(ValueError, match=r'--threads is 3, but .* 2 cores'):
    torch_twins.use_cores(3)


@pytest.mark.parametrize('name', torch_twins.CONFIGS)
def test_a_step_of_the_twin_has_the_same_losses(name):
  pytest.importorskip('torch')
  from experiments.benchmarks.twins import comparison

  config = torch_twins.load(name, 'small')
  config.batch_size = 4
  one = comparison.pair(setup_lib.make(settings_lib.read(config)))
  _, _, more = comparison.parameters(one)
  assert bool(more) == (name != 'vgan')
  errors, wrong, losses = comparison.check(one)
  assert max(errors.values()) <= comparison.TOLERANCE < min(wrong.values())
  assert max(losses.values()) <= comparison.LOSS_TOLERANCE
  with pytest.raises(ValueError, match='must agree'):
    comparison.judge({'x': float('nan')}, 1.0, 'Losses')
