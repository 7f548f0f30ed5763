"""Autoregressive models: each code is predicted from those before it."""

import math
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import random
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Metrics
from vgen_jax.families.codes import code_model
from vgen_jax.families.codes import token_sampling

# Purposes of a clip's key, in the loss and in sampling.
_DROP = 0
_SAMPLE = 0


class Autoregressive(code_model.CodeModel):
  """A transformer that predicts the distribution of the next code.

  Codes are in raster order: t, then h, then w. The loss is the mean negative
  log-likelihood of a code, in nats. Bits per frame can be compared with those
  of any other model of the same codes.

  If the first frames are known, the model predicts the others. Known codes
  after unknown ones are kept, but codes before them are not conditioned on
  them.

  The model can generate clips of any length in constant memory. For clips
  longer than in training, `window` must be shorter than a clip: a model that
  was always trained with the start of the clip in its window cannot continue
  once the start has left the window.

  Attributes:
    transformer: `(codes_bthw, condition, train=..., window=...) ->
      logits_bthwk`, of each code given the codes before it; the argument
      `window` is the number of codes that attention covers in each layer. It
      has `init_cache`, `decode_step` and `dtype` as in models/videogpt.py.
    num_frames: Number of frames of codes to generate; 0 for as many as a
      training clip has.
    window: Number of frames of codes that attention covers in each layer; 0 for
      as many as a training clip has.
  """

  num_frames: int = 0
  window: int = 0

  def __post_init__(self):
    for field in ('num_frames', 'window'):
      checks.at_least(f'model.{field}', getattr(self, field), 0)
    super().__post_init__()

  def loss(
    self, batch: Batch, *, player: str, train: bool
  ) -> tuple[Array, Metrics]:
    del player  # There is only one.
    codes_bthw = self.codes_of(batch)
    drop_key_b = random.fold_in(self.clip_keys(batch), _DROP)
    condition = self.conditioning(batch, drop_key_b if train else None)
    logits_bthwk = self.transformer(
      codes_bthw, condition, train=train, window=self._window_codes
    )
    wanted = *codes_bthw.shape, self.num_codes
    shapes.check_output('transformer', self.transformer, logits_bthwk, wanted)
    nats_bthw = -token_sampling.log_likelihood(logits_bthwk, codes_bthw)
    bits_t = nats_bthw.sum((2, 3)).mean(0) / math.log(2)
    return nats_bthw.mean(), {
      'bits_per_code': nats_bthw.mean() / math.log(2),
      'bits_per_frame': bits_t.mean(),
      'bits_first_frame': bits_t[0],
      'accuracy': (logits_bthwk.argmax(-1) == codes_bthw).mean(),
    }

  def sample(self, key_b: Array, condition: Condition) -> Array:
    """Generates codes for each key, int32 `[b, t, h, w]`."""
    self.check_condition(condition)
    self.check_dropout(condition, self.class_dropout)
    b, grid = len(key_b), self.sample_grid
    known_codes, known = self.known_codes(condition, b)
    transformer, variables = self.transformer.unbind()  # For use under scan.
    variables = _cast(variables, transformer.dtype)
    is_guided = self.is_guided(condition)
    context, kv_cache = transformer.apply(
      variables,
      self.guidance_pairs(condition),
      2 * b if is_guided else b,
      self.grid,
      grid[0],
      self._window_codes,
      method='init_cache',
    )
    sample_key_b = random.fold_in(key_b, _SAMPLE)

    def step(carry: tuple[Array, Any], xs: tuple[Array, Array, Array]):
      code_b, kv_cache = carry
      place, known_code_b, is_known_b = xs
      logits_bk, kv_cache = transformer.apply(
        variables,
        code_model.interleave(code_b) if is_guided else code_b,
        place,
        context,
        kv_cache,
        method='decode_step',
      )
      logits_bk = self.apply_guidance(logits_bk) if is_guided else logits_bk
      logits_bk = token_sampling.filtered(
        logits_bk, self.temperature, self.top_k, self.top_p
      )
      key_b = random.fold_in(sample_key_b, place)
      code_b = token_sampling.sample(key_b, logits_bk)
      code_b = jnp.where(is_known_b, known_code_b, code_b)
      return (code_b, kv_cache), code_b

    in_order = lambda x_bthw: x_bthw.reshape(b, -1).T
    xs = (jnp.arange(math.prod(grid)), in_order(known_codes), in_order(known))
    start = (jnp.zeros(b, jnp.int32), kv_cache)
    _, code_nb = lax.scan(step, start, xs)
    return code_nb.T.reshape(b, *grid)

  @property
  def sample_grid(self) -> tuple[int, int, int]:
    t, h, w = self.grid
    return self.num_frames or t, h, w

  @property
  def _window_codes(self) -> int:
    t, h, w = self.grid
    return (self.window or t) * h * w


def _cast(variables: Any, dtype: str) -> Any:
  """Returns variables with kernels in `dtype`.

  Each step of sampling reads all kernels; bfloat16 halves the bytes to read.
  """
  is_kernel = lambda path: getattr(path[-1], 'key', '') == 'kernel'
  return jax.tree_util.tree_map_with_path(
    lambda path, x: x.astype(dtype) if is_kernel(path) else x, variables
  )
