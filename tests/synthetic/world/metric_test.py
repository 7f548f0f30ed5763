"""Tests of synthetic/world/metric.py: real clips pass, corrupt ones fail."""

import functools

import numpy as np
import pytest

from vgen_jax.evaluation.metrics import base
from vgen_jax.synthetic.world import metric as metric_lib
from vgen_jax.synthetic.world import source as world_lib

SHAPE = (8, 16, 16, 3)
ONLY = {'shape': 'circle', 'size': 'large', 'speed': 'quickly'}
NUM = 48


@functools.cache
def world(split='validation') -> world_lib.World:
  return world_lib.World(SHAPE, split, only=ONLY)


@functools.cache
def clips(split='validation', num=NUM, first=0):
  found = [world(split)[i] for i in range(first, first + num)]
  return {key: np.stack([x[key] for x in found]) for key in found[0]}


def real_clips():
  return {**clips(num=2 * NUM), 'index': np.arange(2 * NUM)}


@functools.cache
def metric() -> metric_lib.VerifierMetric:
  return metric_lib.VerifierMetric(world())


@functools.cache
def real():
  return metric().extractor(real_clips())


def found(made) -> base.Findings:
  features = {base.GENERATED: metric().extractor(made), base.REAL: real()}
  return metric().compute(features, np.random.default_rng(0))


def test_real_clips_are_valid_correct_and_at_the_floor():
  values = found(clips('train')).values
  assert values['validity_strict'].value == 1
  assert values['class_accuracy_all'].value == 1
  low, high = values['validity_strict'].interval
  assert 0.85 < low < high == pytest.approx(1)  # 48 clips cannot prove more.
  assert values['validity_strict'].real == 1
  distance = values['verifier_frechet']
  assert distance.value < 3 * distance.floor
  assert distance.protocol['num_generated'] == NUM
  assert distance.protocol['num_real'] == NUM
  assert distance.protocol['covariance_ddof'] == 1


def test_metric_values_equal_the_report_of_the_verifier():
  """The metric converts features to arrays and back."""
  made = clips('train')
  report = metric().verifier.report(made['video'], made['label'])
  values = found(made).values
  for name, number in report.items():
    assert values[name].value == pytest.approx(number), name
    assert values[name].better == metric_lib.VALUES[name].better
    assert values[name].unit == metric_lib.VALUES[name].unit


def blank(x):
  return np.full_like(x, x[0, 0, 0, 0])


def static(x):
  return np.repeat(x[:, :1], x.shape[1], 1)


def noise(x):
  return np.random.default_rng(0).integers(0, 255, x.shape, np.uint8)


@pytest.mark.parametrize('corrupt', [blank, static, noise])
def test_corrupt_clips_are_invalid(corrupt):
  made = clips('train')
  values = found({**made, 'video': corrupt(made['video'])}).values
  assert values['validity_loose'].value == 0
  assert values['valid_and_correct'].value == 0
  assert (
    values['class_accuracy_valid'].status == 'undefined'
  )  # No clip is valid.
  assert (
    values['verifier_frechet'].value > 10 * values['verifier_frechet'].floor
  )


def test_accuracy_is_grouped_by_class():
  made = clips('train')
  wrong = {**made, 'label': np.where(made['label'] == 0, 1, made['label'])}
  findings = found(wrong)
  fraction_wrong = np.mean(made['label'] == 0)
  assert findings.values['class_accuracy_all'].value == pytest.approx(
    1 - fraction_wrong
  )
  groups = findings.groups['class_accuracy_all by class']
  assert groups['right']['value'] is None  # It was not requested.
  assert groups['down-right']['value'] < 1
  assert groups['left']['value'] == 1
  assert sum(group['num'] for group in groups.values()) == NUM


def test_a_repeated_clip_has_low_coverage():
  made = clips('train')
  same = {key: np.repeat(x[:1], NUM, 0) for key, x in made.items()}
  values = found(same).values
  assert values['validity_strict'].value == 1
  assert values['coverage'].value < 0.2 < 0.8 < values['coverage'].real


def test_all_requested_factors_are_compared():
  made = clips('train')
  requested = {**made, 'index': np.arange(NUM)}  # Of clips of the other split.
  requested['label'] = clips()['label']
  values = found(requested).values
  expected = [world().factors(i)['color'] for i in range(NUM)]
  shown = [world('train').factors(i)['color'] for i in range(NUM)]
  right = np.mean([a == b for a, b in zip(expected, shown, strict=True)])
  assert values['accuracy_color'].value == pytest.approx(right)
  assert values['caption_accuracy'].value < right < 0.5
  assert values['caption_accuracy'].real == 1
