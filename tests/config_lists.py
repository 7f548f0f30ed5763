"""Configs that `make test` trains; `make test-slow` trains all others."""

from collections.abc import Callable
import pathlib

import pytest

CONFIGS = sorted((pathlib.Path(__file__).parents[1] / 'configs').glob('*.py'))
# Runs that `make test` kills: one of videos, one with evaluations and one with
# a frozen tokenizer. `make test-slow` kills those of all other configs; `make
# test` resumes one run of each family, also with several players, in the same
# process.
KILLED = ('dit_world', 'fsq_video_folder', 'maskgit_world')
# Tracing their base size takes 20 seconds or more. `make test-slow` does it;
# `make test` traces their smoke size.
LARGE = (
  'causal_vae_world',
  'few_shot_vid2vid_subjects',
  'magvit_vqgan_world',
  'savp_two_futures',
  'savp_video_folder',
  'unet3d_digits',
  'vid2vid_layouts',
  'videovae_world',
)
# Configs whose family `make test` also resumes with another config;
# `make test-slow` resumes these.
REPEATED = (
  'agvn_face',
  'causal_vae_world',
  'convlstm_world',
  'dcgan_world',
  'demo',
  'dit_video_folder',
  'few_shot_vid2vid_subjects',
  'flow_latent_world',
  'gaussian_world',
  'magvit_vqgan_world',
  'r3gan_world',
  'savn_mirror',
  'savp_two_futures',
  'savp_video_folder',
  'stgan_world',
  'svg_video_folder',
  'tgan_world',
  'unet3d_digits',
  'vgan_world',
  'videogpt_video_folder',
  'videogpt_world',
  'videovae_world',
)
# One config of each kind of condition; the others are slow tests.
CONDITIONED = ('convlstm_digits', 'dit_world', 'maskgit_world')


def marked(slow: Callable[[str], bool]) -> list:
  """Returns all configs, marked as slow tests if `slow(name)` is true."""
  return [
    pytest.param(path, marks=pytest.mark.slow if slow(path.stem) else ())
    for path in CONFIGS
  ]


def traced() -> list:
  """Returns all configs with the size whose step and sampler are traced."""
  base = marked(lambda name: name in LARGE)
  base = [pytest.param(*x.values, '', marks=x.marks) for x in base]
  small = [
    pytest.param(path, 'smoke') for path in CONFIGS if path.stem in LARGE
  ]
  return base + small
