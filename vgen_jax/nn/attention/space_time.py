"""Attention over the positions (t, h, w) of features of clips.

All blocks start as the identity: their result enters with a learned factor
`gamma`, which is 0 before training, as in Zhang et al., "Self-Attention
Generative Adversarial Networks", 2018, https://arxiv.org/abs/1805.08318.

Axis suffixes of this file, in addition to those of core/shapes.py: `a` heads,
`e` width of a head.
"""

from einops import rearrange
import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.nn import batch_sharding
from vgen_jax.nn.attention import attention

SELF_KINDS = ('pointwise', 'separable', 'full')

# Patterns that make axes the tokens of attention and merge others with the
# batch, and patterns that reverse this.
_AXES = {
  'full': (('b t h w a e -> b (t h w) a e', 'b (t h w) a e -> b t h w a e'),),
  'separable': (
    ('b t h w a e -> (b t w) h a e', '(b t w) h a e -> b t h w a e'),
    ('b t h w a e -> (b t h) w a e', '(b t h) w a e -> b t h w a e'),
    ('b t h w a e -> (b h w) t a e', '(b h w) t a e -> b t h w a e'),
  ),
}


class AdditiveWeights(nn.Module):
  """Weights of the positions of a clip.

  The score of a position with features x is v^T tanh(W x + b), where W has a
  quarter of the channels as outputs; weights are the softmax of the scores over
  all positions (t, h, w).

  Use `capture_intermediates=lambda module, _: isinstance(module,
  AdditiveWeights)` of Flax to get the weights within a network.

  Attributes:
    dtype: Dtype of products; scores and weights are float32.
  """

  dtype: str = 'float32'

  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    """Returns weights `[b, t, h, w]`, whose sum over t, h and w is 1."""
    (c,) = shapes.sizes('c', x_bthwc=x_bthwc)
    hidden = nn.Dense(max(c // 4, 1), dtype=self.dtype, name='hidden')
    score = nn.Dense(1, use_bias=False, dtype=self.dtype, name='score')
    score_bthw1 = score(jnp.tanh(hidden(batch_sharding.constrain(x_bthwc))))
    score_bthw = score_bthw1[..., 0].astype(jnp.float32)
    return jax.nn.softmax(score_bthw, axis=(1, 2, 3))


class AdditiveGate(nn.Module):
  """Multiplies each position of a clip by a gain from its weight.

  The gain is 1 + gamma n alpha, where alpha is the weight from
  `AdditiveWeights`, and n the number of positions, so that n alpha is 1 on
  average.

  Attributes:
    dtype: Dtype of products; scores and weights are float32.
  """

  dtype: str = 'float32'

  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    """Returns the features multiplied by their gains, `[b, t, h, w, c]`."""
    weight_bthw = AdditiveWeights(self.dtype, name='weights')(x_bthwc)
    gamma = self.param('gamma', nn.initializers.zeros_init(), ())
    gain_bthw = 1 + gamma * weight_bthw[0].size * weight_bthw
    return x_bthwc * gain_bthw[..., None].astype(x_bthwc.dtype)


class SelfAttention(nn.Module):
  """Scaled dot-product attention between positions, added to the features.

  The kinds have the same number of parameters.

  Attributes:
    kind: 'full', each position attends to all positions of its clip;
      'separable', the weight of a position is the product of three weights, for
      attention along h, along w and along t, so that the cost grows with t + h
      + w instead of t h w; 'pointwise', no attention, for comparison: a
      perceptron of each position with 2 c hidden units.
    num_heads: Number of heads; it divides c.
    dtype: Dtype of products and of the result.

  With kind 'separable', values are averaged along h, then along w, then along
  t. This equals 'full' if logits are sums of one term for each axis.
  """

  kind: str = 'full'
  num_heads: int = 1
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('kind', self.kind, SELF_KINDS)

  @nn.compact
  def __call__(self, x_bthwc: Array) -> Array:
    """Returns the features after attention, `[b, t, h, w, c]`."""
    (c,) = shapes.sizes('c', x_bthwc=x_bthwc)
    x_bthwc = batch_sharding.constrain(x_bthwc)
    out = nn.Dense(c, dtype=self.dtype, name='out')
    gamma = self.param('gamma', nn.initializers.zeros_init(), ())
    if self.kind == 'pointwise':
      hidden = nn.Dense(2 * c, use_bias=False, dtype=self.dtype, name='hidden')
      y_bthwc = nn.relu(hidden(x_bthwc))
    else:
      y_bthwc = self._attend(x_bthwc)
    y_bthwc = batch_sharding.constrain(out(y_bthwc))
    return x_bthwc + gamma.astype(y_bthwc.dtype) * y_bthwc

  def _attend(self, x_bthwc: Array) -> Array:
    """Returns the values after attention; call it in a compact method."""
    c = x_bthwc.shape[-1]
    checks.multiple_of('The number of channels', c, self.num_heads, 'num_heads')
    query, key, value = (
      rearrange(
        nn.Dense(c, use_bias=False, dtype=self.dtype, name=name)(x_bthwc),
        'b t h w (a e) -> b t h w a e',
        a=self.num_heads,
      )
      for name in ('query', 'key', 'value')
    )
    t, h, w = x_bthwc.shape[1:4]
    for merge, split in _AXES[self.kind]:
      value = attention.attend(
        *(
          batch_sharding.constrain(rearrange(each, merge))
          for each in (query, key, value)
        )
      )
      value = rearrange(value, split, t=t, h=h, w=w)
    return rearrange(value, 'b t h w a e -> b t h w (a e)')
