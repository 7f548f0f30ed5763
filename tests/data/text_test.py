"""Tests of data/text.py, and of captions of World."""

import pickle
import sys
import types

import numpy as np
import pytest

from vgen_jax.config import build
from vgen_jax.data import pipeline
from vgen_jax.data import text as text_lib
from vgen_jax.synthetic.world import source as world_lib

SHAPE = (4, 16, 16, 3)


def test_tokens_of_bytes_do_not_change():
  """Trained models depend on these numbers."""
  token_n, mask_n = text_lib.Bytes(8).encode('a é')
  assert token_n.tolist() == [1, 100, 35, 198, 172, 2, 0, 0]
  assert mask_n.tolist() == [True] * 6 + [False] * 2
  assert (token_n.dtype, mask_n.dtype) == (np.int32, np.bool_)
  assert text_lib.Bytes.vocab_size == 259


@pytest.mark.parametrize(
  'text', ['', 'a small red circle', 'größer 🎈 日本語', '\x00\x01\xff']
)
def test_bytes_can_be_decoded(text):
  tokenizer = text_lib.Bytes(64)
  token_n, mask_n = tokenizer.encode(text)
  assert tokenizer.decode(token_n) == text
  assert token_n.max() < tokenizer.vocab_size
  assert mask_n.sum() == len(text.encode()) + 2


def test_long_texts_are_truncated_between_characters():
  tokenizer = text_lib.Bytes(6)
  token_n, mask_n = tokenizer.encode('aé日本語')
  assert (
    tokenizer.decode(token_n) == 'aé'
  )  # A character of three bytes does not fit.
  assert token_n[mask_n][-1] == tokenizer.END
  with pytest.raises(ValueError, match='length is 1; it must be at least 2'):
    text_lib.Bytes(1)


class Pieces:
  """A fake SentencePiece with the special ids of T5, without begin."""

  words = ('<pad>', '</s>', '<unk>', 'a', 'red', 'circle')

  def __init__(self, model_file):
    if model_file != 't5.model':
      raise OSError(f'Not found: "{model_file}"')

  def encode(self, text):
    known = dict(zip(self.words, range(6), strict=True))
    return [known.get(word, 2) for word in text.split()]

  def decode(self, ids):
    return ' '.join(self.words[i] for i in ids)

  get_piece_size = lambda self: len(self.words)
  pad_id = lambda self: 0
  eos_id = lambda self: 1
  bos_id = lambda self: -1


@pytest.fixture
def sentencepiece(monkeypatch):
  module = types.ModuleType('sentencepiece')
  module.SentencePieceProcessor = Pieces
  monkeypatch.setitem(sys.modules, 'sentencepiece', module)
  text_lib._vocabulary.cache_clear()
  yield
  text_lib._vocabulary.cache_clear()


@pytest.mark.usefixtures('sentencepiece')
def test_pieces_of_a_vocabulary():
  tokenizer = pickle.loads(pickle.dumps(text_lib.SentencePiece('t5.model', 5)))
  token_n, mask_n = tokenizer.encode('a red circle')
  assert token_n.tolist() == [3, 4, 5, 1, 0]
  assert mask_n.tolist() == [True] * 4 + [False]
  assert tokenizer.decode(token_n) == 'a red circle'
  assert tokenizer.vocab_size == 6
  cut_n, mask_n = tokenizer.encode('a red red red red circle')
  assert cut_n.tolist() == [3, 4, 4, 4, 1]
  assert mask_n.all()
  with pytest.raises(FileNotFoundError, match=r't6\.model is not a vocab'):
    text_lib.SentencePiece('t6.model')


def test_a_missing_package_is_named(monkeypatch):
  monkeypatch.setitem(sys.modules, 'sentencepiece', None)
  text_lib._vocabulary.cache_clear()
  with pytest.raises(ImportError, match=r"pip install 'vgen_jax\[text\]'"):
    text_lib.SentencePiece('t5.model')


def test_the_real_package(tmp_path):
  spm = pytest.importorskip('sentencepiece')
  words = tmp_path / 'words.txt'
  world = world_lib.World(SHAPE)
  words.write_text('\n'.join(world.caption(i) for i in range(300)))
  prefix = str(tmp_path / 'words')
  spm.SentencePieceTrainer.train(
    input=str(words), model_prefix=prefix, vocab_size=40, pad_id=0, eos_id=1,
    unk_id=2, bos_id=-1, minloglevel=2,
  )  # fmt: skip
  tokenizer = text_lib.SentencePiece(f'{prefix}.model', 64)
  token_n, mask_n = tokenizer.encode(world.caption(3))
  assert tokenizer.decode(token_n) == world.caption(3)
  assert token_n[mask_n][-1] == 1


