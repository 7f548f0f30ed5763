"""Tests of core/json_files.py and config/typed.py."""

from collections.abc import Mapping, Sequence
import dataclasses
import typing

import pytest

from tests.core import damage
from vgen_jax.config import typed
from vgen_jax.core import json_files


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    (b'{"a": ', 'file.json is not valid JSON: Expecting value'),
    (b'', 'file.json is not valid JSON: Expecting value'),
    (b'{"a": "\n\xe9"}', 'is not UTF-8: it has the byte 0xe9 in line 2'),
    (b'[' * 100_000, 'is (not valid JSON: it is )?nested too deeply'),
    (b'{"a":' * 200 + b'1' + b'}' * 200, 'at most 100 levels are allowed'),
    (b'{"a": ' + b'1' * 5_000 + b'}', 'not valid JSON: Exceeds the limit'),
    (b'{"a": "\\ud800"}', 'is not valid JSON: .*surrogates'),
    (b'[1, 2]', r'file.json has \[1, 2\]; it must be an object'),
  ],
)
def test_what_is_wrong_with_a_file_is_reported(tmp_path, content, message):
  (tmp_path / 'file.json').write_bytes(content)
  with pytest.raises(json_files.BadFileError, match=message):
    json_files.read(tmp_path / 'file.json')


def test_good_files_are_read(tmp_path):
  (tmp_path / 'a.json').write_bytes(b'\xef\xbb\xbf{"a": "\\ud83d\\ude00"}')
  assert json_files.read(tmp_path / 'a.json') == {'a': '\U0001f600'}
  deep = '[' * 90 + ']' * 90
  (tmp_path / 'a.json').write_text(deep)
  assert json_files.read(tmp_path / 'a.json', list)
  (tmp_path / 'a.jsonl').write_text('1\n\n{"a": "b\u2028c"}\n')
  lines = list(json_files.json_lines(tmp_path / 'a.jsonl'))
  assert lines == [(1, 1), (3, {'a': 'b\u2028c'})]
  (tmp_path / 'a.csv').write_text('a,b\n1,"x\ny"\n2\n')
  rows = list(json_files.csv_rows(tmp_path / 'a.csv'))
  assert rows == [(3, {'a': '1', 'b': 'x\ny'}), (4, {'a': '2', 'b': None})]
  with pytest.raises(FileNotFoundError):
    json_files.read(tmp_path / 'b.json')


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    (b'a,b\n1,2,3\n', 'line 2, has more fields than there are columns'),
    (b'a,a\n1,2\n', "has two columns 'a'"),
    (b'a,b\n1,"2', 'is not valid CSV: unexpected end of data'),
    (b'a\n"1"2\n', "is not valid CSV: ',' expected after '\"'"),
    (b'a\n' + b'x' * 200_000, 'is not valid CSV: field larger than'),
    (b'a\n\xff\n', 'is not UTF-8: it has the byte 0xff in line 2'),
  ],
)
def test_what_is_wrong_with_a_table_is_reported(tmp_path, content, message):
  (tmp_path / 'a.csv').write_bytes(content)
  with pytest.raises(json_files.BadFileError, match=message):
    list(json_files.csv_rows(tmp_path / 'a.csv'))


def test_no_damage_escapes():
  """Reading any file gives a value, or one error that names the file."""
  content = {'a': [1, {'b': 'c'}], 'd': 1.5}
  outcomes = set()
  for data in damage.of_json(content, seed=0, num=200):
    try:
      json_files.parse(data, 'file.json')
      outcomes.add('read')
    except json_files.BadFileError as error:
      outcomes.add('refused' if 'file.json' in str(error) else 'anonymous')
  assert outcomes == {'read', 'refused'}


@dataclasses.dataclass(frozen=True)
class Inner:
  x: int = 0


@dataclasses.dataclass(frozen=True)
class Outer:
  number: float
  text: str = ''
  shape: tuple[int, int] = (0, 0)
  several: Sequence[float | None] = ()
  inner: Inner = Inner()
  by_name: Mapping[str, tuple[str, ...]] = dataclasses.field(
    default_factory=dict
  )
  free: typing.Any = None
  marked: typing.Annotated[str | None, 'path'] = None


@pytest.mark.parametrize(
  ('field', 'good', 'bad'),
  [
    ('number', [1, 1.5], [True, '1', None, [1]]),
    ('text', ['a'], [1, None, ['a']]),
    ('shape', [[1, 2], (1, 2)], [[1], [1, 2, 3], [1, 'a'], [True, 1], 'ab']),
    ('several', [[], [1, None]], [['a'], 'a', None, {}]),
    ('inner', [{'x': 1}, Inner()], [1, None, []]),
    ('by_name', [{}, {'a': ['b']}], [[], {'a': 'b'}, {'a': [1]}]),
    ('free', [1, None, {}], []),
    ('marked', [None, 'a'], [1, []]),
  ],
)
def test_values_are_compared_with_annotations(field, good, bad):
  for value in good:
    typed.build(Outer, {'number': 1, field: value}, 'a.json')
  for value in bad:
    with pytest.raises(json_files.BadFileError, match=f'a.json: {field} is'):
      typed.build(Outer, {'number': 1, field: value}, 'a.json')


def test_missing_and_unknown_fields_are_reported():
  with pytest.raises(ValueError, match="key 'number' is missing"):
    typed.build(Outer, {}, 'a.json')
  with pytest.raises(ValueError, match=r"a\.json: unknown key 'numbr'\. Did"):
    typed.build(Outer, {'numbr': 1}, 'a.json')


def test_plain_annotations():
  for plain in (int, str | None, tuple[int, ...], Mapping[str, float]):
    assert typed.is_plain(plain)
  for other in (typing.Any, Inner, tuple[Inner, ...], typing.Callable, tuple):
    assert not typed.is_plain(other)
