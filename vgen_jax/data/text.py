"""Tokenizers of captions: bytes by default, or a SentencePiece vocabulary.

A tokenizer maps a caption to `length` tokens, the same number for each caption,
and a mask that is False for padding. It is picklable and fast to create, since
every process that reads data has one.
"""

from collections.abc import Iterable
import functools
import hashlib
import logging
import pathlib
from typing import Any, Protocol

import numpy as np

from vgen_jax.core import file_paths
from vgen_jax.core.types import Clip
from vgen_jax.core.types import PathText

_log = logging.getLogger(__name__)


class Tokenizer(Protocol):
  """Maps captions to tokens, and tokens to captions.

  Attributes:
    length: Number of tokens of a caption, n.
    vocab_size: Size of the vocabulary; tokens are 0 to `vocab_size` - 1.
    vocabulary: Name that identifies the vocabulary: equal names give equal
      tokens.
  """

  length: int
  vocab_size: int

  @property
  def vocabulary(self) -> str: ...

  def num_tokens(self, text: str) -> int:
    """Returns the smallest `length` with which a text is not truncated."""
    ...

  def encode(self, text: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns tokens int32 `[n]` and mask bool `[n]` of a text.

    Texts that are too long are truncated. The last token where the mask is True
    is the end of the text, also if it was truncated.
    """
    ...

  def decode(self, token_n: np.ndarray) -> str:
    """Returns the text of tokens, up to the first end token."""
    ...


class Bytes:
  """Tokenizer with a token for each byte of UTF-8, for any language.

  Tokens 0, 1 and 2 are padding, begin and end; byte x is token x + 3. These
  values never change, since trained models depend on them.

  Attributes:
    length: Number of tokens of a caption, including begin and end.
  """

  PAD, BEGIN, END = range(3)
  vocab_size = 3 + 256
  vocabulary = 'bytes'

  def __init__(self, length: int = 128):
    _check_length(length)
    self.length = length

  def num_tokens(self, text: str) -> int:
    return len(text.encode()) + 2

  def encode(self, text: str) -> tuple[np.ndarray, np.ndarray]:
    data = text.encode()[: self.length - 2]
    data = data.decode(errors='ignore').encode()  # Drops a partial character.
    tokens = [self.BEGIN, *(byte + 3 for byte in data), self.END]
    return _padded(tokens, self.length, self.PAD)

  def decode(self, token_n: np.ndarray) -> str:
    tokens = _until(token_n, self.END)
    return bytes(x - 3 for x in tokens if x >= 3).decode(errors='replace')


class SentencePiece:
  """Tokenizer with a SentencePiece vocabulary, such as that of T5.

  Padding, begin and end have the ids that the vocabulary gives them. A begin
  token is only written if the vocabulary has one; that of T5 has none. Unknown
  pieces become the unknown token.

  Attributes:
    path: File of the vocabulary, '<name>.model'; for T5, 'spiece.model'.
    length: Number of tokens of a caption, including the begin, if there is one,
      and the end.
  """

  def __init__(self, path: PathText, length: int = 128):
    _check_length(length)
    self.path = path = file_paths.expanded(path)
    self.length = length
    self.vocab_size = _vocabulary(path).get_piece_size()
    if _vocabulary(path).eos_id() < 0:
      raise ValueError(
        f'{path} has no token for the end of a text; use a vocabulary that has'
        ' one, such as that of T5.'
      )

  @property
  def vocabulary(self) -> str:
    return f'sentencepiece {_digest(self.path)}'

  def num_tokens(self, text: str) -> int:
    pieces = _vocabulary(self.path)
    return len(pieces.encode(text)) + 1 + (pieces.bos_id() >= 0)

  def encode(self, text: str) -> tuple[np.ndarray, np.ndarray]:
    pieces = _vocabulary(self.path)
    begin = [pieces.bos_id()] if pieces.bos_id() >= 0 else []
    tokens = [*begin, *pieces.encode(text)][: self.length - 1]
    # Without a padding token, only the mask distinguishes padding from piece 0.
    pad = max(pieces.pad_id(), 0)
    return _padded([*tokens, pieces.eos_id()], self.length, pad)

  def decode(self, token_n: np.ndarray) -> str:
    pieces = _vocabulary(self.path)
    marks = {pieces.bos_id(), pieces.pad_id()}
    tokens = _until(token_n, pieces.eos_id())
    return pieces.decode([x for x in tokens if x not in marks])


def entries(
  tokenizer: Tokenizer, caption: str, *, is_counted: bool = False
) -> Clip:
  """Returns the entries of a clip for a caption: `text` and `text_mask`.

  Args:
    tokenizer: Tokenizer of the source.
    caption: Caption of the clip.
    is_counted: Whether the source has counted the captions that are truncated.
      Otherwise the log names the first of them.
  """
  token_n, mask_n = tokenizer.encode(caption)
  # A mask without False may belong to a caption that just fits.
  if not is_counted and mask_n.all():
    _warn_once(tokenizer, caption)
  return {'text': token_n, 'text_mask': mask_n}


def truncation(tokenizer: Tokenizer, captions: Iterable[str]) -> str:
  """Returns a sentence about captions that are truncated; '' if none is.

  Args:
    tokenizer: Tokenizer of the captions.
    captions: Captions of all videos.
  """
  captions = list(captions)
  counts = [tokenizer.num_tokens(caption) for caption in captions]
  long = [n for n in counts if n > tokenizer.length]
  if not long:
    return ''
  different = set(captions)
  remaining = {tuple(tokenizer.encode(x)[0].tolist()) for x in different}
  merged = ''
  if len(remaining) < len(different):
    merged = (
      f' This makes {len(remaining)} of {len(different)} different captions.'
    )
  kind = type(tokenizer).__name__
  return (
    f'{len(long)} of {len(captions)} captions are longer than'
    f' {tokenizer.length} tokens and are truncated.{merged} With'
    f' length={max(counts)} in the spec of the tokenizer, data.text.{kind}, no'
    ' caption is truncated.'
  )


@functools.cache
def _digest(path: str) -> str:
  """Returns 16 hexadecimal digits that identify the content of a file."""
  return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()[:16]


_warned: set[tuple[str, int]] = set()  # Tokenizers that were warned of.


def _warn_once(tokenizer: Tokenizer, caption: str) -> None:
  """Logs a line about a truncated caption, once for each kind and length."""
  key = type(tokenizer).__name__, tokenizer.length
  if key not in _warned and (sentence := truncation(tokenizer, [caption])):
    _warned.add(key)
    _log.warning('A caption is truncated, perhaps others, too. %s', sentence)


@functools.lru_cache(maxsize=8)
def _vocabulary(path: str) -> Any:
  """Returns a vocabulary, which is read once per process and never pickled."""
  try:
    import sentencepiece
  except ImportError as error:
    raise ImportError(
      f'{path} is a SentencePiece vocabulary, but the package sentencepiece is'
      " not installed: pip install 'vgen_jax[text]', or use text.Bytes, which"
      ' does not need it.'
    ) from error
  try:
    return sentencepiece.SentencePieceProcessor(model_file=path)
  except (OSError, RuntimeError) as error:
    raise FileNotFoundError(
      f'{path} is not a vocabulary that sentencepiece can read ({error}); give'
      " the path of a file '<name>.model'."
    ) from error


def _padded(
  tokens: list[int], length: int, pad: int
) -> tuple[np.ndarray, np.ndarray]:
  token_n = np.full(length, pad, np.int32)
  token_n[: len(tokens)] = tokens
  return token_n, np.arange(length) < len(tokens)


def _until(token_n: np.ndarray, end: int) -> list[int]:
  tokens = np.asarray(token_n).tolist()
  return tokens[: tokens.index(end)] if end in tokens else tokens


def _check_length(length: int) -> None:
  if length < 2:
    raise ValueError(
      f'The tokenizer length is {length}; it must be at least 2, for the begin'
      ' and the end of a caption.'
    )
