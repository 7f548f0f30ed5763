"""Tests of the experiment on the bits of codes."""

import math

import numpy as np
import pytest

from experiments import code_bits


def test_bits_and_probabilities_of_known_distributions():
  """Codes of the object are uniform over 4, others have probability 1/2."""
  shape = (2, 2, 1, 2)
  shows = np.zeros(shape, bool)
  shows[..., 0] = True
  codes = np.full(shape, 3)
  p = np.where(shows[..., None], 1 / 4, [1 / 6, 1 / 6, 1 / 6, 1 / 2])
  found = code_bits.summary(np.log(p), codes, shows)
  assert found['bits, object'] == pytest.approx(2)
  assert found['bits, object, later frames'] == pytest.approx(2)
  assert found['bits, background'] == pytest.approx(1)
  assert found['fraction of bits for the background'] == pytest.approx(1 / 3)
  assert found['right, temperature 0.5'] == pytest.approx(1 / 4)


def test_lower_temperatures_and_later_frames_count():
  """Only later codes of the object count; temperature 0.5 squares odds."""
  shows = np.array([[True, False], [True, False]]).reshape(1, 2, 1, 2)
  codes = np.zeros((1, 2, 1, 2), int)
  p = np.full((1, 2, 1, 2, 2), 0.5)
  p[0, 0, 0, 0] = [1e-3, 1 - 1e-3]
  p[0, 1, 0, 0] = [0.8, 0.2]
  found = code_bits.summary(np.log(p), codes, shows)
  assert found['right, temperature 1.0'] == pytest.approx(0.8)
  odds = 4**2
  assert found['right, temperature 0.5'] == pytest.approx(odds / (odds + 1))
  assert found['bits, object, later frames'] == pytest.approx(-math.log2(0.8))
  assert found['bits, object'] > 5


def test_codes_show_the_object_where_pixels_differ():
  video = np.full((1, 4, 8, 8, 3), -0.8)
  video[0, 3, 5, 2] = 0.5  # The last pair of frames, lower left patch.
  shows = code_bits.shows_object(video, np.zeros((1, 2, 2, 2)))
  assert np.argwhere(shows).tolist() == [[0, 1, 1, 0]]
