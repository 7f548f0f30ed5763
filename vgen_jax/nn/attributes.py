"""Attributes of clips: their values, one-hot vectors, and their inference.

An attribute, such as a colour, has one of several values, counted from 0. A
label is the index of a combination of values; the last attribute changes
fastest.

Axis suffixes of this file, in addition to those of core/shapes.py: `g` width of
the code of a frame.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.nn import batch_sharding


def values(label_b: Array, sizes: tuple[int, ...]) -> Array:
  """Returns the values of attributes that labels encode, int `[b, n]`.

  Args:
    label_b: Labels, from 0 to the product of the sizes, less 1.
    sizes: Number of values of each of the n attributes.
  """
  found = []
  for size in reversed(sizes):
    found.append(label_b % size)
    label_b = label_b // size
  return jnp.stack(found[::-1], axis=-1)


def one_hot(value_btn: Array, sizes: tuple[int, ...]) -> Array:
  """Returns the concatenated one-hot vectors of all attributes, `[b, t, k]`.

  Args:
    value_btn: Values of attributes in each frame, int.
    sizes: Number of values of each attribute.
  """
  return jnp.concatenate(
    [jax.nn.one_hot(value_btn[..., i], size) for i, size in enumerate(sizes)],
    axis=-1,
  )


def sample(logits: list[Array], frame_b: Array, key_b: Array) -> Array:
  """Returns values of attributes, sampled from distributions, int `[b, n]`.

  Args:
    logits: Logits of each attribute after each frame, `[b, t, size]` each.
    frame_b: Index of the frame whose logits are used, int.
    key_b: Keys, one for each clip.
  """
  found = []
  for i, logit_btk in enumerate(logits):
    logit_bk = jnp.take_along_axis(logit_btk, frame_b[:, None, None], 1)[:, 0]
    found.append(
      jax.vmap(jax.random.categorical)(random.fold_in(key_b, i), logit_bk)
    )
  return jnp.stack(found, axis=-1)


class Inference(nn.Module):
  """An LSTM over the codes of frames, a dense layer, and logits.

  Attributes:
    sizes: Number of values of each attribute.
    width: Width of the state of the LSTM and of the dense layer.
  """

  sizes: tuple[int, ...]
  width: int

  @nn.compact
  def __call__(self, code_btg: Array) -> list[Array]:
    """Returns one array of logits per attribute, `[b, t, size]` each.

    The logits at frame i depend on the codes of frames 0 to i.
    """
    zeros = jnp.zeros((len(code_btg), self.width))
    lstm = nn.RNN(nn.OptimizedLSTMCell(self.width), name='lstm')
    x_btd = lstm(batch_sharding.constrain(code_btg), initial_carry=(zeros,) * 2)
    x_btd = nn.relu(nn.Dense(self.width, name='hidden')(x_btd))
    return [
      batch_sharding.constrain(nn.Dense(size, name=f'logits_{i}')(x_btd))
      for i, size in enumerate(self.sizes)
    ]
