"""Tests that a number in a spec out of its range is an error with its path.

Each case changes a config at size 'smoke', as a user does on the command line.
"""

from collections.abc import Mapping
import importlib
import inspect
import pathlib
import pkgutil
from typing import Annotated, get_args, get_origin

import flax.linen as nn
import pytest

from vgen_jax import models
from vgen_jax.config import build
from vgen_jax.config import loading
from vgen_jax.config import ranges
from vgen_jax.config import typed
from vgen_jax.core import types
from vgen_jax.core.types import Schema
from vgen_jax.nn import bottlenecks

CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'
# Sizes from the data are compared with it, and others have checks of their own.
CHECKED_ELSEWHERE = {
  'attention_level', 'downsample', 'flow_levels', 'group_bits', 'levels',
  'num_adaptive', 'num_bits', 'rates', 'action_width', 'audio_bands',
  'clip_shape', 'num_classes', 'num_context', 'num_segments', 'vocab_size',
}  # fmt: skip
CHECKED_ELSEWHERE |= {'SAVP.width', 'Critic.num_frames'}


def networks() -> dict[str, type]:
  """Returns the networks and the bottlenecks that a spec may name."""
  found = {}
  for package in (models, bottlenecks):
    prefix = f'{package.__name__}.'
    for module in pkgutil.iter_modules(package.__path__, prefix):
      file = importlib.import_module(module.name)
      for name, cls in inspect.getmembers(file, inspect.isclass):
        is_own = cls.__module__ == file.__name__ and not name.startswith('_')
        if is_own and issubclass(cls, nn.Module):
          found[f'{file.__name__}.{name}'] = cls
  return found


NETWORKS = networks()


def make(name: str, changes: Mapping) -> nn.Module:
  config = loading.load(f'{CONFIGS / name}.py:smoke')
  paths = {f'model.{path}': value for path, value in changes.items()}
  config = loading.replace(config, paths).to_dict()
  schema = Schema(tuple(config['clip_shape']), num_classes=8)
  return build.model(config['model'], schema)


@pytest.mark.parametrize(
  ('name', 'path', 'value', 'message'),
  [
    ('demo', 'denoiser.num_heads', 0, ' is 0; it must be at least 1'),
    ('demo', 'denoiser.width', 0, ' is 0; it must be at least 1'),
    ('demo', 'denoiser.width', -8, ' is -8; it must be at least 1'),
    ('demo', 'denoiser.patch_size', 0, ' is 0; it must be at least 1'),
    ('demo', 'denoiser.middle_blocks', -1, ' is -1; it must be at least 0'),
    ('dit_world', 'denoiser.depth', -2, ' is -2; it must be at least 0'),
    ('dit_world', 'denoiser.num_heads', 0, ' is 0; it must be at least 1'),
    ('dit_world', 'denoiser.patch_size', (1, 0, 2), r'\[1\] is 0; it must be'),
    ('dit_world', 'denoiser.mlp_ratio', 0.0, ' is 0.0; it must be positive'),
    ('dit_world', 'denoiser.dropout', 1.5, ' is 1.5; .* and less than 1'),
    ('dit_world', 'denoiser.dropout', -0.1, ' is -0.1; it must be at least 0'),
    ('dit_world', 'denoiser.dropout', 1.0, ' is 1.0; .* and less than 1'),
    ('unet3d_world', 'denoiser.multipliers', (), r' is \(\); .* entry or more'),
    ('unet3d_world', 'denoiser.multipliers', (1, 0), r'\[1\] is 0; it must be'),
    ('unet3d_world', 'denoiser.head_width', 0, ' is 0; it must be at least 1'),
    ('unet3d_world', 'denoiser.dropout', 2, ' is 2; .* and less than 1'),
    ('unet3d_world', 'denoiser.attention_levels', (-1,), r'\[0\] is -1; '),
    ('convlstm_world', 'predictor.features', (), r' is \(\); .* entry or more'),
    ('convlstm_world', 'predictor.features', (4, 0), r'\[1\] is 0; it must be'),
    ('convlstm_world', 'predictor.patch', 0, ' is 0; it must be at least 1'),
    ('svg_two_futures', 'predictor.latent_width', -1, ' is -1; .* at least 0'),
    ('svg_two_futures', 'predictor.code_width', 0, ' is 0; .* at least 1'),
    ('agvn_face', 'generator.num_heads', 0, ' is 0; it must be at least 1'),
    ('savn_mirror', 'generator.num_heads', 0, ' is 0; it must be at least 1'),
    ('mocogan_world', 'critic.image.width', 0, ' is 0; it must be at least 1'),
    ('tgan_world', 'generator.latent_width', 0, ' is 0; it must be at least 1'),
    (
      'magvit_vqgan_world', 'autoencoder.bottleneck.num_codes', 0,
      ' is 0; it must be at least 1',
    ),
    (
      'magvit_vqgan_world', 'autoencoder.bottleneck.decay', 1.0,
      ' is 1.0; .* and less than 1',
    ),
  ],
)  # fmt: skip
def test_numbers_out_of_range(name, path, value, message):
  where = rf'^config\.model\.{path.replace(".", "[.]")}'
  with pytest.raises(ValueError, match=f'{where}{message}'):
    make(name, {path: value})


