"""Layer norm of tokens that is conditioned on labels."""

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.nn import batch_sharding
from vgen_jax.nn import embeddings


class Norm(nn.Module):
  """Layer norm with a scale and a shift for each label, if there are labels.

  The scale is 1 and the shift 0 before training. Statistics are float32.

  Attributes:
    num_classes: Number of labels K; row K of the table is for clips without a
      label. 0 means one scale and one shift for all clips.
  """

  num_classes: int = 0

  @nn.compact
  def __call__(self, x_bnd: Array, label_b: Array | None) -> Array:
    """Returns the normalized tokens, float32 `[b, n, d]`.

    Args:
      x_bnd: Tokens.
      label_b: Labels, int32, from 0 to K; not used if `num_classes` is 0.
    """
    has_labels = self.num_classes > 0
    plain = nn.LayerNorm(use_scale=not has_labels, use_bias=not has_labels)
    x_bnd = plain(x_bnd.astype(jnp.float32))
    if not has_labels:
      return x_bnd
    table = embeddings.Embed(
      self.num_classes + 1,
      2 * x_bnd.shape[-1],
      embedding_init=nn.initializers.zeros_init(),
      name='label',
    )
    style_b1d = batch_sharding.constrain(table(label_b)[:, None])
    gain_b1d, shift_b1d = map(
      batch_sharding.constrain, jnp.split(style_b1d, 2, axis=-1)
    )
    return x_bnd * (1 + gain_b1d) + shift_b1d
