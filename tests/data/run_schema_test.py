"""Tests of data/run_schema.py: the file of a run, and comparison with data."""

import dataclasses
import json
import random

import jax
import numpy as np
import pytest

from vgen_jax.core import modalities
from vgen_jax.core.types import Schema
from vgen_jax.data import run_schema

SCHEMA = Schema(
  (4, 8, 6, 3),
  num_classes=3,
  class_names=('cat', 'dog', 'été'),
  frames_per_second=12.5,
  vocab_size=259,
  action_width=2,
  audio_bands=5,
  sizes=(('depth_width', 7),),
  vocabulary='bytes',
)
ENTRIES = {
  'video': jax.ShapeDtypeStruct((4, 8, 6, 3), np.uint8),
  'label': jax.ShapeDtypeStruct((), np.int32),
  'text_mask': jax.ShapeDtypeStruct((9,), np.bool_),
}
RECORD = run_schema.RunSchema(SCHEMA, ENTRIES)


def check(found, **kwargs):
  RECORD.check(found, 'runs/x was trained with', 'config.data, f,', **kwargs)


def test_a_file_is_read_as_it_was_written(tmp_path):
  assert run_schema.read(str(tmp_path)) is None
  run_schema.write(str(tmp_path), RECORD)
  assert [x.name for x in tmp_path.iterdir()] == [run_schema.FILE]
  assert run_schema.read(str(tmp_path)) == RECORD
  assert RECORD.batch(5)['video'] == jax.ShapeDtypeStruct(
    (5, 4, 8, 6, 3), np.uint8
  )


def test_numbers_of_numpy_are_written(tmp_path):
  schema = dataclasses.replace(
    SCHEMA, num_classes=np.int64(3), frames_per_second=np.float32(12.5)
  )
  run_schema.write(str(tmp_path), run_schema.RunSchema(schema, ENTRIES))
  assert run_schema.read(str(tmp_path)) == RECORD


def test_no_damage_is_silent(tmp_path):
  """Each flipped bit is an error that names the file, or changes nothing."""
  run_schema.write(str(tmp_path), RECORD)
  file = tmp_path / run_schema.FILE
  content = file.read_bytes()
  rng, num_errors = random.Random(0), 0
  for _ in range(200):
    damaged = bytearray(content)
    damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(damaged)
    try:
      found = run_schema.read(str(tmp_path))
    except ValueError as error:
      found = RECORD
      num_errors += str(file) in str(error)
    assert found == RECORD
  assert num_errors > 150
  for text in ('', '[]', '{}', '[' * 10_000, content[:-20].decode()):
    file.write_text(text)
    with pytest.raises(ValueError, match=r'schema\.json is not the schema'):
      run_schema.read(str(tmp_path))
  edited = json.loads(content)
  edited['run']['schema']['class_names'] = ['dog', 'cat', 'été']
  file.write_text(json.dumps(edited))
  with pytest.raises(ValueError, match='its digest is wrong'):
    run_schema.read(str(tmp_path))


@pytest.mark.parametrize(
  ('change', 'old', 'new'),
  [
    ({'class_names': ('dog', 'cat', 'été')}, "('cat', 'dog', ", "('dog', 'cat"),
    ({'num_classes': 4}, '3', '4'),
    ({'clip_shape': (4, 8, 8, 3)}, '(4, 8, 6, 3)', '(4, 8, 8, 3)'),
    ({'frames_per_second': 25.0}, '12.5', '25'),
    ({'vocab_size': 300}, '259', '300'),
    ({'vocabulary': 'sentencepiece 1'}, "'bytes'", "'sentencepiece 1'"),
    ({'action_width': 0}, '2', '0'),
    ({'audio_bands': 6}, '5', '6'),
    ({'sizes': ()}, "(('depth_width', 7),)", '()'),
  ],
  ids=lambda x: next(iter(x)) if isinstance(x, dict) else '',
)
def test_a_changed_field_is_named_with_both_values(change, old, new):
  check(SCHEMA)
  with pytest.raises(ValueError, match=r'^runs/x was trained with') as caught:
    check(dataclasses.replace(SCHEMA, **change))
  message = str(caught.value)
  [field] = change
  assert f'trained with {field} {old}' in message
  assert f'config.data, f, has {new}' in message
  assert message.endswith('or train a new run in a new --workdir.')


