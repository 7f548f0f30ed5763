"""Configs that `make test` trains; `make test-slow` trains all others."""

from collections.abc import Callable, Iterable
import functools
import pathlib

import pytest

from vgen_jax.config import loading as config_lib

CONFIGS = sorted((pathlib.Path(__file__).parents[1] / 'configs').glob('*.py'))
# Runs that `make test` kills: one with evaluations and one with a frozen
# tokenizer. `make test-slow` kills one of each other family.
KILLED = ('dit_world', 'maskgit_world')
# Tracing their base size takes more than 2 seconds. `make test-slow` does it;
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
  'stgan_world',
  'svg_two_futures',
  'svg_video_folder',
  'tgan_world',
  'unet3d_digits',
  'unet3d_world',
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


def marked(
  slow: Callable[[str], bool], names: Iterable[str] | None = None
) -> list:
  """Returns configs, marked as slow tests if `slow(name)` is true.

  Args:
    slow: Function of the name of a config.
    names: Names of the configs; None for all.
  """
  return [
    pytest.param(path, marks=pytest.mark.slow if slow(path.stem) else ())
    for path in CONFIGS
    if names is None or path.stem in names
  ]


@functools.cache
def networks(name: str) -> tuple[str, ...]:
  """Returns what the train step of a config consists of.

  It is the classes of the family and of the networks, and their kinds of
  normalization. Solvers are left out, since a step does not use them.
  """
  model = config_lib.load(f'{CONFIGS[0].parent}/{name}.py:smoke').model
  found = set()

  def visit(x):
    if isinstance(x, dict):
      found.update(f'{k} {x[k]}' for k in ('name', 'norm') if k in x)
      for value in x.values():
        visit(value)

  visit(model.to_dict())
  return tuple(sorted(name for name in found if '.solvers.' not in name))


def families(name: str) -> tuple[str, ...]:
  """Returns the classes of the family of a config, and of its parts."""
  return tuple(x for x in networks(name) if x.startswith('name families.'))


def representatives(
  kind: Callable[[str], object], preferred: Iterable[str] = ()
) -> list[str]:
  """Returns the names of one config of each kind.

  Of several configs, it is a preferred one or one of the synthetic dataset
  World, or else the first.

  Args:
    kind: Function of the name of a config.
    preferred: Names of configs; all of them are returned.
  """
  names = [path.stem for path in CONFIGS]
  names.sort(key=lambda name: (not name.endswith('_world'), name))
  first = {kind(name): name for name in preferred}
  for name in names:
    first.setdefault(kind(name), name)
  return sorted({*first.values(), *preferred})
