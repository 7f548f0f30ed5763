"""Tests of checked_json.py: damage is noticed, and edits can be accepted."""

import json
import logging

import pytest

from tests.core import damage
from vgen_jax.core import json_files
from vgen_jax.core.checked import checked_json

CONTENT = {'b': [1, 2.5, None], 'a': {'name': 'é', '2': True}, 'c': 1e-4}


def test_a_file_is_read_as_it_was_written(tmp_path, caplog):
  file = tmp_path / 'x.json'
  file.write_text(checked_json.to_text(CONTENT | {'t': (1, (2,))}))
  assert checked_json.read(file, 'copy it again') == CONTENT | {'t': [1, [2]]}
  # Formatting and the order of keys do not count.
  content = json.loads(file.read_text())
  file.write_text(json.dumps(dict(reversed(content.items()))))
  assert checked_json.read(file, 'copy it again') == CONTENT | {'t': [1, [2]]}
  assert not caplog.records


def test_integers_as_keys_are_read_as_text(tmp_path):
  file = tmp_path / 'x.json'
  file.write_text(checked_json.to_text({'x': {10: 1, 9: 2}}))
  assert checked_json.read(file, 'copy it again') == {'x': {'10': 1, '9': 2}}


def test_a_changed_value_is_refused_and_may_be_accepted(tmp_path, caplog):
  file = tmp_path / 'x.json'
  text = checked_json.to_text(CONTENT).replace('2.5', '2.4')
  file.write_text(text)
  message = (
    r'x\.json: its content does not match .* delete its line "digest".* To'
    r' repair the file, copy it again\.'
  )
  with pytest.raises(json_files.BadFileError, match=message):
    checked_json.read(file, 'copy it again')
  lines = [x for x in text.splitlines() if '"digest"' not in x]
  file.write_text('\n'.join(lines))
  with caplog.at_level(logging.WARNING):
    for _ in range(3):
      assert checked_json.read(file, 'copy it again')['b'][1] == 2.4
  [record] = caplog.records  # One warning for each file.
  assert f'{file} has no digest, because an earlier' in record.message


def test_no_flipped_bit_is_silent(tmp_path):
  file, noticed = tmp_path / 'x.json', 0
  content = checked_json.to_text(CONTENT).encode()
  for flipped in damage.flips(content):
    file.write_bytes(flipped)
    try:
      # If the key 'digest' itself is changed, readers refuse the unknown key.
      found = checked_json.read(file, 'copy it again')
      assert found == CONTENT or found.keys() - CONTENT.keys()
    except json_files.BadFileError as error:
      noticed += str(file) in str(error)
  assert noticed > 0.9 * 8 * len(content)


def test_the_key_of_the_digest_is_reserved():
  with pytest.raises(ValueError, match="has a key 'digest', which is reserved"):
    checked_json.to_text({'digest': 1})
