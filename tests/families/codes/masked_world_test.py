"""Test of MaskGIT, trained over FSQ codes of World."""

import pathlib

import pytest

from tests import learned_clips

# Measured: 0.26, 0.96, 1.00 and 0.48; after 10,000 steps more are valid
# (experiments/zoo/maskgit.md).
LIMITS = {'valid': 0.1, 'rough': 0.8, 'class': 0.9, 'colors': 0.35}


@pytest.mark.slow
def test_maskgit_generates_valid_clips_of_the_class(
  tmp_path: pathlib.Path, optimizes
):
  folder = tmp_path / 'codes'
  learned_clips.train('fsq_world', folder, num_steps=1_000)
  run = learned_clips.train(
    'maskgit_world',
    tmp_path / 'maskgit',
    num_steps=3_000,
    **{'frozen.autoencoder': str(folder)},
  )
  learned_clips.assert_learned(LIMITS, run)
