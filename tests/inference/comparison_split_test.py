"""Tests of inference/real_clips.py: the split to compare with."""

import types

import pytest

from vgen_jax.config import build
from vgen_jax.core import faults
from vgen_jax.core.types import Schema
from vgen_jax.inference import real_clips


class Split:
  """A source with splits."""

  schema = Schema((1, 1, 1, 3))

  def __init__(self, split: str = 'train', splits=('train', 'validation')):
    self.split = split
    self.splits = splits


class OneSet:
  """A source without splits."""


def comparison(monkeypatch, source, split='', error=None, **data):
  """Returns the split that is compared with, as named and as opened."""
  settings = types.SimpleNamespace(
    data={'name': 'x', **data},
    clip_shape=(1, 1, 1, 3),
    faults=faults.Faults(),
  )

  def opened(data, clip_shape, split, **kwargs):
    if error:
      raise error
    return Split(split)

  monkeypatch.setattr(build, 'source', opened)
  setup = types.SimpleNamespace(settings=settings, source=source)
  found, name = real_clips.comparison_split(setup, split)
  return name, getattr(found, 'split', None)


def test_validation_clips_are_taken_if_there_are_any(monkeypatch):
  assert comparison(monkeypatch, Split()) == ('validation', 'validation')
  only = Split(splits=('train', 'test'))
  assert comparison(monkeypatch, only) == ('train', 'train')
  assert comparison(monkeypatch, OneSet()) == ('train', None)
  assert comparison(monkeypatch, Split('all'), split='all')[1] == 'all'
  assert comparison(monkeypatch, Split(), split='test') == ('test', 'test')
  assert comparison(monkeypatch, Split('all'), **{'split': 'all'})[0] == 'all'


@pytest.mark.parametrize(
  'error',
  [
    faults.ClipError('left/v3.mp4', 'it lasts 0.3 s'),
    ValueError('The table has no column path.'),
    FileNotFoundError('gone'),
  ],
)
def test_a_fault_of_the_split_is_not_taken_for_its_absence(monkeypatch, error):
  with pytest.raises(type(error)) as caught:
    comparison(monkeypatch, Split(), error=error)
  assert caught.value is error
