"""Autoregressive models: each code is learned from those before it."""

import math
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp

from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Metrics
from vgen_jax.families.codes import code_model
from vgen_jax.families.codes import token_sampling

# Streams of a clip's key: of its loss, and of its sample.
_DROP = 0
_DRAW = 0


class Autoregressive(code_model.CodeModel):
  """A transformer that says of each code how likely it is after the others.

  Codes stand in raster order: t, then h, then w. The loss is the mean negative
  log-likelihood of a code, in nats, and so the model's is a density: bits per
  frame compare with any other model of the same codes.

  If first frames are known, the others are a prediction. Codes that are known
  after unknown ones are kept, but what comes before them does not see them.

  Clips longer than those it has learned from are drawn on and on, in memory
  that does not grow. For this `window` must be shorter than a clip: a code that
  has always seen the start of its clip does not know how to go on without.

  Attributes:
    transformer: `(codes_bthw, condition, train=..., window=...) ->
      logits_bthwk`, of each code by the last `window` before it; with `begin`
      and `decode` as models/videogpt.py has them.
    num_frames: Frames of codes to draw; 0 for those of a clip.
    window: Frames of codes that one sees at most, in each layer; 0 for those of
      a clip.
  """

  num_frames: int = 0
  window: int = 0

  def __post_init__(self):
    for field in ('num_frames', 'window'):
      if (value := getattr(self, field)) < 0:
        raise ValueError(f'model.{field} is {value}; it must be 0 or more.')
    super().__post_init__()

  def loss(
    self, batch: Batch, *, player: str, train: bool
  ) -> tuple[Array, Metrics]:
    del player  # There is but one.
    codes_bthw = self.codes_of(batch)
    drop_key_b = random.fold_in(self.clip_keys(batch), _DROP)
    told = self.told(batch, drop_key_b if train else None)
    logits_bthwk = self.transformer(
      codes_bthw, told, train=train, window=self._num_seen
    )
    nats_bthw = -token_sampling.log_likelihood(logits_bthwk, codes_bthw)
    bits_t = nats_bthw.sum((2, 3)).mean(0) / math.log(2)
    return nats_bthw.mean(), {
      'bits_per_code': nats_bthw.mean() / math.log(2),
      'bits_per_frame': bits_t.mean(),
      'bits_first_frame': bits_t[0],
      'accuracy': (logits_bthwk.argmax(-1) == codes_bthw).mean(),
    }

  def sample(self, key_b: Array, condition: Condition) -> Array:
    """Draws codes for each key, int32 `[b, t, h, w]`."""
    self.check_condition(condition)
    self.check_dropout(condition, self.class_dropout)
    b, grid = len(key_b), self.drawn_grid
    known_codes, known = self.known(condition, b)
    transformer, variables = self.transformer.unbind()  # For use under scan.
    variables = _cast(variables, getattr(transformer, 'dtype', 'float32'))
    is_guided = self.is_guided(condition)
    context, memory = transformer.apply(
      variables,
      self.pairs(condition),
      2 * b if is_guided else b,
      self.grid,
      grid[0],
      self._num_seen,
      method='begin',
    )
    draw_key_b = random.fold_in(key_b, _DRAW)

    def step(carry: tuple[Array, Any], xs: tuple[Array, Array, Array]):
      code_b, memory = carry
      place, known_code_b, is_known_b = xs
      logits_bk, memory = transformer.apply(
        variables,
        code_model.twice(code_b) if is_guided else code_b,
        place,
        context,
        memory,
        method='decode',
      )
      logits_bk = self.blend(logits_bk) if is_guided else logits_bk
      logits_bk = token_sampling.restrict(
        logits_bk, self.temperature, self.top_k, self.top_p
      )
      key_b = random.fold_in(draw_key_b, place)
      code_b = token_sampling.draw(key_b, logits_bk)
      code_b = jnp.where(is_known_b, known_code_b, code_b)
      return (code_b, memory), code_b

    in_order = lambda x_bthw: x_bthw.reshape(b, -1).T
    xs = (jnp.arange(math.prod(grid)), in_order(known_codes), in_order(known))
    start = (jnp.zeros(b, jnp.int32), memory)
    _, code_nb = lax.scan(step, start, xs)
    return code_nb.T.reshape(b, *grid)

  @property
  def drawn_grid(self) -> tuple[int, int, int]:
    t, h, w = self.grid
    return self.num_frames or t, h, w

  @property
  def _num_seen(self) -> int:
    t, h, w = self.grid
    return (self.window or t) * h * w


def _cast(variables: Any, dtype: str) -> Any:
  """Returns kernels as products take them: read once a code, they cost half."""
  is_kernel = lambda path: getattr(path[-1], 'key', '') == 'kernel'
  return jax.tree_util.tree_map_with_path(
    lambda path, x: x.astype(dtype) if is_kernel(path) else x, variables
  )
