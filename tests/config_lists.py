"""Configs that `make test` trains; `make test-slow` trains all others."""

from collections.abc import Callable
import pathlib

import pytest

CONFIGS = sorted((pathlib.Path(__file__).parents[1] / 'configs').glob('*.py'))
# Runs that `make test` kills: one with evaluations and one with a frozen
# tokenizer. `make test-slow` kills those of all other configs.
KILLED = ('dit_world', 'maskgit_world')
# Tracing their base size takes more than 2 seconds, and another config of their
# family is traced. `make test-slow` traces theirs; `make test` builds and
# initializes their smoke size.
LARGE = (
  'agvn_face',
  'causal_vae_world',
  'cvae_world',
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
  'stgan_world',
  'svg_two_futures',
  'svg_video_folder',
  'tgan_world',
  'unet3d_digits',
  'vgan_world',
  'vid2vid_layouts',
  'videogpt_video_folder',
  'videogpt_vqvae_world',
  'videovae_world',
  'world_transformer_actions',
)
# Runs that `make test` resumes in the same process: of diffusion, of a GAN with
# batch norm, of a prior over codes, of a predictor and of a tokenizer. `make
# test-slow` resumes those of all other configs.
RESUMED = (
  'convlstm_digits',
  'dcgan_world',
  'dit_world',
  'fsq_world',
  'maskgit_world',
)
# One config of each kind of condition; the others are slow tests.
CONDITIONED = ('convlstm_digits', 'dit_world', 'maskgit_world')


def marked(slow: Callable[[str], bool]) -> list:
  """Returns all configs, marked as slow tests if `slow(name)` is true."""
  return [
    pytest.param(path, marks=pytest.mark.slow if slow(path.stem) else ())
    for path in CONFIGS
  ]
