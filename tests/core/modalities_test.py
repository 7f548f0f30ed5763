"""Tests of core/modalities.py: types and sources agree with the table."""

import dataclasses

import numpy as np
import pytest

from vgen_jax.core import modalities
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Schema
from vgen_jax.data import text
from vgen_jax.synthetic.actions import source as actions
from vgen_jax.synthetic.degraded import source as degraded
from vgen_jax.synthetic.face import source as face
from vgen_jax.synthetic.layouts import source as layouts
from vgen_jax.synthetic.subjects import source as subjects
from vgen_jax.synthetic.world import source as world

SHAPE = (4, 16, 16, 3)
# Keys of a batch that are not conditions.
MODELLED = {'video', 'codes', 'latents'}
ADDED_BY_STEP = {'position', 'step'}


def test_conditions_are_those_of_the_table():
  assert set(Condition.__annotations__) == set(modalities.keys())


def test_batches_have_the_conditions_that_data_can_have():
  conditions = set(modalities.keys('choice', 'data'))
  assert set(Batch.__annotations__) == conditions | MODELLED | ADDED_BY_STEP


def test_sizes_of_the_table_are_fields_of_the_schema():
  fields = {field.name for field in dataclasses.fields(Schema)}
  sizes = {x.size for x in modalities.TABLE if x.size}
  assert sizes == {
    'num_classes', 'vocab_size', 'action_width', 'audio_bands', 'num_segments',
  }  # fmt: skip
  assert sizes <= fields


def test_keys_are_unique():
  keys = [x.key for x in modalities.TABLE]
  assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
  ('source', 'expected'),
  [
    (world.World(SHAPE, text=text.Bytes(8)), {'label', 'text', 'text_mask'}),
    (actions.Actions(SHAPE), {'action'}),
    (face.Face(SHAPE), {'label', 'audio'}),
    (layouts.Layouts(SHAPE), {'layout'}),
    (layouts.Layouts(SHAPE, flow=True), {'layout', 'flow'}),
    (degraded.Degraded(SHAPE), {'degraded'}),
    (
      subjects.Subjects(SHAPE, num_references=2),
      {'layout', 'reference', 'reference_layout'},
    ),
  ],
  ids=lambda x: '' if isinstance(x, set) else type(x).__name__,
)
def test_clips_of_sources_agree_with_the_table(source, expected):
  clip = source[0]
  t, h, w, c = SHAPE
  sizes = {'t': t, 'h': h, 'w': w, 'c': c}
  assert set(clip) - {'video'} == expected
  rows = [x for x in modalities.TABLE if x.key in clip]
  assert {key for row in rows for key in row.keys} == expected
  for row in rows:
    axes = dict(zip(row.axes[1:], clip[row.key].shape, strict=True))
    assert clip[row.key].dtype == np.dtype(row.dtype), row.key
    assert axes.items() >= {k: sizes[k] for k in axes if k in sizes}.items()
    if row.mask:
      assert clip[row.mask].dtype == bool
      assert clip[row.mask].ndim == len(row.mask_axes) - 1


@pytest.mark.parametrize('row', modalities.TABLE, ids=lambda row: row.key)
def test_axes_fit_the_kind(row):
  start = {'clip': 'b', 'frame': 'bt', 'token': 'bn', 'pixel': 'bthw'}
  assert row.axes.startswith(start[row.kind])
  assert not row.mask_axes or row.mask_axes.startswith(start[row.kind])


def test_sizes_come_from_the_schema():
  schema = Schema(SHAPE, num_classes=3, audio_bands=5)
  assert modalities.sizes(schema) == {
    'num_classes': 3, 'vocab_size': 0, 'action_width': 0, 'audio_bands': 5,
    'num_segments': 0,
  }  # fmt: skip
  with pytest.raises(ValueError, match=r"unknown key 'depth'.* num_classes"):
    modalities.sizes(Schema(SHAPE, sizes=(('depth', 2),)))


def test_unknown_keys_are_errors_that_list_the_known_ones():
  with pytest.raises(
    ValueError, match=r"'lable'. Did you mean 'label'\?.*text"
  ):
    modalities.row('lable')
  with pytest.raises(
    ValueError, match=r"unknown key 'x'. Allowed keys: label, "
  ):
    modalities.check_keys({'x': 0}, ('label',), 'GAN')
  message = r"condition\['text'\] is given, but this GAN accepts \['label'\]"
  with pytest.raises(ValueError, match=message):
    modalities.check_keys({'text': 0}, ('label',), 'GAN')
  modalities.check_keys({'label': 0}, ('label',), 'GAN')


def test_known_parts_of_the_target_and_conditions_with_a_null():
  keys = ('label', 'text', 'text_mask', 'action', 'known_codes', 'known')
  assert modalities.without_target(keys) == keys[:4]
  assert modalities.droppable(keys) == ('label', 'text')


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    (dict(kind='image'), "kind of modality 'x' is 'image'; it must be one of"),
    (dict(origin='user'), "origin of modality 'x' is 'user'"),
    (dict(mask='x_mask'), "has mask 'x_mask' and mask_axes ''"),
    (
      dict(null='size'),
      "null of modality 'x' is 'size', but its size is empty",
    ),
  ],
)
def test_wrong_rows(fields, message):
  row = dict(key='x', kind='clip', dtype='int32', axes='b') | fields
  with pytest.raises(ValueError, match=message):
    modalities.Modality(**row)
