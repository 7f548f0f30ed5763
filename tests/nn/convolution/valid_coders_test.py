"""Tests of nn/convolution/valid_coders.py."""

import jax
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.nn.convolution import valid_coders

LAYERS = ((2, 3, 2), (3, 2, 3))


def test_sides_are_those_of_convolutions_without_padding():
  paper = ((10, 9, 1), (20, 7, 3), (40, 5, 1), (80, 3, 3))
  found = valid_coders.sides((64, 64), paper)
  assert found == [(64, 64), (56, 56), (17, 17), (13, 13), (4, 4)]


@pytest.mark.parametrize('frame', [(10, 9), (7, 12), (5, 5)])
def test_a_decoder_restores_the_size_of_any_frame(frame):
  video = arrays.uniform((2, 3, *frame, 1))
  changed = video.copy()
  changed[0, 1] *= -1
  encoder = valid_coders.Encoder(LAYERS, (7, 5))
  decoder = valid_coders.Decoder(LAYERS, (7,), (*frame, 1))

  def run(coder, one, other):
    """Returns two outputs, with the same variables."""
    variables = compiled.init(coder, jax.random.key(1), one)
    return (compiled.apply(coder, variables, x) for x in (one, other))

  code, other = run(encoder, video, changed)
  decoded, one = run(decoder, 3 * code, arrays.add(3 * code, (1, 2), 1))
  assert code.shape == (2, 3, 5)
  assert decoded.shape == video.shape
  assert np.abs(decoded).max() <= 1

  # Frames are coded one by one, and each pixel that a kernel reaches counts.
  moved = np.abs(other - code).max(-1) > 1e-6
  np.testing.assert_array_equal(moved, np.eye(1, 6, 1, bool).reshape(2, 3))
  moved = np.abs(one - decoded).max((2, 3, 4)) > 1e-6
  np.testing.assert_array_equal(moved, np.eye(1, 6, 5, bool).reshape(2, 3))


def test_a_layer_that_does_not_fit_is_an_error():
  message = r'Layer 1 of .* kernel of side 2, but its input is 1 x 2'
  with pytest.raises(ValueError, match=message):
    valid_coders.sides((3, 5), LAYERS)
  with pytest.raises(ValueError, match=r'layers is \(\)'):
    valid_coders.sides((3, 5), ())


def test_decoded_frames_start_with_a_small_variance():
  """The first transposed convolutions keep the scale of their inputs."""
  layers = ((8, 4, 2), (16, 3, 2))
  latent = arrays.normal((8, 2, 16))
  decoder = valid_coders.Decoder(layers, (32,), (16, 16, 3))
  variables = compiled.init(decoder, jax.random.key(1), latent)
  frames = compiled.apply(decoder, variables, latent)
  assert 0.05 < frames.std() < 0.8
