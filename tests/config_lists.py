"""Configs that `make test` trains; `make test-slow` trains all others."""

from collections.abc import Callable
import pathlib

import pytest

CONFIGS = sorted((pathlib.Path(__file__).parents[1] / 'configs').glob('*.py'))
# Runs that `make test` kills: one of videos, one with evaluations and one with
# a frozen tokenizer. `make test-slow` kills those of all other configs.
KILLED = ('dit_world', 'fsq_video_folder', 'maskgit_world')
# Tracing their base size takes 4 seconds or more. `make test-slow` does it;
# `make test` builds and initializes their smoke size.
LARGE = (
  'agvn_face',
  'causal_vae_world',
  'demo',
  'dit_video_folder',
  'few_shot_vid2vid_subjects',
  'flow_latent_world',
  'magvit_vqgan_world',
  'mocogan_world',
  'r3gan_world',
  'savn_mirror',
  'savp_two_futures',
  'savp_video_folder',
  'svg_two_futures',
  'svg_video_folder',
  'unet3d_digits',
  'vid2vid_layouts',
  'videogpt_vqvae_world',
  'videovae_world',
)
# Runs that `make test` resumes in the same process: of diffusion, of a GAN with
# batch norm and several players, of a prior over codes, of a predictor and of a
# tokenizer. `make test-slow` resumes those of all other configs.
RESUMED = (
  'convlstm_digits',
  'dit_world',
  'fsq_world',
  'maskgit_world',
  'mocogan_world',
)
# One config of each kind of condition; the others are slow tests.
CONDITIONED = ('convlstm_digits', 'dit_world', 'maskgit_world')


def marked(slow: Callable[[str], bool]) -> list:
  """Returns all configs, marked as slow tests if `slow(name)` is true."""
  return [
    pytest.param(path, marks=pytest.mark.slow if slow(path.stem) else ())
    for path in CONFIGS
  ]
