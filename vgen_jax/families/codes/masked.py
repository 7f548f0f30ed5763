"""Masked models: hidden codes are learned from all that one can see."""

from collections.abc import Mapping
import dataclasses
import math

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Metrics
from vgen_jax.families.codes import code_model
from vgen_jax.families.codes import masks
from vgen_jax.families.codes import token_sampling

# Streams of a clip's key: of its loss, and of its sample.
_DROP, _TASK, _SHARE, _PLACE = range(4)
_CODE, _ORDER = range(2)


class Masked(code_model.CodeModel):
  """A transformer that fills in hidden codes, all at once or in a few steps.

  It learns by hiding a random share of the codes of each clip, and is asked for
  these: the loss is their mean cross-entropy, by clip and then over clips. It
  draws by filling in all, keeping those it was surest of, and so on; how many
  stay hidden after each step is that share's own schedule.

  What is known (see `families.codes.code_model.CodeModel`) is never hidden, so
  that prediction, interpolation, in- and outpainting are one and the same. To
  be good at such it learns with what a task of masks.py knows, drawn for each
  clip.

  Attributes:
    transformer: `(codes_bthw, condition, train=...) -> logits_bthwk`; the code
      `num_codes` is a hidden one.
    schedule: How many codes are hidden, of masks.SCHEDULES.
    tasks: {name of masks.TASKS: how often it is learned}, relative.
    label_smoothing: Share of a target's probability that is given to all codes
      evenly.
    num_steps: Steps of a draw.
    choice_temperature: How much of Gumbel's noise is added to the
      log-probability of a code before the surest are kept; falls to 0 over the
      steps.

  Reference: Chang et al., "MaskGIT: Masked Generative Image Transformer", 2022,
  https://arxiv.org/abs/2202.04200; tasks as in Yu et al., "MAGVIT: Masked
  Generative Video Transformer", 2022, https://arxiv.org/abs/2212.05199, but
  known codes are seen as they are.
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
    del player  # There is but one.
    codes_bthw, key_b = self.codes_of(batch), self.clip_keys(batch)
    drop_key_b = random.fold_in(key_b, _DROP) if train else None
    hidden_bthw = self.hide(key_b)
    seen_bthw = jnp.where(hidden_bthw, self.num_codes, codes_bthw)
    told = self.told(batch, drop_key_b)
    logits_bthwk = self.transformer(seen_bthw, told, train=train)

    nats_bthw = -token_sampling.log_likelihood(logits_bthwk, codes_bthw)
    even_bthw = -jax.nn.log_softmax(logits_bthwk).mean(-1)
    smooth = self.label_smoothing
    loss_bthw = (1 - smooth) * nats_bthw + smooth * even_bthw
    right_bthw = logits_bthwk.argmax(-1) == codes_bthw
    mean = lambda x: jnp.mean(x, where=hidden_bthw, axis=(1, 2, 3)).mean()
    return mean(loss_bthw), {
      'bits_per_code': mean(nats_bthw) / math.log(2),
      'accuracy': mean(right_bthw),
      'hidden': hidden_bthw.mean(),
    }

  def hide(self, key_b: Array) -> Array:
    """Draws which codes are to be filled in; bool `[b, t, h, w]`, one at least.

    A clip's task says what is known; of the rest a share is hidden, which is
    the schedule's at a time drawn evenly.
    """
    known_kthw = np.stack([masks.known(task, self.grid) for task in self.tasks])
    often_k = np.array(list(self.tasks.values()), np.float32)
    task_b = jax.vmap(
      lambda key: jax.random.categorical(key, np.log(often_k / often_k.sum()))
    )(random.fold_in(key_b, _TASK))
    known_bn = jnp.asarray(known_kthw)[task_b].reshape(len(key_b), -1)
    done_b = random.uniform(random.fold_in(key_b, _SHARE))
    unknown_b = (~known_bn).sum(-1)
    count_b = jnp.ceil(unknown_b * masks.SCHEDULES[self.schedule](done_b))
    score_bn = random.uniform(random.fold_in(key_b, _PLACE), known_bn.shape[1:])
    place_bn = masks.rank(jnp.where(known_bn, 2.0, score_bn))
    hidden_bn = place_bn < jnp.clip(count_b, 1, unknown_b)[:, None]
    return hidden_bn.reshape(-1, *self.grid)

  def sample(self, key_b: Array, condition: Condition) -> Array:
    """Draws codes for each key, int32 `[b, t, h, w]`."""
    self.check_condition(condition)
    self.check_dropout(condition, self.class_dropout)
    known_codes, known = self.known(condition, len(key_b))
    start_bthw = jnp.where(known, known_codes, self.num_codes)
    transformer, variables = self.transformer.unbind()  # For use under scan.
    is_guided, told = self.is_guided(condition), self.pairs(condition)
    unknown_b = (~known).sum((1, 2, 3))

    def step(codes_bthw: Array, number: Array) -> tuple[Array, None]:
      step_key_b = random.fold_in(key_b, number)
      seen = code_model.twice(codes_bthw) if is_guided else codes_bthw
      logits_bthwk = transformer.apply(variables, seen, told, train=False)
      logits_bthwk = self.blend(logits_bthwk) if is_guided else logits_bthwk
      drawn_bthw = token_sampling.draw(
        random.fold_in(step_key_b, _CODE),
        token_sampling.restrict(
          logits_bthwk, self.temperature, self.top_k, self.top_p
        ),
      )
      sure_bthw = token_sampling.log_likelihood(logits_bthwk, drawn_bthw)
      done = (number + 1) / self.num_steps
      noise_bthw = random.uniform(random.fold_in(step_key_b, _ORDER), self.grid)
      heat = self.choice_temperature * (1 - done)
      sure_bthw += heat * -jnp.log(-jnp.log(noise_bthw + 1e-20) + 1e-20)
      hidden_bthw = codes_bthw == self.num_codes
      still_bthw = self._still_hidden(
        jnp.where(hidden_bthw, sure_bthw, jnp.inf), unknown_b, number
      )
      codes_bthw = jnp.where(hidden_bthw, drawn_bthw, codes_bthw)
      return jnp.where(still_bthw, self.num_codes, codes_bthw), None

    codes_bthw, _ = lax.scan(step, start_bthw, jnp.arange(self.num_steps))
    return codes_bthw.astype(jnp.int32)

  def _still_hidden(
    self, sure_bthw: Array, unknown_b: Array, number: Array
  ) -> Array:
    """Returns which codes step `number` leaves hidden: those least sure.

    As many as the schedule says, but at least one less than before, and none
    after the last step.
    """
    done = (number + 1) / self.num_steps
    share = masks.SCHEDULES[self.schedule](done)
    count_b = jnp.floor(unknown_b * share)
    before_b = jnp.isfinite(sure_bthw).sum((1, 2, 3))
    count_b = jnp.minimum(count_b, before_b - 1)
    count_b = jnp.where(number + 1 == self.num_steps, 0, count_b)
    place_bn = masks.rank(sure_bthw.reshape(len(sure_bthw), -1))
    return (place_bn < count_b[:, None]).reshape(sure_bthw.shape)


def _check(model: Masked) -> None:
  """Raises ValueError if fields have no meaning."""
  if model.schedule not in masks.SCHEDULES:
    raise ValueError(
      f'model.schedule is {model.schedule!r}; it must be one of'
      f' {tuple(masks.SCHEDULES)}.'
    )
  if not model.tasks or not set(model.tasks) <= set(masks.TASKS):
    raise ValueError(
      f'model.tasks is {dict(model.tasks)}; it must name some of'
      f' {tuple(masks.TASKS)}.'
    )
  if min(model.tasks.values()) <= 0:
    raise ValueError(
      f'model.tasks is {dict(model.tasks)}; how often each is learned must be'
      ' positive.'
    )
  if not 0 <= model.label_smoothing < 1:
    raise ValueError(
      f'model.label_smoothing is {model.label_smoothing}; it must lie in'
      ' [0, 1).'
    )
  if model.num_steps < 1 or model.choice_temperature < 0:
    raise ValueError(
      f'model.num_steps is {model.num_steps}, model.choice_temperature'
      f' {model.choice_temperature}; the first must be 1 or more, the second 0'
      ' or more.'
    )
