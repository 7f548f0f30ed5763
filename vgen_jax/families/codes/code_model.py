"""What families over codes have in common: what they are told, and guidance."""

from collections.abc import Mapping
import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.families import base


class CodeModel(base.VideoModel):
  """A model of the codes that a tokenizer makes of clips.

  It learns from `batch['codes']`, int32 `[b, t, h, w]`, and draws such. What it
  is to draw may be known in part: `known_codes` where `known`, bool, is True,
  both `[b, t, h, w]`; known codes come out as they went in.

  Attributes:
    clip_shape: (t, h, w, anything) of the grid of codes.
    transformer: Network over codes; has `num_codes`.
    num_classes: Number of labels; 0 learns and draws without.
    vocab_size: Number of text tokens; 0 learns and draws without text.
    class_dropout: Share of clips that are learned without label and text, so
      that guidance has something to push off from.
    guidance: Logits are `null + guidance * (conditional - null)`, where null
      knows neither label nor text; 1 turns it off.
    temperature: Of draws; logits are divided by it, and 0 takes the likeliest.
    top_k: How many of the likeliest codes may be drawn; 0 for all.
    top_p: Probability that the codes that may be drawn have together, the
      likeliest first.

  Reference for guidance: Ho and Salimans, "Classifier-Free Diffusion Guidance",
  2022, https://arxiv.org/abs/2207.12598; on logits, as here, Gafni et al.,
  "Make-A-Scene", 2022, https://arxiv.org/abs/2203.13131
  """

  transformer: nn.Module
  num_classes: int = 0
  vocab_size: int = 0
  class_dropout: float = 0.1
  guidance: float = 1.0
  temperature: float = 1.0
  top_k: int = 0
  top_p: float = 1.0

  def __post_init__(self):
    _check(self)
    super().__post_init__()

  @property
  def updates(self) -> tuple[base.Update, ...]:
    return (base.Update('transformer'),)

  @property
  def input_key(self) -> str:
    return 'codes'

  @property
  def condition_keys(self) -> tuple[str, ...]:
    keys = ('label',) if self.num_classes else ()
    keys += ('text', 'text_mask') if self.vocab_size else ()
    return (*keys, 'known_codes', 'known')

  @property
  def num_codes(self) -> int:
    """Size of the codebook."""
    return self.transformer.num_codes

  @property
  def grid(self) -> tuple[int, int, int]:
    """Codes along t, h and w."""
    return self.clip_shape[:3]

  @property
  def drawn_grid(self) -> tuple[int, int, int]:
    """The same of what it draws, which may be longer."""
    return self.grid

  def codes_of(self, batch: Batch) -> Array:
    """Returns the codes of a batch, once they are sure to fit.

    Raises:
      ValueError: If there are none, or not as many as a clip has.
    """
    if 'codes' not in batch:
      raise ValueError(
        f"The batch has no 'codes', from which {type(self).__name__} learns;"
        ' make it the prior of latent.Latent, whose tokenizer makes them.'
      )
    codes_bthw = batch['codes']
    if codes_bthw.shape[1:] != self.grid:
      raise ValueError(
        f"batch['codes'] has shape {codes_bthw.shape}, but model.clip_shape"
        f' {self.clip_shape} needs {("b", *self.grid)}.'
      )
    return codes_bthw

  def told(self, batch: Batch, drop_key_b: Array | None) -> Condition:
    """Returns what the transformer is told; some are dropped, if with keys.

    Raises:
      ValueError: If the batch lacks the label or text that it learns by.
    """
    keys = [key for key in self.condition_keys if key.startswith(('l', 't'))]
    if missing := [key for key in keys if key not in batch]:
      raise ValueError(
        f'The batch has no {missing}, but model.num_classes is'
        f' {self.num_classes}, model.vocab_size {self.vocab_size}; serve clips'
        ' with them, or set it to 0.'
      )
    told = {key: batch[key] for key in keys}
    if drop_key_b is None:
      return told
    drops_b = random.uniform(drop_key_b) < self.class_dropout
    null = self._null(told)
    broad = lambda x: drops_b.reshape(-1, *[1] * (x.ndim - 1))
    return {k: jnp.where(broad(x), null[k], x) for k, x in told.items()}

  def pairs(self, condition: Condition) -> Condition:
    """Returns what the transformer is told in draws.

    With guidance, each clip comes twice, the second time with nothing told;
    pairs lie side by side: a batch cut over devices stays where it is.
    """
    told = {k: x for k, x in condition.items() if not k.startswith('known')}
    if not self.is_guided(condition):
      return told
    if 'text' in told:  # Or there is nothing to hide from the null.
      told.setdefault('text_mask', jnp.ones(told['text'].shape, bool))
    null = self._null(told)
    return {k: twice(x, null[k]) for k, x in told.items()}

  def is_guided(self, condition: Condition) -> bool:
    """Whether there is something to guide to."""
    return self.guidance != 1 and ('label' in condition or 'text' in condition)

  def blend(self, logits: Array) -> Array:
    """Returns guided logits `[b, ...]` for those of pairs `[2 b, ...]`."""
    logits = logits.reshape(-1, 2, *logits.shape[1:])
    conditional, null = logits[:, 0], logits[:, 1]
    return null + self.guidance * (conditional - null)

  def known(self, condition: Condition, num_clips: int) -> tuple[Array, Array]:
    """Returns (known_codes_bthw, known_bthw); none is known if none is given.

    Raises:
      ValueError: If one comes without the other, shapes or types do not fit, or
        there is no such code; of what jit traces, no code can be looked at.
    """
    shape = (num_clips, *self.drawn_grid)
    keys = ('known_codes', 'known')
    if not any(key in condition for key in keys):
      return jnp.zeros(shape, jnp.int32), jnp.zeros(shape, bool)
    for key in keys:
      came = condition[key].shape if key in condition else 'absent'
      if came != shape:
        raise ValueError(
          f'condition[{key!r}] is {came}; to tell what is known takes'
          f' known_codes and known, both {shape}.'
        )
    codes_bthw, known_bthw = (jnp.asarray(condition[key]) for key in keys)
    kinds = (jnp.integer, jnp.bool_)
    for key, x, kind in zip(keys, (codes_bthw, known_bthw), kinds, strict=True):
      if not jnp.issubdtype(x.dtype, kind):
        raise ValueError(
          f'condition[{key!r}] is of {x.dtype}; it must be of'
          f' {"bool" if kind is jnp.bool_ else "int32"}.'
        )
    if not isinstance(codes_bthw, jax.core.Tracer):
      wrong = (codes_bthw < 0) | (codes_bthw >= self.num_codes)
      if (wrong & known_bthw).any():
        raise ValueError(
          f'condition["known_codes"] has {codes_bthw[wrong & known_bthw][0]}'
          f' among what is known; codes are 0 to {self.num_codes - 1}.'
        )
    return codes_bthw, known_bthw

  def _null(self, told: Mapping[str, Array]) -> Condition:
    null = dict(told)
    if 'label' in told:
      null['label'] = jnp.full_like(told['label'], self.num_classes)
    if 'text' in told:
      null['text_mask'] = jnp.zeros(told['text'].shape, bool)
    return null


def twice(x: Array, other: Array | None = None) -> Array:
  """Returns `[2 b, ...]`, each entry of x followed by its like in `other`."""
  both = jnp.stack([x, x if other is None else other], axis=1)
  return both.reshape(-1, *x.shape[1:])


def _check(model: CodeModel) -> None:
  """Raises ValueError if fields have no meaning, alone or together."""
  for field, low, high in (
    ('class_dropout', 0, 1),
    ('temperature', 0, math.inf),
    ('top_k', 0, math.inf),
    ('top_p', 0, 1),
  ):
    if not low <= (value := getattr(model, field)) <= high:
      raise ValueError(
        f'model.{field} is {value}; it must lie in [{low}, {high}].'
      )
  tells = model.num_classes or model.vocab_size
  if model.guidance != 1 and not (tells and model.class_dropout):
    raise ValueError(
      f'model.guidance is {model.guidance}, but the model never learns without'
      f' a label or text it knows: num_classes is {model.num_classes},'
      f' vocab_size {model.vocab_size}, class_dropout {model.class_dropout};'
      ' set guidance to 1, or make class_dropout and one of the others'
      ' positive.'
    )
