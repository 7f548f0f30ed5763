"""Tests of metrics/pixels.py: memorization, diversity and flicker."""

import functools

import numpy as np
import pytest

from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import pixels
from vgen_jax.synthetic.world import source as world_lib

SHAPE = (8, 16, 16, 3)


@functools.cache
def video(split, num, first=0):
  source = world_lib.World(SHAPE, split)
  return np.stack([source[i]['video'] for i in range(first, first + num)])


def found(metric, generated, **others) -> base.Findings:
  others = {base.REAL: video('validation', 600), **others}
  every = {base.GENERATED: generated, **others}
  features = {k: metric.extractor({'video': x}) for k, x in every.items()}
  return metric.compute(features, np.random.default_rng(0))


@pytest.mark.parametrize(
  'fraction',
  [
    pytest.param(0.0, marks=pytest.mark.slow), 0.5,
    pytest.param(1.0, marks=pytest.mark.slow),
  ],
)  # fmt: skip
def test_copied_clips_are_detected(fraction):
  """About half of the copies are mirrored, and all are noisy."""
  rng = np.random.default_rng(0)
  copied = video('train', 80)
  copied = np.where(
    rng.random((80, 1, 1, 1, 1)) < 0.5, copied[:, :, :, ::-1], copied
  )
  copied = np.clip(copied + rng.normal(0, 3, copied.shape), 0, 255)
  generated = np.where(
    np.arange(80)[:, None, None, None, None] < fraction * 80,
    copied,
    video('test', 80),
  ).astype(np.uint8)
  train = {base.TRAIN: video('train', 400)}
  findings = found(pixels.Memorization(), generated, **train)
  value = findings.values['memorized_fraction']
  assert value.value == pytest.approx(fraction, abs=0.06)
  low, high = value.interval
  assert low <= max(fraction, 0.01) <= high + 1e-9
  assert value.real < 0.06
  assert value.protocol['num_train'] == 400
  parts = findings.groups['memorization']
  assert sum(part['value'] for part in parts.values()) == pytest.approx(
    value.value
  )
  if fraction:
    assert parts['mirrored']['value'] > 0.1


def test_too_few_held_out_clips_give_no_value():
  few = {base.REAL: video('validation', 60), base.TRAIN: video('train', 60)}
  value = found(pixels.Memorization(), video('test', 20), **few).values[
    'memorized_fraction'
  ]
  assert (value.value, value.status) == (None, 'undefined')
  assert '60 held-out clips' in value.note


def test_repeated_clips_have_no_diversity():
  fresh = found(pixels.Diversity(), video('test', 40))
  fresh = fresh.values['nearest_neighbor_distance']
  low, high = fresh.interval
  assert low - 3 < fresh.real < high + 3
  twice = np.concatenate([video('test', 20)] * 2)
  same = found(pixels.Diversity(), twice).values['nearest_neighbor_distance']
  assert same.value == pytest.approx(0, abs=0.1)
  assert same.real == fresh.real


def test_still_clips_are_steady_but_not_dynamic():
  still = np.repeat(video('test', 40)[:, :1], 8, 1)
  values = found(pixels.Flicker(), still).values
  assert values['steadiness'].value == 1 > values['steadiness'].real
  assert values['dynamic_degree'].value == 0 < values['dynamic_degree'].real
