"""Tests that processes of a pod compare the clips that they read."""

import types

import numpy as np
import pytest

from vgen_jax.config import build
from vgen_jax.config import sections
from vgen_jax.core import digests
from vgen_jax.core import faults
from vgen_jax.core.types import Schema
from vgen_jax.inference import clip_providers
from vgen_jax.inference import real_clips
from vgen_jax.inference import runs
from vgen_jax.inference import sampling
from vgen_jax.runtime.pod import agreement


class Split:
  schema = Schema((1, 1, 1, 3))
  splits = ('train', 'validation')

  def __init__(self, split: str = 'train'):
    self.split = split

  def __len__(self) -> int:
    return 3


@pytest.fixture
def compared(monkeypatch) -> list:
  """What is compared: values, or names of data with their splits."""
  found = []
  monkeypatch.setattr(agreement, 'check', found.append)
  monkeypatch.setattr(
    agreement,
    'check_data',
    lambda source, name: found.append((name, source().split)),
  )
  monkeypatch.setattr(
    build, 'source', lambda data, clip_shape, split, **kwargs: Split(split)
  )
  return found


@pytest.fixture
def setup():
  settings = types.SimpleNamespace(
    data={'name': 'x'}, clip_shape=(1, 1, 1, 3), faults=faults.Faults()
  )
  model = types.SimpleNamespace(supported_tasks=(), num_known=0)
  found = types.SimpleNamespace(settings=settings, source=Split(), model=model)
  found.schema, found.mesh = Split.schema, None
  found.over_pixels = lambda: found
  return found


def test_evaluations_compare_real_and_training_clips(compared, setup):
  clip_providers.ClipProviders(setup, None, sections.Evaluation())
  assert compared == [
    ('real clips', 'validation'), ('training clips', 'train')
  ]  # fmt: skip


def test_validation_compares_its_clips(compared, setup):
  real_clips.validation_split(setup.settings, setup.source)
  assert compared == [('validation clips', 'validation')]


def test_sampling_compares_the_condition(compared, setup, monkeypatch):
  condition = {'label': np.arange(2)}
  monkeypatch.setattr(runs.Run, 'condition', lambda *args: condition)
  monkeypatch.setattr(runs.Run, '_sampler', None)
  video_bthwc = np.zeros((2, 1, 1, 1, 3), np.uint8)
  monkeypatch.setattr(sampling, 'generate', lambda *a, **k: video_bthwc)
  run = runs.Run('w', None, setup, types.SimpleNamespace(step=4))
  run.sample(2)
  assert compared == [{'condition': digests.tree(condition)}]
