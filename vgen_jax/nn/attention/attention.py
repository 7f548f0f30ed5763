"""Attention, by the fastest kernel that fits.

Letters of this file, besides those of core/shapes.py: `a` heads, `e` width of a
head, `m` tokens that are looked at.
"""

import jax
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array

_IMPLEMENTATIONS = ('auto', 'xla', 'cudnn')
# Below this, all logits fit near the cores, and XLA's kernel is good enough;
# looking across frames means few tokens and batches too long for cuDNN's grid.
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
  """Returns for each token the mean of the values of those it looks at.

  Logits are divided by the root of `e`; they and their softmax are float32.

  Args:
    query_bnae: What each token looks for.
    key_bmae: What each token offers.
    value_bmae: What it hands over.
    is_causal: Whether token n sees only tokens m <= n.
    mask_bnm: True where n may see m; None is everywhere. Sizes may be 1.
    implementation: 'xla'; 'cudnn' (flash attention of NVIDIA's GPUs, which
      holds no logits in memory); or 'auto', the latter wherever it can run and
      there are tokens enough.

  Raises:
    ValueError: If shapes disagree, or 'cudnn' is asked for and cannot run.
  """
  shapes.sizes(
    'ae', query_bnae=query_bnae, key_bmae=key_bmae, value_bmae=value_bmae
  )
  if implementation not in _IMPLEMENTATIONS:
    raise ValueError(
      f'implementation is {implementation!r}; it must be one of'
      f' {_IMPLEMENTATIONS}.'
    )
  fault = _cudnn_fault(query_bnae)
  if implementation == 'cudnn' and fault:
    raise ValueError(
      f"implementation 'cudnn' cannot run here: {fault} Use 'xla' or 'auto'."
    )
  if implementation == 'auto':
    few = key_bmae.shape[1] < _FLASH_TOKENS or mask_bnm is not None
    implementation = 'xla' if fault or few else 'cudnn'
  return jax.nn.dot_product_attention(
    query_bnae,
    key_bmae,
    value_bmae,
    mask=None if mask_bnm is None else mask_bnm[:, None],
    is_causal=is_causal,
    implementation=implementation,
  )


def _cudnn_fault(query_bnae: Array) -> str:
  """Tells why cuDNN cannot run, or '' if it can."""
  backend, dtype = jax.default_backend(), query_bnae.dtype
  width = query_bnae.shape[-1]
  if backend != 'gpu':
    return f'the backend is {backend!r}; it needs a GPU of NVIDIA.'
  if dtype not in (jnp.bfloat16, jnp.float16):
    return f'dtype is {dtype}; it must be bfloat16 or float16.'
  if width % 8 or width > 128:
    return f'a head is {width} wide; it must be a multiple of 8, at most 128.'
  return ''
