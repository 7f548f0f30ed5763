"""STGAN: 3-D convolutions with attention over space and time.

Several systems have the name STGAN; none of them is the reference here, and the
definition is our own. STGAN is a generator of transposed 3-D convolutions, as
the foreground of VGAN (models/vgan.py), where each level is gated by the
softmax of scores over all positions (t, h, w). Its critic is
`conv_critic.ConvCritic` with `attention='additive'`.

Related: additive attention, Bahdanau et al., "Neural Machine Translation by
Jointly Learning to Align and Translate", 2014,
https://arxiv.org/abs/1409.0473; attention in GANs, Zhang et al.,
"Self-Attention Generative Adversarial Networks", 2018,
https://arxiv.org/abs/1805.08318.
"""

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import random
from vgen_jax.core.types import Array
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Size
from vgen_jax.nn import embeddings
from vgen_jax.nn.attention import space_time
from vgen_jax.nn.convolution import conv
from vgen_jax.nn.convolution import pyramids


class Generator(nn.Module):
  """Generates clips from noise and a class.

  Attributes:
    clip_shape: (t, h, w, c); h == w, a power of 2, at least 8, and t a multiple
      of h / 4.
    num_classes: Number of classes that clips are conditioned on, by a one-hot
      vector that is concatenated to the latent code; 0 for none.
    attention: Whether each level is gated; if not, the network is the
      foreground network of VGAN.
    latent_width: Size of the latent code.
    width: Channels of the finest hidden layer; each coarser layer has twice as
      many, up to the one with 4 x 4 pixels.
    norm: One of `pyramids.NORMS`, after hidden layers.
    dtype: Dtype of the computation; parameters are float32.
  """

  uses_known_frames = False

  clip_shape: ClipShape
  num_classes: int = 0
  attention: bool = True
  latent_width: Size = 100
  width: Size = 64
  norm: str = 'batch'
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('norm', self.norm, pyramids.NORMS)
    checks.at_least('latent_width', self.latent_width, 1)
    factor = 2**self._levels
    checks.multiple_of('The number of frames', self.clip_shape[0], factor)

  @property
  def _levels(self) -> int:
    return pyramids.num_halvings(self.clip_shape, 'STGAN')

  @nn.compact
  def __call__(
    self, key_b: Array, condition: Condition, *, train: bool
  ) -> Array:
    """Returns clips in [-1, 1].

    Args:
      key_b: Keys, one for each clip.
      condition: Condition with 'label' if there are classes.
      train: Whether batch norm uses and updates statistics of the batch.
    """
    one_hot_bk = embeddings.one_hot_label(
      condition, self.num_classes, len(key_b), 'stgan.Generator'
    )
    latent_bd = random.normal(key_b, (self.latent_width,))
    code_bd = jnp.concatenate([latent_bd, one_hot_bk], axis=-1)
    x_bthwd = code_bd[:, None, None, None, :]
    start = (self.clip_shape[0] // 2**self._levels, 4, 4)
    for level in range(self._levels):
      x_bthwd = pyramids.Up(
        (self.width * 2 ** (self._levels - 1 - level),),
        norm=self.norm,
        dtype=self.dtype,
        start=None if level else start,
        name=f'up_{level}',
      )(x_bthwd, train=train)
      if self.attention:
        gate = space_time.AdditiveGate(self.dtype, name=f'gate_{level}')
        x_bthwd = gate(x_bthwd)
    head = conv.ConvTranspose3D(
      self.clip_shape[3],
      (4, 4, 4),
      (2, 2, 2),
      kernel_init=pyramids.initializer('lecun', 8),
      dtype=self.dtype,
      name='head',
    )
    return jnp.tanh(head(x_bthwd).astype(jnp.float32))