def test_every_field_of_a_schema_is_compared():
  values = {str: 'other', int: 99, float: 99.0}
  for field in dataclasses.fields(Schema):
    old = getattr(SCHEMA, field.name)
    new = values.get(type(old), ('a',))
    with pytest.raises(ValueError, match=f'with {field.name} '):
      check(dataclasses.replace(SCHEMA, **{field.name: new}))


@pytest.mark.parametrize(
  ('names', 'detail'),
  [
    (('cat', 'dog', 'wolf'), "missing: 'été'; new: 'wolf'."),
    (('cat', 'été'), "missing: 'été'"),
    (('été', 'dog', 'cat'), 'the order differs.'),
    ((*'abcdefghij',), "new: 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h' and 2 m"),
  ],
)
def test_lists_of_classes_are_compared_in_words(names, detail):
  if 'dog' not in names:
    detail = detail.replace("'été'", "'dog'")
  changed = dataclasses.replace(
    SCHEMA, class_names=names, num_classes=len(names)
  )
  with pytest.raises(ValueError, match='with class_names') as caught:
    check(changed)
  assert detail in str(caught.value)
  assert len(str(caught.value)) < 500


def test_rates_may_differ_by_rounding_and_between_splits():
  check(dataclasses.replace(SCHEMA, frames_per_second=12.51))
  check(dataclasses.replace(SCHEMA, frames_per_second=15.0), rate=False)
  with pytest.raises(ValueError, match=r'frames_per_second 12\.5,'):
    check(dataclasses.replace(SCHEMA, frames_per_second=12.7))


def test_a_vocabulary_that_was_not_recorded_is_not_compared():
  old = run_schema.RunSchema(dataclasses.replace(SCHEMA, vocabulary=''), {})
  old.check(SCHEMA, 'x', 'y')


@pytest.mark.parametrize(
  ('found', 'message'),
  [
    (
      {**ENTRIES, 'text_mask': jax.ShapeDtypeStruct((8,), np.bool_)},
      r"bool \[9\] 'text_mask' in each clip, but clips of d have bool \[8\]",
    ),
    (
      {**ENTRIES, 'label': jax.ShapeDtypeStruct((), np.int64)},
      r"int32 \[\] 'label' .* int64 \[\] 'label'",
    ),
    (
      {**ENTRIES, 'layout': jax.ShapeDtypeStruct((4, 8, 6), np.int32)},
      r"no 'layout' .* int32 \[4, 8, 6\]",
    ),
    ({'video': ENTRIES['video']}, r"int32 \[\] 'label' .* have no 'label'"),
  ],
)
def test_a_changed_entry_is_named(found, message):
  RECORD.check_entries(ENTRIES, 'x', 'd')
  with pytest.raises(ValueError, match=message):
    RECORD.check_entries(found, 'x', 'd')


def test_entries_of_clips_of_another_shape():
  sizes = dict(zip('thwcnaf', (4, 8, 6, 3, 9, 2, 5), strict=True))
  shape = lambda axes, sizes: tuple(sizes.get(x, 1) for x in axes[1:])
  rows = {'video': 'bthwc', 'other': 'b'}
  for row in modalities.TABLE:
    rows |= {row.key: row.axes} | (
      {row.mask: row.mask_axes} if row.mask else {}
    )
  record = run_schema.RunSchema(
    SCHEMA,
    {
      key: jax.ShapeDtypeStruct(shape(axes, sizes), np.uint8)
      for key, axes in rows.items()
    },
  )
  larger = record.with_clip_shape((7, 16, 12, 1))
  assert larger.schema.clip_shape == (7, 16, 12, 1)
  sizes |= {'t': 7, 'h': 16, 'w': 12, 'c': 1}
  for key, axes in rows.items():
    assert larger.entries[key].shape == shape(axes, sizes), key
  assert record.with_clip_shape((4, 8, 6, 3)) is record


def test_codes_are_of_clips_of_one_shape():
  codes = {'codes': jax.ShapeDtypeStruct((2, 4, 3), np.int32)}
  with pytest.raises(ValueError, match=r'is \(8, 8, 6, 3\), but .* on codes'):
    run_schema.RunSchema(SCHEMA, codes).with_clip_shape((8, 8, 6, 3))
