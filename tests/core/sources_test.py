"""Tests of core/sources.py: sources declare captions and random views."""

import ast
import pathlib

import numpy as np

from vgen_jax.core import sources
from vgen_jax.core.types import Schema
from vgen_jax.data import pipeline
from vgen_jax.data.prepare import raw_videos

PACKAGE = pathlib.Path(__file__).parents[2] / 'vgen_jax'
DECLARED_BY = {
  'caption': sources.Captioned.__name__,
  'contents': sources.HasContents.__name__,
  'random_view': sources.HasRandomViews.__name__,
}


def undeclared(text: str) -> list[str]:
  """Returns the classes with a method of a class that they do not derive from.

  Only bases that are written in the class statement are considered.
  """
  found = []
  for node in ast.walk(ast.parse(text)):
    if isinstance(node, ast.ClassDef):
      methods = {x.name for x in node.body if isinstance(x, ast.FunctionDef)}
      bases = {ast.unparse(base).split('.')[-1] for base in node.bases}
      found += [
        node.name
        for method, base in DECLARED_BY.items()
        if method in methods and base not in bases | {node.name}
      ]
  return found


def test_sources_declare_what_they_offer():
  for path in PACKAGE.rglob('*.py'):
    assert not undeclared(path.read_text()), path


def test_an_undeclared_capability_is_detected():
  class_of = lambda base: (
    f'class Mine{base}:\n  def random_view(self, index, rng): pass\n'
  )
  assert undeclared(class_of('')) == ['Mine']
  assert undeclared(class_of('(sources.Captioned)')) == ['Mine']
  assert not undeclared(class_of('(sources.HasRandomViews)'))


class Plain:
  """A source with the methods, but without the declarations."""

  schema = Schema((2, 16, 16, 3))

  def __len__(self):
    return 4

  def __getitem__(self, index):
    return {'video': np.full((2, 16, 16, 3), index, np.uint8)}

  def random_view(self, index, rng):
    return {'video': np.full((2, 16, 16, 3), 200 + index, np.uint8)}

  def caption(self, index):
    return f'clip {index}'


class Declared(Plain, sources.Captioned, sources.HasRandomViews):
  """A source that declares its captions and random views."""


def test_only_declared_offers_are_used():
  options = raw_videos.Options()
  for source, is_declared in ((Plain(), False), (Declared(), True)):
    with pipeline.batches(source, batch_size=4, seed=0) as batches:
      video = next(batches)['video']
    assert (video.min() >= 200) == is_declared
    [piece, *_] = raw_videos.Clip(source, 1).pieces(options)
    assert piece.get('caption') == ('clip 1' if is_declared else None)
