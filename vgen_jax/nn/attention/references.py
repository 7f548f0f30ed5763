"""Attention from the positions of an image to those of reference images.

Reference: Wang et al., "Few-shot Video-to-Video Synthesis", 2019,
https://arxiv.org/abs/1910.12713, section 3. There, queries and keys have
different encoders and are not normalized.

Axis suffixes of this file, in addition to those of core/shapes.py: `r`
references, `e` width of a query, `n` positions of an image, `m` positions of
all references.
"""

import math
from typing import NamedTuple

from einops import rearrange
import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Condition
from vgen_jax.nn import batch_sharding
from vgen_jax.nn.attention import attention

SHARPNESS = 10.0  # Initial factor of cosine similarities.


class Encoded(NamedTuple):
  """Features of the r references of a clip, which all its frames use.

  Attributes:
    frame_brhwc: First frame of each reference clip, in [-1, 1].
    layout_brhwk: Layout of this frame, one-hot.
    key_brhwd: Features of the layout, the keys of attention.
    value_brhwd: Features of frame and layout, the values of attention.
  """

  frame_brhwc: Array
  layout_brhwk: Array
  key_brhwd: Array
  value_brhwd: Array


class ReferenceAttention(nn.Module):
  """One head of attention to all positions of all references.

  A logit is a learned factor times the cosine similarity of query and key.
  Queries and keys are the same function of features, so the logit is largest
  for positions of a reference whose features equal those of the image. Before
  training, if queries are at least as wide as features, the cosine similarities
  are those of the features.

  Attributes:
    width: Size of a query, e.
    sharpness: Initial value of the learned factor, at least 1.
  """

  width: int
  sharpness: float = SHARPNESS

  def __post_init__(self):
    super().__post_init__()
    checks.at_least('width', self.width, 1)
    checks.at_least('sharpness', self.sharpness, 1)

  @nn.compact
  def __call__(
    self, x_bhwd: Array, reference_brhwd: Array, value_brhwc: Array
  ) -> tuple[Array, Array]:
    """Returns the attended values and the weight of each reference.

    The weight of a reference is the sum over its positions; weights sum to 1
    over references. Values do not depend on the order of the references.

    Args:
      x_bhwd: Features of images, such as those of their layouts.
      reference_brhwd: Features of the references, computed in the same way.
      value_brhwc: Values of the positions of the references.

    Returns:
      Values `[b, h, w, c]` and weights `[b, h, w, r]`, float32.

    Raises:
      ValueError: If the shapes do not agree.
    """
    h, r, c = shapes.sizes(
      'hrc',
      x_bhwd=x_bhwd,
      reference_brhwd=reference_brhwd,
      value_brhwc=value_brhwc,
    )
    project = nn.Dense(
      self.width,
      use_bias=False,
      kernel_init=nn.initializers.orthogonal(),
      name='project',
    )
    factor = self.param(
      'log_sharpness', nn.initializers.constant(math.log(self.sharpness)), ()
    )
    query_bne = rearrange(project(x_bhwd), 'b h w e -> b (h w) e')
    key_bme = rearrange(project(reference_brhwd), 'b r h w e -> b (r h w) e')
    # `attention.attend` returns only values. The one-hot index of the reference
    # is appended to each value, so that the weights are returned, too.
    number_brhwr = jnp.broadcast_to(
      jnp.eye(r)[None, :, None, None], (*value_brhwc.shape[:-1], r)
    )
    value_bmc = rearrange(
      jnp.concatenate([value_brhwc.astype(jnp.float32), number_brhwr], axis=-1),
      'b r h w c -> b (r h w) c',
    )
    # `attend` needs queries, keys and values of equal width, and divides logits
    # by the square root of this width.
    width = max(self.width, c + r)
    query_bne = jnp.exp(factor) * jnp.sqrt(width) * unit(query_bne)
    y_bn1c = attention.attend(
      *(
        batch_sharding.constrain(_padded(x, width)[:, :, None])
        for x in (query_bne, unit(key_bme), value_bmc)
      )
    )
    y_bhwc = rearrange(y_bn1c, 'b (h w) 1 c -> b h w c', h=h)
    y_bhwc = batch_sharding.constrain(y_bhwc)
    return y_bhwc[..., :c], y_bhwc[..., c : c + r]


def first_frames(
  condition: Condition, frame_shape: tuple[int, ...], model: str
) -> tuple[Array, Array]:
  """Returns the first frames of references, float32, and their layouts.

  Args:
    condition: Condition with 'reference', `[b, r, t, h, w, c]`, and
      'reference_layout', int32 `[b, r, t, h, w]`.
    frame_shape: Shape `[h, w, c]` that frames must have.
    model: Name of the model, for errors.

  Raises:
    ValueError: If shapes do not agree, or there is no reference.
  """
  for key in ('reference', 'reference_layout'):
    if key not in condition:
      raise ValueError(
        f'The condition has the keys {sorted(condition)}; {model} also needs'
        f' {key!r}: set config.data.num_references.'
      )
  frame_brhwc = condition['reference'][:, :, 0].astype(jnp.float32)
  layout_brhw = condition['reference_layout'][:, :, 0]
  (r,) = shapes.sizes('r', frame_brhwc=frame_brhwc, layout_brhw=layout_brhw)
  if not r or frame_brhwc.shape[2:] != frame_shape:
    raise ValueError(
      f"condition['reference'] has shape {condition['reference'].shape};"
      f' {model} needs 1 or more references with frames of {frame_shape}: set'
      ' config.data.num_references, or resize the references.'
    )
  return frame_brhwc, layout_brhw


def select(weight_bhwr: Array, value_brhwc: Array) -> Array:
  """Returns the value of the most attended reference, `[b, h, w, c]`.

  One reference is selected for each image: the one with the largest mean weight
  over positions. Gradients with respect to weights are those of the sum of all
  references, weighted by these means (a straight-through estimator).

  Args:
    weight_bhwr: Weights of `ReferenceAttention`, in any resolution.
    value_brhwc: Values of references, such as their pixels.

  Raises:
    ValueError: If the numbers of images or references differ.
  """
  mean_br = weight_bhwr.mean((1, 2))
  shapes.sizes('', mean_br=mean_br, value_brhwc=value_brhwc)
  hard_br = jax.nn.one_hot(mean_br.argmax(axis=1), mean_br.shape[1])
  choice_br = hard_br + mean_br - jax.lax.stop_gradient(mean_br)
  return jnp.einsum('br,brhwc->bhwc', choice_br, value_brhwc)


def of_classes(class_bhwk: Array) -> Array:
  """Returns features of classes, vectors of length 1, float32 `[b, h, w, k]`.

  Classes are divided by their frequency in the image, so that a position at the
  border of a small object has the class of the object. Positions without a
  class have a vector of zeros.

  Args:
    class_bhwk: Fraction of each class in each position, from 0 to 1.
  """
  frequency_b11k = class_bhwk.mean(axis=(1, 2), keepdims=True)
  return unit(class_bhwk / (frequency_b11k + 1e-6))


def unit(x: Array) -> Array:
  """Returns vectors along the last axis divided by their lengths."""
  x = x.astype(jnp.float32)
  return x * jax.lax.rsqrt(jnp.square(x).sum(-1, keepdims=True) + 1e-8)


def _padded(x: Array, width: int) -> Array:
  """Returns an array with zeros at the end of its last axis."""
  return jnp.pad(x, ((0, 0), (0, 0), (0, width - x.shape[-1])))
