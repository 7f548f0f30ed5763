"""Seeded damage to the texts of files, for tests of their readers."""

from collections.abc import Iterator
import copy
import json
import random
from typing import Any

# Values of other types, and values that cause errors in Python.
_VALUES = (
  None, True, 0, -1, 1.5, 10**400, 1e400, float('nan'), '', 'text', '\ud800',
  [], [[]], [None], {}, {'a': {}}, {'name': 3}, '\x00', '../../x', [1, 'a'],
)  # fmt: skip
_RAW = (
  b'', b'\x00', b'\xff\xfe{}', b'{', b'[]', b'3', b'null', b'"a"', b'nan',
  b'[' * 100_000, b'{"a":' * 5_000 + b'1' + b'}' * 5_000,
  b'[' * 600 + b']' * 600, b'1' * 5_000, b'{"a": "\\ud800"}', b'\xc3(',
)  # fmt: skip


def of_json(content: Any, seed: int, num: int = 60) -> Iterator[bytes]:
  """Yields damaged forms of a file in JSON: of its bytes and of its values."""
  rng = random.Random(seed)
  yield from _RAW
  text = json.dumps(content).encode()
  for _ in range(num):
    yield of_bytes(text, rng)
    changed = copy.deepcopy(content)
    parent, key = rng.choice(list(_places(changed)))
    if rng.random() < 0.2 and isinstance(parent, dict):
      del parent[key]
    elif rng.random() < 0.1 and isinstance(parent, dict):
      parent['unknown'] = 1
    else:
      parent[key] = rng.choice(_VALUES)
    yield json.dumps(changed).encode()


def of_text(text: str, seed: int, num: int = 60) -> Iterator[bytes]:
  """Yields damaged forms of a file of lines."""
  rng = random.Random(seed)
  yield from _RAW
  for _ in range(num):
    damaged = of_bytes(text.encode(), rng)
    yield damaged
    lines = text.encode().split(b'\n')
    lines[rng.randrange(len(lines))] = rng.choice(_RAW)
    yield b'\n'.join(lines)


def of_bytes(content: bytes, rng: random.Random) -> bytes:
  """Returns bytes that were cut, or with some of them changed."""
  if rng.random() < 0.3:
    return content[: rng.randrange(len(content))]
  changed = bytearray(content)
  for _ in range(rng.randint(1, 4)):
    changed[rng.randrange(len(changed))] = rng.choice(b'\x00\xff"{}[],:9-\n\\')
  return bytes(changed)


def flips(
  content: bytes, seed: int = 0, num: int | None = None
) -> Iterator[bytes]:
  """Yields copies with one flipped bit: `num` random ones, or all of them."""
  bits: Any = range(8 * len(content))
  if num is not None:
    rng = random.Random(seed)
    bits = [rng.randrange(8 * len(content)) for _ in range(num)]
  for bit in bits:
    flipped = bytearray(content)
    flipped[bit // 8] ^= 1 << bit % 8
    yield bytes(flipped)


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
  """Yields (parent, key) of every value in nested lists and dicts."""
  items = node.items() if isinstance(node, dict) else enumerate(node)
  for key, child in list(items):
    yield node, key
    if isinstance(child, dict | list) and child:
      yield from _places(child)
