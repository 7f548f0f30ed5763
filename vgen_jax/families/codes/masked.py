"""Masked models: masked codes are predicted from all others."""

from collections.abc import Mapping
import dataclasses
import math

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from vgen_jax.core import checks
from vgen_jax.core import random
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Metrics
from vgen_jax.families.codes import code_model
from vgen_jax.families.codes import masks
from vgen_jax.families.codes import token_sampling

# Purposes of a clip's key, in the loss and in sampling.
_DROP, _TASK, _TIME, _POSITION = range(4)
_CODE, _ORDER = range(2)


class Masked(code_model.CodeModel):
  """A transformer that predicts masked codes, all at once or in a few steps.

  In training a random fraction of each clip's codes is masked. The loss is the
  mean cross-entropy of the masked codes, within a clip and then over clips. In
  sampling, each step predicts all masked codes and keeps the most confident
  ones; the same schedule as in training gives the number that stay masked.

  Known codes (see `families.codes.code_model.CodeModel`) are never masked, so
  prediction, interpolation, inpainting and outpainting need no separate
  functions. To train for them, name tasks of masks.py; one is sampled for each
  clip.

  Attributes:
    transformer: `(codes_bthw, condition, train=...) -> logits_bthwk`; the code
      `num_codes` stands for a masked one.
    schedule: Fraction of codes that are masked, a name in masks.SCHEDULES.
    tasks: {name in masks.TASKS: relative frequency in training}.
    label_smoothing: Fraction of the target probability that is spread over all
      codes evenly, in [0, 1). The network learns it, so sampling subtracts it
      again; otherwise the same fraction of the codes would be random.
    num_steps: Number of sampling steps.
    choice_temperature: Scale of the Gumbel noise that is added to the
      log-probabilities of codes before the most confident ones are kept; it
      decreases to 0 over the steps.

  Reference: Chang et al., "MaskGIT: Masked Generative Image Transformer", 2022,
  https://arxiv.org/abs/2202.04200; tasks as in Yu et al., "MAGVIT: Masked
  Generative Video Transformer", 2022, https://arxiv.org/abs/2212.05199, but
  known codes are inputs without a mask. Neither paper subtracts the smoothing.
  """

  schedule: str = 'cosine'
  tasks: Mapping[str, float] = dataclasses.field(
    default_factory=lambda: {'free': 1.0}
  )
  label_smoothing: float = 0.1
  num_steps: int = 12
  choice_temperature: float = 4.5

  def __post_init__(self):
    _check(self)
    super().__post_init__()

  def loss(
    self, batch: Batch, *, player: str, train: bool
  ) -> tuple[Array, Metrics]:
    del player  # There is only one.
    codes_bthw, key_b = self.codes_of(batch), self.clip_keys(batch)
    drop_key_b = random.fold_in(key_b, _DROP) if train else None
    masked_bthw = self.random_mask(key_b)
    input_bthw = jnp.where(masked_bthw, self.num_codes, codes_bthw)
    condition = self.conditioning(batch, drop_key_b)
    logits_bthwk = self.transformer(input_bthw, condition, train=train)
    wanted = *codes_bthw.shape, self.num_codes
    shapes.check_output('transformer', self.transformer, logits_bthwk, wanted)

    nats_bthw = -token_sampling.log_likelihood(logits_bthwk, codes_bthw)
    uniform_bthw = -jax.nn.log_softmax(logits_bthwk).mean(-1)
    smooth = self.label_smoothing
    loss_bthw = (1 - smooth) * nats_bthw + smooth * uniform_bthw
    correct_bthw = logits_bthwk.argmax(-1) == codes_bthw
    mean = lambda x: jnp.mean(x, where=masked_bthw, axis=(1, 2, 3)).mean()
    return mean(loss_bthw), {
      'bits_per_code': mean(nats_bthw) / math.log(2),
      'accuracy': mean(correct_bthw),
      'hidden': masked_bthw.mean(),
    }

  def random_mask(self, key_b: Array) -> Array:
    """Returns which codes are masked in training, bool `[b, t, h, w]`.

    A clip's task determines the known codes. Of the other codes a random
    fraction is masked, at least one code. The fraction is the value of the
    schedule at a point that is sampled uniformly from [0, 1).
    """
    known_kthw = np.stack([masks.known(task, self.grid) for task in self.tasks])
    weight_k = np.array(list(self.tasks.values()), np.float32)
    task_b = jax.vmap(
      lambda key: jax.random.categorical(key, np.log(weight_k / weight_k.sum()))
    )(random.fold_in(key_b, _TASK))
    known_bn = jnp.asarray(known_kthw)[task_b].reshape(len(key_b), -1)
    done_b = random.uniform(random.fold_in(key_b, _TIME))
    unknown_b = (~known_bn).sum(-1)
    count_b = jnp.ceil(unknown_b * masks.SCHEDULES[self.schedule](done_b))
    score_bn = random.uniform(
      random.fold_in(key_b, _POSITION), known_bn.shape[1:]
    )
    rank_bn = masks.rank(jnp.where(known_bn, 2.0, score_bn))
    masked_bn = rank_bn < jnp.clip(count_b, 1, unknown_b)[:, None]
    return masked_bn.reshape(-1, *self.grid)

  def sample(self, key_b: Array, condition: Condition) -> Array:
    """Generates codes for each key, int32 `[b, t, h, w]`."""
    self.check_condition(condition)
    self.check_dropout(condition, self.class_dropout)
    known_codes, known = self.known_codes(condition, len(key_b))
    start_bthw = jnp.where(known, known_codes, self.num_codes)
    transformer, variables = self.transformer.unbind()  # For use under scan.
    is_guided = self.is_guided(condition)
    condition = self.guidance_pairs(condition)
    unknown_b = (~known).sum((1, 2, 3))

    def step(codes_bthw: Array, number: Array) -> tuple[Array, None]:
      step_key_b = random.fold_in(key_b, number)
      inputs = code_model.interleave(codes_bthw) if is_guided else codes_bthw
      logits_bthwk = transformer.apply(
        variables, inputs, condition, train=False
      )
      if is_guided:
        logits_bthwk = self.apply_guidance(logits_bthwk)
      logits_bthwk = self._without_smoothing(logits_bthwk)
      sampled_bthw = token_sampling.sample(
        random.fold_in(step_key_b, _CODE),
        token_sampling.filtered(
          logits_bthwk, self.temperature, self.top_k, self.top_p
        ),
      )
      confidence_bthw = token_sampling.log_likelihood(
        logits_bthwk, sampled_bthw
      )
      done = (number + 1) / self.num_steps
      noise_bthw = random.uniform(random.fold_in(step_key_b, _ORDER), self.grid)
      temperature = self.choice_temperature * (1 - done)
      gumbel_bthw = -jnp.log(-jnp.log(noise_bthw + 1e-20) + 1e-20)
      confidence_bthw += temperature * gumbel_bthw
      masked_bthw = codes_bthw == self.num_codes
      stays_bthw = self._stays_masked(
        jnp.where(masked_bthw, confidence_bthw, jnp.inf), unknown_b, number
      )
      codes_bthw = jnp.where(masked_bthw, sampled_bthw, codes_bthw)
      return jnp.where(stays_bthw, self.num_codes, codes_bthw), None

    codes_bthw, _ = lax.scan(step, start_bthw, jnp.arange(self.num_steps))
    return codes_bthw.astype(jnp.int32)

  def _without_smoothing(self, logits: Array) -> Array:
    """Returns logits of the distribution before label smoothing.

    Codes whose probability is at most that of the smoothing get probability 0.
    """
    if not self.label_smoothing:
      return logits
    uniform = self.label_smoothing / self.num_codes
    excess = jax.nn.softmax(logits.astype(jnp.float32)) - uniform
    return jnp.log(jnp.maximum(excess, 0))

  def _stays_masked(
    self, confidence_bthw: Array, unknown_b: Array, number: Array
  ) -> Array:
    """Returns which codes stay masked after step `number`.

    The codes that stay masked are the least confident ones, as many as the
    schedule states, but at least one fewer than before, and none after the last
    step.
    """
    done = (number + 1) / self.num_steps
    fraction = masks.SCHEDULES[self.schedule](done)
    count_b = jnp.floor(unknown_b * fraction)
    before_b = jnp.isfinite(confidence_bthw).sum((1, 2, 3))
    count_b = jnp.minimum(count_b, before_b - 1)
    count_b = jnp.where(number + 1 == self.num_steps, 0, count_b)
    rank_bn = masks.rank(confidence_bthw.reshape(len(confidence_bthw), -1))
    return (rank_bn < count_b[:, None]).reshape(confidence_bthw.shape)


def _check(model: Masked) -> None:
  """Raises ValueError if a field has a value that is not allowed."""
  checks.one_of('model.schedule', model.schedule, masks.SCHEDULES)
  if not model.tasks:
    raise ValueError(
      'model.tasks is empty; it must name one or more of'
      f' {", ".join(masks.TASKS)}.'
    )
  for task, frequency in model.tasks.items():
    checks.known_key('model.tasks', task, masks.TASKS)
    if frequency <= 0:
      raise ValueError(
        f'model.tasks[{task!r}] is {frequency}; frequencies must be positive.'
      )
  if not 0 <= model.label_smoothing < 1:
    raise ValueError(
      f'model.label_smoothing is {model.label_smoothing}; it must be at least 0'
      ' and less than 1.'
    )
  checks.at_least('model.num_steps', model.num_steps, 1)
  checks.at_least('model.choice_temperature', model.choice_temperature, 0)
