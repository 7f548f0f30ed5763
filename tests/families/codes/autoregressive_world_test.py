"""Tests of trained FSQ codes and VideoGPT over them, on World."""

import pathlib

import numpy as np
import pytest

from tests import learned_clips

LIMITS = {'valid': 0.6, 'class': 0.9, 'colors': 0.7}


@pytest.mark.slow
def test_codes_reconstruct_well_and_videogpt_predicts_them(
  tmp_path: pathlib.Path, optimizes
):
  folder = tmp_path / 'codes'
  tokenizer = learned_clips.train('fsq_world', folder, num_steps=1_000)
  assert tokenizer.validate()['autoencoder/psnr'] > 30
  video = np.stack([tokenizer.source[50_000 + i]['video'] for i in range(512)])
  codes = tokenizer.model.apply(
    tokenizer.state.variables('fast'),
    video / 127.5 - 1,
    method=lambda model, x: model.autoencoder.codes(x),
  )
  assert len(np.unique(codes)) / 512 > 0.5
  run = learned_clips.train(
    'videogpt_world',
    tmp_path / 'gpt',
    num_steps=2_000,
    **{'frozen.autoencoder': str(folder)},
  )
  learned_clips.assert_learned(LIMITS, run)
