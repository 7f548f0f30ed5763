"""The base class of families over codes: conditioning and guidance."""

from collections.abc import Mapping
import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import modalities
from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.families import base


class CodeModel(base.VideoModel):
  """A model of the codes of clips that a tokenizer computes.

  A subclass is trained on `batch['codes']`, int32 `[b, t, h, w]`, and generates
  codes. Some of the codes to generate may be known: `known_codes` where
  `known`, bool, is True, both `[b, t, h, w]`; known codes are returned
  unchanged.

  Attributes:
    clip_shape: (t, h, w, c) of the grid of codes; c is not used.
    transformer: Network over codes, with an attribute `num_codes`.
    num_classes: Number of labels; 0 for a model without labels.
    vocab_size: Number of text tokens; 0 for a model without text.
    class_dropout: Fraction of clips that are trained without label and text,
      for classifier-free guidance.
    guidance: Logits are `null + guidance * (conditional - null)`, where null
      has neither label nor text; 1 turns guidance off.
    temperature: Divisor of the logits in sampling; 0 selects the most likely
      code.
    top_k: Number of the most likely codes to sample from; 0 for all.
    top_p: Probability mass of the most likely codes to sample from; 1 for all.

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
    """Number of codes along t, h and w."""
    return self.clip_shape[:3]

  @property
  def sample_grid(self) -> tuple[int, int, int]:
    """Number of generated codes along t, h and w; t may exceed `grid[0]`."""
    return self.grid

  def codes_of(self, batch: Batch) -> Array:
    """Returns the codes of a batch, `[b, t, h, w]`.

    Raises:
      ValueError: If there are none, or their shape is not that of `grid`.
    """
    if 'codes' not in batch:
      raise ValueError(
        f"The batch has no 'codes', on which {type(self).__name__} is trained;"
        ' make it the prior of families.latent.Latent, whose tokenizer computes'
        ' them.'
      )
    codes_bthw = batch['codes']
    if codes_bthw.shape[1:] != self.grid:
      wanted = ', '.join(('b', *map(str, self.grid)))
      raise ValueError(
        f"batch['codes'] has shape {codes_bthw.shape}; this"
        f' {type(self).__name__} is built for codes of shape ({wanted}). Use'
        ' codes of clips of config.clip_shape.'
      )
    return codes_bthw

  def conditioning(self, batch: Batch, drop_key_b: Array | None) -> Condition:
    """Returns the transformer's conditions in training.

    Args:
      batch: Codes with label and text, if the model has them.
      drop_key_b: Keys by which conditions are dropped from some clips; None
        keeps all.

    Raises:
      ValueError: If the batch lacks the label or text.
    """
    keys = modalities.without_target(self.condition_keys)
    if missing := [key for key in keys if key not in batch]:
      raise ValueError(
        f'The batch has no {missing}, but model.num_classes is'
        f' {self.num_classes} and model.vocab_size {self.vocab_size}; train on'
        ' a source with them, or set these to 0.'
      )
    condition = {key: batch[key] for key in keys}
    if drop_key_b is None:
      return condition
    is_dropped_b = random.uniform(drop_key_b) < self.class_dropout
    null = self._null(condition)
    like = lambda x: is_dropped_b.reshape(-1, *[1] * (x.ndim - 1))
    return {k: jnp.where(like(x), null[k], x) for k, x in condition.items()}

  def guidance_pairs(self, condition: Condition) -> Condition:
    """Returns the transformer's conditions in sampling.

    With guidance, each clip's condition is followed by its null condition.
    Pairs are adjacent, so that a batch sharded over devices is not moved.
    """
    inner = {k: condition[k] for k in modalities.without_target(condition)}
    if not self.is_guided(condition):
      return inner
    for row in map(modalities.row, modalities.droppable(inner)):
      if row.null == 'mask':  # The null condition masks all of it.
        inner.setdefault(row.mask, jnp.ones(inner[row.key].shape, bool))
    null = self._null(inner)
    return {k: interleave(x, null[k]) for k, x in inner.items()}

  def is_guided(self, condition: Condition) -> bool:
    """Returns whether guidance is not 1 and there is a label or text."""
    return self.guidance != 1 and bool(modalities.droppable(condition))

  def apply_guidance(self, logits: Array) -> Array:
    """Returns guided logits `[b, ...]`, given those of pairs `[2 b, ...]`."""
    logits = logits.reshape(-1, 2, *logits.shape[1:])
    conditional, null = logits[:, 0], logits[:, 1]
    return null + self.guidance * (conditional - null)

  def known_codes(
    self, condition: Condition, num_clips: int
  ) -> tuple[Array, Array]:
    """Returns (known_codes_bthw, known_bthw); all False if none are given.

    Raises:
      ValueError: If only one is given, a shape or dtype is wrong, or a known
        code is not in the codebook. Codes are not checked under jit.
    """
    shape = (num_clips, *self.sample_grid)
    keys = ('known_codes', 'known')
    if not any(key in condition for key in keys):
      return jnp.zeros(shape, jnp.int32), jnp.zeros(shape, bool)
    for key in keys:
      if key not in condition or condition[key].shape != shape:
        given = 'is missing'
        if key in condition:
          given = f'has shape {condition[key].shape}'
        raise ValueError(
          f'condition[{key!r}] {given}; partly known codes need known_codes and'
          f' known, both of shape {shape}.'
        )
    codes_bthw, known_bthw = (jnp.asarray(condition[key]) for key in keys)
    kinds = (jnp.integer, jnp.bool_)
    for key, x, kind in zip(keys, (codes_bthw, known_bthw), kinds, strict=True):
      if not jnp.issubdtype(x.dtype, kind):
        raise ValueError(
          f'condition[{key!r}] is {x.dtype}; it must be'
          f' {"bool" if kind is jnp.bool_ else "int32"}. Convert it.'
        )
    if not isinstance(codes_bthw, jax.core.Tracer):
      is_wrong = (codes_bthw < 0) | (codes_bthw >= self.num_codes)
      if (is_wrong & known_bthw).any():
        raise ValueError(
          "condition['known_codes'] has a known code"
          f' {codes_bthw[is_wrong & known_bthw][0]}; codes are 0 to'
          f' {self.num_codes - 1}.'
        )
    return codes_bthw, known_bthw

  def _null(self, condition: Mapping[str, Array]) -> Condition:
    """Returns the null condition: no class, and all of the text masked."""
    null = dict(condition)
    for row in map(modalities.row, modalities.droppable(condition)):
      value = condition[row.key]
      if row.null == 'size':
        null[row.key] = jnp.full_like(value, getattr(self, row.size))
      else:
        null[row.mask] = jnp.zeros(value.shape, bool)
    return null


def interleave(x: Array, other: Array | None = None) -> Array:
  """Returns `[2 b, ...]`, each entry of `x` followed by that of `other`.

  Args:
    x: Array `[b, ...]`.
    other: Array of the same shape; None for `x` itself.
  """
  both = jnp.stack([x, x if other is None else other], axis=1)
  return both.reshape(-1, *x.shape[1:])


def _check(model: CodeModel) -> None:
  """Raises ValueError if fields have values that are not allowed."""
  for field, low, high in (
    ('class_dropout', 0, 1),
    ('temperature', 0, math.inf),
    ('top_k', 0, math.inf),
    ('top_p', 0, 1),
  ):
    checks.in_range(f'model.{field}', getattr(model, field), low, high)
  has_condition = model.num_classes or model.vocab_size
  if model.guidance != 1 and not (has_condition and model.class_dropout):
    raise ValueError(
      f'model.guidance is {model.guidance}, but guidance needs a model trained'
      ' both with and without label or text: num_classes is'
      f' {model.num_classes}, vocab_size {model.vocab_size}, class_dropout'
      f' {model.class_dropout}. Set guidance to 1, or make class_dropout and'
      ' one of the others positive.'
    )
