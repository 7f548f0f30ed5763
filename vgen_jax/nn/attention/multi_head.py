"""Multi-head attention with its projections, for all networks.

The module has the submodules `query`, `key`, `value` and `out`, and, with norms
of queries and keys, `query_norm` and `key_norm`. A network that needs these
names directly in one of its own modules calls `nn.share_scope`.

Axis suffixes of this file, in addition to those of core/shapes.py: `a` heads,
`e` width of a head, `m` tokens attended to, `p` pairs of rotated numbers.
"""

import flax.linen as nn

from vgen_jax.core import checks
from vgen_jax.core.types import Array
from vgen_jax.nn import batch_sharding
from vgen_jax.nn import embeddings
from vgen_jax.nn.attention import attention
from vgen_jax.nn.attention import cache

# How to shard parameters over the mesh axis 'tensor': a regular expression that
# is searched for in the '/'-joined path, and the mesh axes of the array's last
# dimensions. Each device keeps whole heads. The rules apply to the modules
# within a module `blocks`; see runtime/sharding.py.
TENSOR_RULES: tuple[tuple[str, tuple[str | None, ...]], ...] = (
  (r'blocks/(.*/)?(query|key|value)/kernel$', (None, 'tensor')),
  (r'blocks/(.*/)?(query|key|value)/bias$', ('tensor',)),
  (r'blocks/(.*/)?out/kernel$', ('tensor', None)),
)

Initializer = nn.initializers.Initializer


class MultiHeadAttention(nn.Module):
  """Attention of several heads, with its projections.

  Attributes:
    width: Size of a token; a multiple of num_heads.
    num_heads: Number of heads.
    input_bias: Whether the projections to queries, keys and values have biases.
    output_bias: Whether the projection of the result has a bias.
    qk_norm: Whether queries and keys are divided by their root mean square over
      a head and multiplied by a learned scale. This bounds the logits (Dehghani
      et al., "Scaling Vision Transformers to 22 Billion Parameters", 2023,
      https://arxiv.org/abs/2302.05442, who use layer norm).
    output_init: Initializer of the kernel of the projection of the result.
    implementation: Kernel of attention; see nn/attention/attention.py.
    dtype: Dtype of matrix products and of the result. Parameters are float32.
  """

  width: int
  num_heads: int
  input_bias: bool = True
  output_bias: bool = True
  qk_norm: bool = False
  output_init: Initializer = nn.initializers.lecun_normal()
  implementation: str = 'auto'
  dtype: str = 'float32'

  def setup(self):
    checks.multiple_of('width', self.width, self.num_heads, 'num_heads')
    # Three products instead of one: under tensor parallelism each device then
    # computes whole heads.
    self.query, self.key, self.value = (
      nn.Dense(self.width, use_bias=self.input_bias, dtype=self.dtype)
      for _ in range(3)
    )
    if self.qk_norm:
      self.query_norm, self.key_norm = (
        nn.RMSNorm(dtype=self.dtype) for _ in range(2)
      )
    self.out = nn.Dense(
      self.width,
      use_bias=self.output_bias,
      kernel_init=self.output_init,
      dtype=self.dtype,
    )

  def __call__(
    self,
    x_bnd: Array,
    key_values: cache.KeyValues | None = None,
    *,
    angle_np: Array | None = None,
    mask_bnm: Array | None = None,
    is_causal: bool = False,
    window: int | None = None,
  ) -> Array:
    """Returns the output of attention for each token, `[b, n, d]`.

    Args:
      x_bnd: Tokens that attend. The axis b may be several axes.
      key_values: Keys and values of the tokens attended to, from `key_values`;
        None for those of `x_bnd`.
      angle_np: Rotation of each token's queries, and of its keys if key_values
        is None, from `embeddings.rotary_grid`; None for no rotation.
      mask_bnm: Bool, True where token n attends to token m; sizes may be 1.
        None for all.
      is_causal: Whether token n attends only to tokens m <= n.
      window: Number of tokens that a causal token attends to at most, itself
        included; None for no limit. It needs is_causal, and no mask_bnm.

    Raises:
      ValueError: If window is given without is_causal or with mask_bnm.
    """
    if window is not None and (not is_causal or mask_bnm is not None):
      raise ValueError(
        f'window is {window} with is_causal={is_causal} and'
        f' mask_bnm={None if mask_bnm is None else mask_bnm.shape}; a window'
        ' needs is_causal=True and no mask_bnm. Give these, or no window.'
      )
    x_bnd = batch_sharding.constrain(x_bnd)
    query_bnae = self._query(x_bnd, angle_np)
    if key_values is None:
      key_values = self.key_values(x_bnd, angle_np)
    n = x_bnd.shape[-2]
    if window is not None and window < n:
      mask_bnm, is_causal = cache.window_mask(n, window), False
    return self._attend(
      query_bnae, key_values, mask_bnm, is_causal, x_bnd.shape
    )

  def key_values(
    self, x_bmd: Array, angle_mp: Array | None = None
  ) -> cache.KeyValues:
    """Returns the keys and values of tokens to attend to.

    Args:
      x_bmd: Tokens.
      angle_mp: Rotation of each token's keys; None for no rotation.
    """
    x_bmd = batch_sharding.constrain(x_bmd)
    key_bmae = self._split(self.key(x_bmd))
    if self.qk_norm:
      key_bmae = self.key_norm(key_bmae)
    if angle_mp is not None:
      key_bmae = embeddings.rotate(key_bmae, angle_mp)
    return cache.KeyValues(key_bmae, self._split(self.value(x_bmd)))

  def decode_step(
    self,
    x_b1d: Array,
    cached: cache.KeyValues,
    position: Array,
    *,
    angle_1p: Array | None = None,
  ) -> tuple[Array, cache.KeyValues]:
    """Returns the output for one token, and the cache that includes the token.

    Args:
      x_b1d: Token at a position.
      cached: Keys and values of the positions before, from `cache.empty` or
        from the previous call.
      position: Index of the token in its sequence, int32; the first is 0.
      angle_1p: Rotation of the token's query and key; None for no rotation.
    """
    cached = cache.write(cached, self.key_values(x_b1d, angle_1p), position)
    mask_11m = cache.filled_mask(cached, position)
    query_b1ae = self._query(x_b1d, angle_1p)
    y_b1d = self._attend(query_b1ae, cached, mask_11m, False, x_b1d.shape)
    return y_b1d, cached

  def _query(self, x_bnd: Array, angle_np: Array | None) -> Array:
    query_bnae = self._split(self.query(x_bnd))
    if self.qk_norm:
      query_bnae = self.query_norm(query_bnae)
    return (
      query_bnae
      if angle_np is None
      else embeddings.rotate(query_bnae, angle_np)
    )

  def _attend(
    self,
    query_bnae: Array,
    key_values: cache.KeyValues,
    mask_bnm: Array | None,
    is_causal: bool,
    shape: tuple[int, ...],
  ) -> Array:
    """Returns the projected output of attention, an array of shape `shape`."""
    y_bnae = attention.attend(
      query_bnae,
      *key_values,
      is_causal=is_causal,
      mask_bnm=mask_bnm,
      implementation=self.implementation,
    )
    return batch_sharding.constrain(self.out(y_bnae.reshape(shape)))

  def _split(self, x_bnd: Array) -> Array:
    """Returns tokens split into heads, `[b, n, a, e]`, with a single axis b."""
    n, d = x_bnd.shape[-2:]
    shape = (-1, n, self.num_heads, d // self.num_heads)
    return batch_sharding.constrain(x_bnd.reshape(shape))
