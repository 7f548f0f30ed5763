"""Tests of data/tfds/adapters.py: examples of all known datasets are read."""

import importlib

import numpy as np
import pytest

from vgen_jax.data.tfds import adapters
from vgen_jax.data.tfds import compat
from vgen_jax.data.tfds import dataset


@pytest.mark.parametrize('name', sorted(adapters.CATALOGUE))
def test_catalogue(name, monkeypatch):
  """Random examples of each dataset can be parsed and decoded."""
  tfds = compat.load()
  # By default, the parts of a random example would differ in length, ...
  mocking = importlib.import_module('tensorflow_datasets.testing.mocking')
  make = mocking.RandomFakeGenerator.__init__
  monkeypatch.setattr(make, '__defaults__', (1, None, True, 0))
  box = tfds.features.BBoxFeature  # ... and its boxes would be invalid.
  monkeypatch.setattr(box, 'encode_example', lambda *_: np.zeros(4, 'f4'))
  known = adapters.CATALOGUE[name]
  with tfds.testing.mock_data(num_examples=2):
    source = dataset.TFDSVideo(
      (3, 8, 8, 3),
      name,
      split=known.splits[0],
      keys=('label', 'caption', 'action', 'fps'),
      short='loop',
    )
    clip = source[1]
    raw = tfds.data_source(name, split=known.splits[0])[1]
  assert len(source) == 2
  assert clip['video'].shape == (3, 8, 8, 3)
  assert clip['video'].std() > 1  # The frames are noise.
  keys = {key for key in adapters.KEYS if getattr(known, key) is not None}
  assert set(clip) == keys
  for key in keys & {'label', 'caption'}:
    assert clip[key] == raw[getattr(known, key)]
  if 'action' in clip:
    assert clip['action'].shape == (3, source.schema.action_width)
  if 'label' in clip:
    assert source.schema.num_classes == 101


def test_an_adapter_with_a_missing_feature_is_an_error(monkeypatch):
  wrong = adapters.Adapter('frames')
  monkeypatch.setattr(adapters, 'CATALOGUE', {'tao': wrong})
  with compat.load().testing.mock_data(num_examples=1):
    with pytest.raises(
      ValueError, match="path 'frames', which the dataset does"
    ):
      dataset.TFDSVideo((3, 8, 8, 3), 'tao', split='train')
