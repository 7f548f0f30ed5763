"""Tests of the measurements of experiments/benchmarks/accelerator_parts/."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks.accelerator_parts import others
from experiments.benchmarks.accelerator_parts import parity
from experiments.benchmarks.accelerator_parts import parity_layers
from experiments.benchmarks.accelerator_parts import parity_steps
from experiments.benchmarks.accelerator_parts import recording
from experiments.benchmarks.accelerator_parts import steps
from experiments.benchmarks.accelerator_parts import timing
from experiments.benchmarks.accelerator_parts import torch_ratio
from experiments.benchmarks.accelerator_parts import train_base
from experiments.benchmarks.accelerator_parts import train_step
from vgen_jax.config import settings as settings_lib
from vgen_jax.nn.convolution import conv
from vgen_jax.runtime import flops as flops_lib


def test_cudnn_is_compared_on_a_gpu_alone():
  assert parity_layers.implementations_on('gpu') == ('cudnn', 'xla')
  assert parity_layers.implementations_on('cpu') == ('xla',)
  for case in parity_layers.ATTENTIONS:  # What cuDNN takes.
    assert case.width % 8 == 0
    assert case.width <= 128


def test_errors_are_relative_and_never_lost():
  exact = [np.array([0.0, 4.0]), np.array([2.0])]
  found = [np.array([0.1, 4.0]), np.array([np.nan])]
  assert parity_layers.errors(found, exact) == [pytest.approx(0.025), np.inf]
  assert not parity_layers.agreement([0.025, np.inf], 'bfloat16')['agrees']
  assert parity_layers.agreement([0.025], 'bfloat16')['agrees']
  assert not parity_layers.agreement([0.025], 'float32')['agrees']


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_a_wrong_convolution_does_not_agree(dtype, monkeypatch):
  case = parity_layers.CONVOLUTIONS[0]
  compare = lambda: parity_layers.compare_convolution(
    case, (1, 3, 4, 4, 2), 2, dtype
  )
  assert compare()['agrees']
  fast = conv.conv_fast.conv
  monkeypatch.setattr(conv.conv_fast, 'conv', lambda *args: 1.05 * fast(*args))
  assert not compare()['agrees']


def test_attention_agrees_with_its_reference():
  values = parity_layers.compare_attention(
    parity_layers.TINY_ATTENTIONS[1], ('xla',)
  )
  assert values['agrees']
  assert 0 < values['xla_error'] < 0.02


def test_steps_that_differ_do_not_agree():
  exact = {
    'a/loss': np.array([2.0, 1.0, np.nan]),
    'b/loss': np.array([np.nan, 1.0, 1.0]),
    'sample': np.zeros((2, 3)),
  }
  same = parity_steps.compare(exact, exact)
  assert same['agrees']
  assert same['error'] == same['sample_error'] == 0
  for key, value in (
    ('a/loss', np.array([2.0, 1.1, np.nan])),
    ('a/loss', np.array([2.01, 1.0, np.nan])),
    ('b/loss', np.array([1.0, 1.0, 1.0])),
    ('b/loss', np.array([np.nan, np.nan, 1.0])),
    ('sample', np.full((2, 3), 0.1)),
    ('sample', np.full((2, 3), np.nan)),
  ):
    assert not parity_steps.compare({**exact, key: value}, exact)['agrees']


def test_the_reference_has_no_gpu():
  env = parity.reference_environment({'JAX_PLATFORMS': 'cuda', 'A': 'b'})
  assert env['JAX_PLATFORMS'] == 'cpu'
  assert env['CUDA_VISIBLE_DEVICES'] == ''
  assert env['A'] == 'b'


def with_depth(settings: settings_lib.Settings, depth: int):
  """Returns the settings of a network with fewer blocks."""
  denoiser = {**settings.model['denoiser'], 'depth': depth}
  return dataclasses.replace(
    settings, model={**settings.model, 'denoiser': denoiser}
  )


def test_operations_are_those_of_a_step_without_remat():
  """The expected numbers are counted by hand from weights and attention."""
  tokens, width, depth, n = 16 * 256, 384, 4, 2
  case = train_step.CASES[0]._replace(batch_size=n)
  settings = with_depth(train_step.settings_of(case), depth)
  useful = steps.useful_flops(settings)
  assert useful == pytest.approx(
    n * 6 * depth * tokens * (12 * width**2 + width * (256 + 16)), rel=0.02
  )
  full = train_step.settings_of(case._replace(remat='full'))
  full = with_depth(full, depth)
  assert steps.useful_flops(full) == useful
  model = steps.Model(full)
  shapes = jax.eval_shape(model.make_state)
  done = flops_lib.count(model.pure_step(), shapes, model.batch)
  assert done > 1.2 * useful


@pytest.mark.parametrize('case', train_step.CASES[2:4], ids=str)
def test_sizes_of_the_dit_can_be_traced(case):
  settings = train_step.settings_of(case._replace(batch_size=2))
  model = steps.Model(settings)
  state = jax.eval_shape(model.make_state)
  _, metrics = jax.eval_shape(model.pure_step(), state, model.batch)
  assert any(name.endswith('/loss') for name in metrics)


@pytest.mark.parametrize(
  'case',
  [
    pytest.param(case, marks=pytest.mark.slow if 'U-Net' in case[0] else ())
    for case in others.TRAIN[:3]
  ],
  ids=lambda case: case[0],
)
def test_other_models_fit_their_data(case):
  """Only changed fields are tested; tests of configs trace the steps."""
  _, config, overrides, _ = case
  model = steps.Model(others.train_settings(config, 'base', overrides, 2))
  state = jax.eval_shape(model.make_state)
  assert set(model.model.players) <= set(state.params)
  assert model.batch['video'].shape == (2, *model.settings.clip_shape)


def test_a_smaller_batch_is_tried_only_when_memory_is_short(
  tmp_path, monkeypatch
):
  tried = []

  def measure(settings: int, error: str) -> dict:
    tried.append(settings)
    if error and settings > 4:
      raise RuntimeError(error)
    return {'ms': 1}

  # In a process of many tests, clearing caches takes seconds.
  cleared = []
  monkeypatch.setattr(jax, 'clear_caches', lambda: cleared.append(True))
  monkeypatch.setattr(recording.gc, 'collect', lambda: 0)
  monkeypatch.setattr(steps, 'Model', lambda settings: settings)
  monkeypatch.setattr(steps, 'measure', measure)
  recorder = recording.Recorder('part', tmp_path, 60.0)
  for error, expected in (
    ('', [16]),
    ('RESOURCE_EXHAUSTED: Out of memory', [16, 8, 4]),
    ('INVALID_ARGUMENT', [16]),
  ):
    tried.clear()
    cleared.clear()
    steps.measure_largest(recorder, 'x', lambda n: n, 16, error=error)
    assert tried == expected
    assert len(cleared) == len(expected)


def test_calls_are_as_many_as_fill_a_repeat():
  assert timing.calls_per_repeat(0.01, 0.1) == 10
  assert timing.calls_per_repeat(5.0, 0.1) == 1
  assert timing.calls_per_repeat(0.0, 0.1) == 2_000


def test_runs_are_repeated_alternately():
  order = []
  runs = {name: lambda n, name=name: order.append((name, n)) for name in 'ab'}
  times = timing.interleaved(runs, 3, 2)
  assert order == [('a', 3), ('b', 3)] * 2
  assert times.keys() == {'a', 'b'}


def test_a_peak_counts_only_if_it_is_new():
  class Device:
    peak = 2 * timing.GIB

    def memory_stats(self) -> dict:
      return {'peak_bytes_in_use': self.peak}

  device = Device()
  peak = timing.Peak(device)
  assert peak.gib() is None
  device.peak = 3 * timing.GIB
  assert peak.gib() == 3
  device.memory_stats = lambda: None  # As on a CPU.
  assert timing.Peak(device).gib() is None


def test_an_update_in_place_can_be_repeated():
  assert timing.copy_bytes(2**12, seconds=0.01) > 0
  assert jnp.isfinite(timing.product_flops(8, seconds=0.01))


@pytest.mark.parametrize('run', train_base.RUNS, ids=lambda run: run.config)
def test_runs_warm_up_soon_and_save_when_they_are_left(run):
  config = train_base.config_of(run, tiny=False)
  settings = settings_lib.read(config)
  assert settings.num_steps == settings.checkpoint_every >= 20_000
  assert not settings.evaluate_every
  assert config.optim.schedule.get('warmup_steps', 100) == 100
  settings_lib.read(train_base.config_of(run, tiny=True))


def test_the_first_run_takes_all_if_there_is_little():
  assert train_base.seconds_for(0, 100.0) == 100
  assert train_base.seconds_for(0, 300.0) == 180
  assert train_base.seconds_for(2, 50.0) == 50


def test_the_twin_in_pytorch_gives_the_same_numbers():
  pytest.importorskip('torch')
  case = train_step.Case('latents', 'smoke', 'none', 2)
  values = torch_ratio.compare(case, tiny=True)
  assert values['agrees']
  assert 0 < values['error'] < 1e-5
