"""Captions as tokens: bytes by default, or the pieces of a vocabulary.

A tokenizer turns a caption into `length` tokens, the same number for each, and
a mask of those that say something. It is picklable and cheap to make, since
every process that reads data holds one.
"""

import functools
from typing import Any, Protocol

import numpy as np

from vgen_jax.core.types import Clip


class Tokenizer(Protocol):
  """Turns captions into tokens, and back.

  Attributes:
    length: Tokens of a caption, n.
    vocab_size: Tokens are 0 to `vocab_size` - 1.
  """

  length: int
  vocab_size: int

  def encode(self, text: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns tokens int32 `[n]` and mask bool `[n]`; what is too long is cut.

    The last token of the mask is the end of the text, of cut ones too.
    """
    ...

  def decode(self, token_n: np.ndarray) -> str:
    """Returns the text of tokens, up to the first end."""
    ...


class Bytes:
  """A token for each byte of UTF-8: any language, nothing to download.

  Tokens 0, 1 and 2 are padding, begin and end; byte x is token x + 3. This will
  not change: checkpoints rest on it.

  Attributes:
    length: Tokens of a caption, begin and end included.
  """

  PAD, BEGIN, END = range(3)
  vocab_size = 3 + 256

  def __init__(self, length: int = 128):
    _check_length(length)
    self.length = length

  def encode(self, text: str) -> tuple[np.ndarray, np.ndarray]:
    data = text.encode()[: self.length - 2]
    data = data.decode(errors='ignore').encode()  # No half of a letter.
    tokens = [self.BEGIN, *(byte + 3 for byte in data), self.END]
    return _padded(tokens, self.length, self.PAD)

  def decode(self, token_n: np.ndarray) -> str:
    tokens = _until(token_n, self.END)
    return bytes(x - 3 for x in tokens if x >= 3).decode(errors='replace')


class SentencePiece:
  """The pieces of a SentencePiece vocabulary, such as T5's.

  Padding, begin and end have the ids that the vocabulary gives them; T5's has
  no begin, and none is written then. What it lacks becomes its unknown.

  Attributes:
    path: File of the vocabulary, '<name>.model'; for T5, 'spiece.model'.
    length: Tokens of a caption, its end included.
  """

  def __init__(self, path: str, length: int = 128):
    _check_length(length)
    self.path = path
    self.length = length
    self.vocab_size = _vocabulary(path).get_piece_size()
    if _vocabulary(path).eos_id() < 0:
      raise ValueError(
        f'{path} has no token for the end of a text; take a vocabulary that'
        ' has one, as that of T5.'
      )

  def encode(self, text: str) -> tuple[np.ndarray, np.ndarray]:
    pieces = _vocabulary(self.path)
    begin = [pieces.bos_id()] if pieces.bos_id() >= 0 else []
    tokens = [*begin, *pieces.encode(text)][: self.length - 1]
    # Where there is no padding, the mask alone tells it from piece 0.
    pad = max(pieces.pad_id(), 0)
    return _padded([*tokens, pieces.eos_id()], self.length, pad)

  def decode(self, token_n: np.ndarray) -> str:
    pieces = _vocabulary(self.path)
    marks = {pieces.bos_id(), pieces.pad_id()}
    tokens = _until(token_n, pieces.eos_id())
    return pieces.decode([x for x in tokens if x not in marks])


def entries(tokenizer: Tokenizer, caption: str) -> Clip:
  """Returns what a caption adds to a clip: `text` and `text_mask`."""
  token_n, mask_n = tokenizer.encode(caption)
  return {'text': token_n, 'text_mask': mask_n}


@functools.lru_cache(maxsize=8)
def _vocabulary(path: str) -> Any:
  """Reads a vocabulary once in each process: it does not travel in pickles."""
  try:
    import sentencepiece
  except ImportError as error:
    raise ImportError(
      f'{path} is a SentencePiece vocabulary, and the package sentencepiece is'
      " not installed: pip install 'vgen_jax[text]', or take text.Bytes, which"
      ' needs none.'
    ) from error
  try:
    return sentencepiece.SentencePieceProcessor(model_file=path)
  except (OSError, RuntimeError) as error:
    raise FileNotFoundError(
      f'{path} is no vocabulary that sentencepiece reads: {error}'
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
      f'length is {length}; a caption takes 2 tokens or more, its begin and its'
      ' end.'
    )
