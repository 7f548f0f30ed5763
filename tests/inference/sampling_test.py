"""Tests of inference/sampling.py: clips that are not numbers are errors."""

import types

import jax.numpy as jnp
import numpy as np
import pytest

from vgen_jax.config import settings as settings_lib
from vgen_jax.families import base
from vgen_jax.inference import hooks
from vgen_jax.inference import sampling
from vgen_jax.runtime import sharding
from vgen_jax.training import state as state_lib

SHAPE = (2, 3, 3, 1)


class Ramp(base.VideoModel):
  """Clip i has the value that its condition states, before it is clipped."""

  @property
  def condition_keys(self):
    return ('label',)

  def sample(self, key_b, condition):
    return self.sample_unclipped(key_b, condition).clip(-1, 1)

  def sample_unclipped(self, key_b, condition):
    zeros = jnp.zeros((len(key_b), *SHAPE))
    return zeros.at[:, 1, 2, 0, 0].set(condition['label'])


def generate(values, batch_size=4):
  mesh = sharding.make_mesh(settings_lib.Mesh(data=1, fsdp=1, tensor=1))
  model = Ramp(SHAPE)
  state = state_lib.TrainState(jnp.int32(0), {}, {}, {}, {}, {}, None)
  return sampling.generate(
    sampling.make_sampler(model, 'params', mesh),
    state,
    mesh,
    {'label': np.float32(values)},
    np.arange(len(values)),
    seed=0,
    batch_size=batch_size,
  )


def test_finite_clips_are_clipped_and_become_uint8():
  video = generate([0, 1, -1, 7, -9])
  assert video.shape == (5, *SHAPE)
  assert video[:, 1, 2, 0, 0].tolist() == [128, 255, 0, 255, 0]


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_the_number_of_wrong_clips_is_stated(value):
  """Copies that fill the last batch do not count; the last clip is copied."""
  with pytest.raises(FloatingPointError, match='3 of 6 generated clips'):
    generate([0, value, 0, value, 0, value])


def test_sample_clips_of_a_training_are_checked():
  passed = []
  setup = types.SimpleNamespace(
    settings=types.SimpleNamespace(num_samples=3, seed=0, sample_every=5),
    model=Ramp(SHAPE),
    source=types.SimpleNamespace(schema=types.SimpleNamespace(num_classes=3)),
  )
  hook = hooks.SampleClips()
  hook._run = types.SimpleNamespace(
    setup=setup, clips=lambda step, video: passed.append(video)
  )
  wrong = jnp.zeros((3, *SHAPE)).at[1].set(jnp.nan)
  hook._sample = lambda state, key_b, condition: wrong
  with pytest.raises(FloatingPointError, match='1 of 3 generated clips'):
    hook.on_step(5, None, last=False, stopping=False)
  assert not passed, 'No clip is saved.'


def test_other_batches_of_one_clip_are_the_same():
  values = np.linspace(-1, 1, 5)
  np.testing.assert_array_equal(generate(values, 2), generate(values, 5))
