"""Tests of mocogan_codes.py, on colours that are known."""

import numpy as np
import pytest

from experiments.zoo.adversarial import mocogan_codes


@pytest.fixture
def clips() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns colours that content determines, shown classes, and labels."""
  rng = np.random.default_rng(0)
  content_c3 = rng.uniform(-100, 100, (16, 3))
  noise_cm3 = rng.normal(0, 5, (16, 16, 3))
  label_m = np.arange(16) % 8
  shown_cm = np.broadcast_to(label_m, (16, 16))
  return content_c3[:, None] + noise_cm3, shown_cm, label_m


def test_content_that_determines_the_colour_passes_and_cheats_do_not(clips):
  tint, shown, label = clips
  explained, accuracy = mocogan_codes.numbers(tint, shown, label)
  assert 0.95 < explained < 1
  assert accuracy == 1
  assert mocogan_codes.passes(explained, accuracy)
  for name, cheat in mocogan_codes.cheats(tint, shown).items():
    numbers = mocogan_codes.numbers(*cheat, label)
    assert not mocogan_codes.passes(*numbers), name


def test_a_single_colour_is_not_explained(clips):
  tint, shown, label = clips
  same = np.broadcast_to(tint[:1], tint.shape)
  assert not mocogan_codes.passes(*mocogan_codes.numbers(same, shown, label))
  still = np.broadcast_to(tint[:1, :1] + 1e-3 * tint[:, :1], tint.shape)
  assert mocogan_codes.numbers(still, shown, label)[0] == 0


def test_wrong_directions_do_not_pass(clips):
  tint, shown, label = clips
  wrong = (shown + (np.arange(16) % 4 == 0)) % 8
  assert not mocogan_codes.passes(*mocogan_codes.numbers(tint, wrong, label))
