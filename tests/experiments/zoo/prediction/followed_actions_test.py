"""Tests of followed_actions.py, on real clips and cheats."""

import numpy as np
import pytest

from experiments.zoo.prediction import followed_actions
from vgen_jax.synthetic.actions import source

START = 3
WORLD = source.Actions((8, 16, 16, 3), 'validation')


@pytest.fixture(scope='module')
def real() -> followed_actions.Arm:
  return followed_actions.load(WORLD, 64)


def fails(arm) -> tuple[list[str], list[str]]:
  own, other = followed_actions.compare(WORLD, arm, START)
  text = followed_actions.rows('x', (own, other))
  assert text.startswith('| x | own | ')
  assert text.count('\n') == 1
  return followed_actions.failures(own), followed_actions.failures(other)


def test_real_clips_pass(real):
  assert fails(real) == ([], [])


STILL = ['correlation', 'slope', 'steps']


@pytest.mark.parametrize(
  ('name', 'own', 'other'),
  [
    ('last known frame', STILL, STILL),
    ('one frame late', STILL, STILL),
    ('opposite motion', STILL, STILL),
    ('half the motion', ['slope', 'steps'], ['slope', 'steps']),
    ('actions ignored', [], [*STILL, 'own']),
    ('still with other actions', [], STILL),
  ],
)
def test_cheats_fail(real, name, own, other):
  cheat = followed_actions.cheats(WORLD, real, START)[name]
  assert fails(cheat) == (own, other)


def test_clips_without_an_object_fail(real):
  empty = real._replace(video_bthwc=np.zeros_like(real.video_bthwc))
  assert fails(empty) == ([*STILL, 'visible'], [])
