"""Tests of followed_actions.py, on real clips and cheats."""

import numpy as np
import pytest

from experiments.zoo.prediction import followed_actions
from vgen_jax.synthetic.actions import source

START = 3


@pytest.fixture(scope='module')
def clips():
  world = source.Actions((8, 16, 16, 3), 'validation')
  found = [world[i] for i in range(64)]
  stack = lambda key: np.stack([clip[key] for clip in found])
  return world, stack('video'), stack('action')


def fails(clips, pair) -> list[str]:
  world, _, action = clips
  found = followed_actions.numbers(world, *pair, action, START)
  assert followed_actions.row('x', found).startswith('| x | ')
  return followed_actions.failures(found)


def test_real_clips_pass(clips):
  _, video, _ = clips
  assert fails(clips, (video, np.roll(video, 1, axis=0))) == []


@pytest.mark.parametrize(
  ('name', 'criteria'),
  {
    'last known frame': ['correlation'],
    'one frame late': ['correlation'],
    'opposite motion': ['correlation'],
    'actions ignored': ['others'],
    'actions of other clips': ['correlation', 'others'],
  }.items(),
)
def test_cheats_fail(clips, name, criteria):
  pair = followed_actions.cheats(clips[1], START)[name]
  assert fails(clips, pair) == criteria


def test_clips_without_an_object_fail(clips):
  empty = np.zeros_like(clips[1])
  assert fails(clips, (empty, empty)) == ['correlation', 'visible']
