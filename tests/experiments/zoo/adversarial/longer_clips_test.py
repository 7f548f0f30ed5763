"""Tests of longer_clips.py, on real clips."""

import types

import numpy as np
import pytest

from experiments.zoo.adversarial import longer_clips
from tests import compiled
from vgen_jax.config import build
from vgen_jax.config import loading
from vgen_jax.core import pixels
from vgen_jax.families.autoencoding import vae
from vgen_jax.inference import sampling
from vgen_jax.models import mocogan
from vgen_jax.models import tgan
from vgen_jax.synthetic.mirror import source as mirror
from vgen_jax.synthetic.world import source

SHAPE = (8, 16, 16, 3)


def world(**changes) -> source.World:
  only = {
    'shape': 'circle',
    'size': 'large',
    'direction': ('right', 'down', 'left', 'up'),
    'speed': 'slowly',
  }
  options = {'only': only | changes.pop('only', {}), **changes}
  return source.World(SHAPE, **options)


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


def fake_run(generator=None, **changes):
  """Returns what `check_run` reads of a run."""
  model = types.SimpleNamespace(generator=generator or mocogan.Generator(SHAPE))
  return types.SimpleNamespace(model=model, source=world(**changes))


@pytest.mark.parametrize(
  ('changes', 'match'),
  [
    ({'meets_walls': False}, 'meets_walls of the run is False; .* needs True'),
    ({'only': {'speed': 'quickly'}}, 'only.speed of the run is .*quickly'),
    ({'label': ('direction', 'color')}, 'label of the run is .*color'),
    ({'label': None}, r'label of the run is \(\)'),
  ],
  ids=lambda x: next(iter(x)) if isinstance(x, dict) else '',
)
def test_other_data_are_refused(changes, match):
  longer_clips.check_run(fake_run())
  with pytest.raises(ValueError, match=match):
    longer_clips.check_run(fake_run(**changes))


def test_other_runs_are_refused():
  run = fake_run()
  run.source = mirror.Mirror(SHAPE)
  with pytest.raises(ValueError, match='trained on Mirror'):
    longer_clips.check_run(run)
  with pytest.raises(ValueError, match=r'trained models\.tgan\.'):
    longer_clips.check_run(fake_run(tgan.Generator(SHAPE)))
  run.model = vae.VAE(SHAPE, None)
  with pytest.raises(ValueError, match=r'trained .*\.vae\.VAE'):
    longer_clips.check_run(run)


def test_longer_clips_begin_with_those_of_the_run():
  config = loading.load('mocogan_world:smoke')
  schema = world().schema
  model = build.model(config.model.to_dict(), schema)
  key_b = sampling.clip_keys(0, 2)
  condition = {'label': np.arange(2)}
  variables = compiled.init(
    model.generator, key_b[0], key_b, condition, train=False
  )
  grouped = {name: {'generator': x} for name, x in variables.items()}
  run = types.SimpleNamespace(
    model=model,
    state=types.SimpleNamespace(variables=lambda average: grouped),
    config=types.SimpleNamespace(sample_from='slow'),
    condition=lambda num: condition,
  )
  video = longer_clips.generate(run, 2)
  assert video.shape == (2, 16, 16, 16, 3)
  shorter = compiled.apply(model, grouped, key_b, condition, method='sample')
  difference = video[:, :8] - np.float32(pixels.to_uint8(shorter))
  assert abs(difference).max() <= 1
  assert video[:, :8].std() > 1