def test_world_clips_have_captions():
  spec = {
    'name': 'synthetic.world.source.World',
    'text': {'name': 'data.text.Bytes', 'length': 64},
  }
  source = build.source(spec, SHAPE)
  assert source.schema.vocab_size == 259
  plain = world_lib.World(SHAPE)
  for i in range(20):
    clip = source[i]
    assert source.text.decode(clip['text']) == plain.caption(i)
    np.testing.assert_array_equal(clip['video'], plain[i]['video'])
  assert 'text' not in plain[0]
  assert plain.schema.vocab_size == 0
  with pipeline.batches(source, batch_size=8, seed=0) as batches:
    batch = next(batches)
  assert batch['text'].shape == batch['text_mask'].shape == (8, 64)
  assert world_lib.World(SHAPE, text=True).text.length == 128


HELD_OUT = (
  {'shape': 'circle', 'color': 'red'},
  {'shape': 'cross', 'color': ('blue', 'cyan')},
)


def combinations(split: str, held_out=HELD_OUT) -> set[tuple[str, str]]:
  world = world_lib.World(SHAPE, split, held_out=held_out)
  clips = [world.factors(i) for i in range(400)]
  return {(clip['shape'], clip['color']) for clip in clips}


def test_the_test_split_has_the_held_out_combinations():
  held_out = {('circle', 'red'), ('cross', 'blue'), ('cross', 'cyan')}
  assert combinations('test') == held_out
  assert not combinations('train') & held_out
  assert len(combinations('train')) == 24 - 3
  assert combinations('validation') == combinations('train')
  # Each word occurs in training; only the combination is new.
  for words in zip(*combinations('test'), strict=True):
    assert all(
      any(word in pair for pair in combinations('train')) for word in words
    )
  assert held_out < combinations('train', held_out=())  # The check can fail.


def test_holding_out_combinations_keeps_other_factors_uniform():
  world = world_lib.World(SHAPE, held_out=HELD_OUT)
  counts = np.bincount(
    [('small', 'large').index(world.factors(i)['size']) for i in range(1000)]
  )
  assert abs(counts[0] - 500) < 5 * np.sqrt(250)


@pytest.mark.parametrize(
  ('held_out', 'message'),
  [
    ({'shap': 'circle'}, "held_out: unknown key 'shap'. Did you mean 'shape'"),
    ({'shape': 'circel'}, r"held_out\['shape'\] is 'circel'; .* Did you mean"),
    ({}, 'all of the combinations are held out. Change'),
  ],
)
def test_held_out_errors(held_out, message):
  with pytest.raises(ValueError, match=message):
    world_lib.World(SHAPE, held_out=(held_out,))


HEAD = 'A person in a dark coat walks slowly along a street, then turns '


@pytest.mark.parametrize(
  ('length', 'expected'),
  [
    (80, ''),
    (
      72,
      '1 of 3 captions are longer than 72 tokens and are truncated. With'
      ' length=73 in the spec of the tokenizer, data.text.Bytes, no caption is'
      ' truncated.',
    ),
    (
      60,
      '3 of 3 captions are longer than 60 tokens and are truncated. This makes'
      ' 1 of 3 different captions. With length=73 in',
    ),
  ],
)
def test_truncated_captions_are_counted(length, expected):
  captions = [HEAD + 'left.', HEAD + 'right.', HEAD + 'around.']
  assert len((HEAD + 'around.').encode()) + 2 == 73
  found = text_lib.truncation(text_lib.Bytes(length), captions)
  assert found.startswith(expected)
  assert bool(found) == bool(expected)


def test_the_stated_length_is_that_of_all_captions():
  captions = ['é' * 50, 'e' * 70, '走进屋里' * 9]
  longest = max(text_lib.Bytes().num_tokens(x) for x in captions)
  assert f'length={longest} ' in text_lib.truncation(
    text_lib.Bytes(20), captions
  )
  assert text_lib.truncation(text_lib.Bytes(longest), captions) == ''
  for caption in captions:
    tokens, _ = text_lib.Bytes(longest).encode(caption)
    assert text_lib.Bytes(longest).decode(tokens) == caption


def test_a_source_that_does_not_count_tells_of_the_first(caplog, monkeypatch):
  monkeypatch.setattr(text_lib, '_warned', set())
  text_lib.entries(text_lib.Bytes(9), 'exactly')  # It fits.
  assert caplog.records == []
  for _ in range(3):
    text_lib.entries(text_lib.Bytes(9), 'too long for it')
  [record] = caplog.records
  assert 'length=17 ' in record.getMessage()
  text_lib.entries(text_lib.Bytes(8), 'too long for it', is_counted=True)
  assert len(caplog.records) == 1
