"""Tests of inference/real_clips.py: real clips have the requested class."""

import types

import numpy as np
import pytest

from vgen_jax.core import faults
from vgen_jax.core.types import Schema
from vgen_jax.inference import clip_providers
from vgen_jax.inference import real_clips

SETTINGS = types.SimpleNamespace(faults=faults.Faults())


class Labelled:
  """Clips of these labels; pixels of clip i are its label and i."""

  def __init__(self, labels, names=('a', 'b', 'c')):
    self.labels = labels
    self.num_read = 0
    self.schema = Schema((1, 1, 2, 1), len(names), names)

  def __len__(self):
    return len(self.labels)

  def __getitem__(self, index):
    self.num_read += 1
    label = self.labels[index]
    video = np.array([label, index], np.uint8).reshape(1, 1, 2, 1)
    return {'video': video, 'label': np.int32(label)}


def shuffled(labels):
  return real_clips.ShuffledSource(Labelled(labels), SETTINGS)


def label_and_index(video):
  return tuple(video.reshape(-1).tolist())


def test_each_clip_has_a_real_one_of_its_class():
  source = shuffled([0, 1, 2] * 10)
  label_b = np.array([2, 2, 0, 1, 2])
  found = real_clips.of_classes([source], label_b, 30)
  found = [label_and_index(x) for x in found]
  assert [label for label, _ in found] == list(label_b)
  assert len(set(found)) == 5  # No clip is shown twice.
  assert source.source.num_read < 30  # It stops when it has enough.


def test_a_rare_class_repeats_its_clip_rather_than_another_class():
  source = shuffled([0] * 200 + [1])
  found = real_clips.of_classes([source], np.array([1, 0, 1, 1]), 1000)
  assert [label_and_index(x)[0] for x in found] == [1, 0, 1, 1]


def test_training_clips_replace_a_class_that_is_missing():
  held_out, train = shuffled([0, 0, 0]), shuffled([0, 1, 0])
  found = real_clips.of_classes([held_out, train], np.array([0, 1, 2]), 10)
  assert [x is not None and label_and_index(x) for x in found][1:] == [
    (1, 1),
    False,
  ]
  assert label_and_index(found[0])[0] == 0
  assert held_out.source.num_read <= 3


@pytest.fixture
def providers():
  made = object.__new__(clip_providers.ClipProviders)
  made.real, made._train = shuffled([0, 1, 0, 1]), shuffled([0, 1])
  return made


def test_titles_and_missing_classes(providers):
  video = np.zeros((3, 1, 1, 2, 1), np.uint8)
  clips = {'video': video, 'label': np.array([1, 2, 0])}
  found = providers.matching_real(clips)
  assert list(found['title']) == ['b', 'c', 'a']
  assert list(found['has_real']) == [True, False, True]
  assert list(found['real'][[0, 2], 0, 0, 0, 0]) == [1, 0]
  providers.real.schema = Schema((1, 1, 2, 1), 3)
  titles = providers.matching_real(clips)['title']
  assert list(titles) == ['class 1', 'class 2', 'class 0']


def test_clips_without_a_class_have_real_clips_of_any_class(providers):
  found = providers.matching_real({'video': np.zeros((6, 1, 1, 2, 1))})
  assert found['has_real'].all()
  assert list(found['title']) == [''] * 6
  assert set(found['real'][:, 0, 0, 0, 0]) == {0, 1}


def test_clips_with_an_index_have_that_clip(providers):
  clips = {
    'video': np.zeros((2, 1, 1, 2, 1)),
    'index': np.array([3, 2]),
    'label': np.array([1, 0]),
  }
  found = providers.matching_real(clips)
  assert list(found['real'][:, 0, 0, 1, 0]) == [3, 2]
  assert list(found['title']) == ['b', 'a']
