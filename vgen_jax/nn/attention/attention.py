"""Scaled dot-product attention with a choice of kernels.

Axis suffixes of this file, in addition to those of core/shapes.py: `a` heads,
`e` width of a head, `m` tokens attended to.
"""

import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import shapes
from vgen_jax.core.types import Array

_IMPLEMENTATIONS = ('auto', 'xla', 'cudnn')
# With fewer tokens, all logits fit into fast memory and XLA's kernel is fast
# enough. Attention across frames has few tokens and often batches that are too
# large for cuDNN's grid.
_FLASH_TOKENS = 128


def attend(
  query_bnae: Array,
  key_bmae: Array,
  value_bmae: Array,
  *,
  is_causal: bool = False,
  mask_bnm: Array | None = None,
  implementation: str = 'auto',
) -> Array:
  """Returns softmax(query key^T / sqrt(e)) value for each head, `[b, n, a, e]`.

  Logits and softmax are float32.

  Args:
    query_bnae: Queries.
    key_bmae: Keys of the tokens attended to.
    value_bmae: Values of the tokens attended to.
    is_causal: Whether token n attends only to tokens m <= n.
    mask_bnm: Bool, True where token n attends to token m; sizes may be 1. None
      for all.
    implementation: 'xla'; 'cudnn' (flash attention on NVIDIA GPUs, which does
      not store the logits in memory); or 'auto': 'cudnn' wherever it can run,
      if there are at least 128 keys and no mask, else 'xla'.

  Raises:
    ValueError: If shapes disagree, or 'cudnn' is requested and cannot run.
  """
  shapes.sizes(
    'ae', query_bnae=query_bnae, key_bmae=key_bmae, value_bmae=value_bmae
  )
  checks.one_of('implementation', implementation, _IMPLEMENTATIONS)
  obstacle = _cudnn_obstacle(query_bnae)
  if implementation == 'cudnn' and obstacle:
    raise ValueError(
      f"implementation is 'cudnn', which cannot run here: {obstacle} Use 'xla'"
      " or 'auto'."
    )
  if implementation == 'auto':
    few = key_bmae.shape[1] < _FLASH_TOKENS or mask_bnm is not None
    implementation = 'xla' if obstacle or few else 'cudnn'
  return jax.nn.dot_product_attention(
    query_bnae,
    key_bmae,
    value_bmae,
    mask=None if mask_bnm is None else mask_bnm[:, None],
    is_causal=is_causal,
    implementation=implementation,
  )


def _cudnn_obstacle(query_bnae: Array) -> str:
  """Returns why cuDNN cannot run, or '' if it can."""
  backend, dtype = jax.default_backend(), query_bnae.dtype
  width = query_bnae.shape[-1]
  if backend != 'gpu':
    return f'the backend is {backend!r}; cuDNN needs an NVIDIA GPU.'
  if dtype not in (jnp.bfloat16, jnp.float16):
    return f'dtype is {dtype}; cuDNN needs bfloat16 or float16.'
  if width % 8 or width > 128:
    return (
      f'a head has width {width}; cuDNN needs a multiple of 8, at most 128.'
    )
  return ''