@pytest.mark.parametrize(
  ('name', 'path', 'value'),
  [
    ('svg_two_futures', 'predictor.latent_width', 0),
    ('svg_two_futures', 'predictor.num_layers', 0),
    ('dit_world', 'denoiser.depth', 0),
    ('dit_world', 'denoiser.dropout', 0),
    ('unet3d_world', 'denoiser.temporal_attention_levels', None),
    ('unet3d_world', 'denoiser.attention_levels', ()),
    ('vae_world', 'autoencoder.dense_widths', ()),
    ('savp_two_futures', 'predictor.posterior_widths', ()),
  ],
)
def test_zeros_and_empty_lists_that_have_a_meaning(name, path, value):
  part, field = path.split('.')
  found = getattr(getattr(make(name, {path: value}), part), field)
  assert found == value


@pytest.mark.parametrize('name', NETWORKS)
def test_numbers_of_networks_have_a_range(name):
  """Each whole number has the annotation of a range, and its default fits."""
  cls = NETWORKS[name]
  for field, x in inspect.signature(cls).parameters.items():
    own = f'{cls.__name__}.{field}'
    if field in ('parent', 'name') or {field, own} & CHECKED_ELSEWHERE:
      continue
    assert not has_bare_int(x.annotation), own
    if field == 'dropout':
      assert x.annotation == types.Rate
    if x.default is not x.empty:
      ranges.check(field, x.default, x.annotation)


def has_bare_int(annotation) -> bool:
  """Returns whether an annotation has an int without a range."""
  if annotation is int:
    return True
  if get_origin(annotation) is Annotated and annotation.__origin__ is int:
    return False
  return any(map(has_bare_int, get_args(annotation)))


@pytest.mark.parametrize(
  ('value', 'annotation', 'message'),
  [
    (float('nan'), types.Rate, 'x is nan'),
    (float('inf'), types.Positive, 'x is inf; it must be positive and finite'),
    (0, types.Size | None, 'x is 0'),
    ({'a': 0}, dict[str, types.Size], r'x\.a is 0'),
    (((1, 0),), tuple[tuple[types.Size, types.Size], ...], r'x\[0\]\[1\] is 0'),
  ],
)
def test_ranges_within_other_annotations(value, annotation, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    ranges.check('x', value, annotation)


@pytest.mark.parametrize(
  ('value', 'annotation'),
  [
    (None, types.Size | None),
    ('~/a', types.PathText),
    (0, int),
    ((), tuple[types.Size, ...]),
    ((nn.Dense(1),), tuple[nn.Module, ...]),
    (object(), None),
    # Annotations of other packages may have any metadata.
    (30.0, Annotated[float, 'rate']),
    ('wide', Annotated[str, 'size']),
    (0, Annotated[int, {'unit': 'px'}]),
  ],
)
def test_other_values_have_no_range(value, annotation):
  ranges.check('x', value, annotation)


def test_ranges_are_left_out_of_words():
  optional = types.Sizes | None
  assert typed.words(types.Size) == 'int'
  assert typed.words(optional) == 'tuple[int, ...] or None'
  assert typed.words(tuple[types.Size, types.Rate]) == 'tuple[int, float]'
  nested = Mapping[str, types.Sizes]
  assert typed.words(nested) == 'Mapping[str, tuple[int, ...]]'
