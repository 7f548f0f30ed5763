"""A Markov chain of three codes, as a network and as samples."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

GRID = (3, 2, 2)
FIRST_K = np.array([0.5, 0.25, 0.25])
# Rows: the previous code.
NEXT_KK = np.array([[0.8, 0.1, 0.1], [0.0, 0.2, 0.8], [0.5, 0.0, 0.5]])


class Chain(nn.Module):
  """Predicts a Markov chain of codes; label l makes code l more likely."""

  num_codes: int = 3
  dtype: str = 'float32'

  def _logits(self, before, is_first, condition):
    probability = jnp.where(
      is_first[..., None],
      FIRST_K.reshape(*[1] * before.ndim, 3),
      jnp.asarray(NEXT_KK)[before],
    )
    logits = jnp.log(probability + 1e-12)
    if 'label' in condition:
      label_b = condition['label']
      tilt_bk = 2.0 * jax.nn.one_hot(label_b, 3)  # Label 3 means none.
      shape = (len(label_b), *[1] * (before.ndim - 1), 3)
      logits = logits + tilt_bk.reshape(shape)
    return logits

  def __call__(self, codes_bthw, condition, *, train, window=None):
    code_bn = codes_bthw.reshape(len(codes_bthw), -1)
    before_bn = jnp.roll(code_bn, 1, axis=1)
    is_first = jnp.arange(code_bn.shape[1])[None] == 0
    logits = self._logits(before_bn, is_first, condition)
    return logits.reshape(*codes_bthw.shape, 3)

  def init_cache(self, condition, num_clips, grid, num_frames, window):
    return condition, jnp.zeros((num_clips, 0))

  def decode_step(self, code_b, place, context, memory):
    first_b = jnp.broadcast_to(place == 0, code_b.shape)
    return self._logits(code_b, first_b, context), memory


def sampled_codes(num_clips: int, seed: int = 0) -> np.ndarray:
  rng = np.random.default_rng(seed)
  codes = np.zeros((num_clips, math.prod(GRID)), np.int32)
  for clip in codes:
    for n in range(len(clip)):
      probability = NEXT_KK[clip[n - 1]] if n else FIRST_K
      clip[n] = rng.choice(3, p=probability)
  return codes.reshape(-1, *GRID)
