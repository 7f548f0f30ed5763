"""Tests of longer_clips.py, on real clips."""

import types

import jax.numpy as jnp
from ml_collections import config_dict
import numpy as np
import pytest

from experiments.zoo.adversarial import longer_clips
from vgen_jax.models import mocogan
from vgen_jax.synthetic.world import source


def world(**changes) -> source.World:
  only = {
    'shape': 'circle',
    'size': 'large',
    'direction': ('right', 'down', 'left', 'up'),
    'speed': 'slowly',
  }
  options = {'only': only | changes.pop('only', {}), **changes}
  return source.World((8, 16, 16, 3), **options)


def test_real_clips_pass_and_cheats_do_not():
  longer = longer_clips.longer_world(world())
  assert longer.clip_shape[0] == 16
  assert longer.speed('quickly') == world().speed('slowly')
  assert longer.meets_walls
  clips = [longer[i] for i in range(48)]
  video = np.stack([x['video'] for x in clips])
  label_b = np.stack([x['label'] for x in clips])
  found = longer_clips.numbers(video, label_b, longer)
  assert found.whole == found.accuracy == found.right == 1
  assert found.first > 0.95
  assert found.second > 0.95
  assert longer_clips.passes(found)
  cheats = longer_clips.cheats(video, label_b)
  found = {
    name: longer_clips.numbers(x, label_b, longer) for name, x in cheats.items()
  }
  # Where the first half ends at a wall, moving back is right.
  assert found.pop('then backwards').right < 0.4
  assert all(x.right < 0.1 for x in found.values()), found
  # Both halves are as valid as before; only together they are wrong.
  assert found['then another clip'].first > 0.95
  assert found['then another clip'].second > 0.95
  other = longer_clips.numbers(video, (label_b + 1) % 4, longer)
  assert other.whole == 1
  assert other.right == 0


@pytest.mark.parametrize(
  'other',
  [{'meets_walls': False}, {'only': {'speed': ('slowly', 'quickly')}}],
  ids=lambda x: next(iter(x)),
)
def test_other_data_are_refused(other):
  with pytest.raises(ValueError, match=r'slow objects .* that meet walls'):
    longer_clips.longer_world(world(**other))


def test_the_network_generates_twice_as_many_frames():
  network = mocogan.Generator(
    (4, 8, 8, 3), num_classes=2, width=4, content_width=3, motion_width=4
  )
  label_b = np.arange(2)
  keys = longer_clips.sampling.clip_keys(0, 2)
  variables = network.init(
    {'params': keys[0]}, keys, {'label': jnp.asarray(label_b)}, train=True
  )
  grouped = {name: {'generator': x} for name, x in variables.items()}
  run = types.SimpleNamespace(
    model=types.SimpleNamespace(generator=network),
    state=types.SimpleNamespace(variables=lambda average: grouped),
    config=config_dict.ConfigDict({'sample_from': 'slow'}),
  )
  video = longer_clips.generate(run, label_b)
  assert video.shape == (2, 8, 8, 8, 3)
  shorter = network.apply(
    variables, keys, {'label': jnp.asarray(label_b)}, train=False
  )
  np.testing.assert_allclose(video[:, :4], shorter, atol=1e-5)
