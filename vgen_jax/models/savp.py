"""SAVP: prediction of frames by moving pixels of earlier frames.

Reference: Lee, Zhang, Ebert, Abbeel, Finn and Levine, "Stochastic Adversarial
Video Prediction", 2018, https://arxiv.org/abs/1804.01523. The training is in
families/prediction/adversarial.py.

Deviations from the released code: gates of the ConvLSTMs are layer-normalized
over their channels and the posterior has group norm, instead of instance norm;
predicted kernels move pixels over a border of repeated pixels; frames are in
[-1, 1], and the new pixels come from tanh.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Size
from vgen_jax.nn import batch_sharding
from vgen_jax.nn import compositing
from vgen_jax.nn import distributions
from vgen_jax.nn import latent_prediction
from vgen_jax.nn import norm as norm_lib
from vgen_jax.nn.convolution import conv
from vgen_jax.nn.convolution import dynamic_kernels
from vgen_jax.nn.convolution import frame_coders
from vgen_jax.nn.convolution import recurrent

_NUM_OTHER_LAYERS = 3  # The current frame, the first frame and new pixels.


class Carry(NamedTuple):
  """The state of the network after past frames.

  Attributes:
    cells: States of the ConvLSTMs, from the first to the last.
    latent: State of the LSTM of latents.
    first_bhwc: First frame of the clip.
    count_b: Number of frames read.
  """

  cells: tuple
  latent: tuple[Array, Array]
  first_bhwc: Array
  count_b: Array


class Layers(NamedTuple):
  """Layers of which a predicted frame is composed.

  Attributes:
    layers_nbthwc: The current frame, moved by each kernel; the current frame;
      the first frame; new pixels. t is 1.
    weights_nbthw: Their weights, which sum to 1 over n.
    kernel_bnij: Kernels.
  """

  layers_nbthwc: Array
  weights_nbthw: Array
  kernel_bnij: Array


class SAVP(latent_prediction.LatentPredictor):
  """Composes the next frame of moved, unchanged and new pixels.

  The network is a U-Net over the current and the first frame, with a ConvLSTM
  at each level. Latents go through an LSTM; its output and the action are
  inputs of every convolution. The prior of latents is N(0, 1).

  Attributes:
    width: Channels of the finest level; each coarser level has twice as many.
    num_levels: Number of levels; each halves height and width.
    num_kernels: Number of kernels that move the current frame.
    kernel_size: Side of these kernels, in pixels; odd.
    posterior_widths: Channels of the convolutions of the posterior; each halves
      height and width.
    dtype: Dtype of the products of convolutions outside of ConvLSTMs.
  """

  width: int = 32
  num_levels: Size = 3
  num_kernels: Size = 4
  kernel_size: Size = 5
  posterior_widths: tuple[Size, ...] = (64, 128, 256)
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    for field, least in (
      ('latent_width', 0), ('width', 2), ('num_levels', 1), ('num_kernels', 1),
    ):  # fmt: skip
      checks.at_least(field, getattr(self, field), least)
    if self.kernel_size % 2 == 0:
      raise ValueError(
        f'kernel_size is {self.kernel_size}; it must be odd, such as 5.'
      )
    factor = 2 ** max(self.num_levels, len(self.posterior_widths))
    sides = self.clip_shape[1:3]
    what = (
      'two to the power of num_levels and of the number of posterior_widths'
    )
    checks.multiples_of('The size of frames', sides, (factor, factor), what)

  @property
  def _widths(self) -> list[int]:
    """Channels of the levels on the way down, and on the way up."""
    down = [self.width * 2**i for i in range(self.num_levels)]
    return [*down, *down[-2::-1], self.width]

  def setup(self):
    # The last level has no ConvLSTM.
    self.cells = [
      recurrent.ConvLSTM(width, 5, norm=True) for width in self._widths[:-1]
    ]
    if self.latent_width:
      self.latent_lstm = nn.OptimizedLSTMCell(self.latent_width)
      self.posterior = frame_coders.PairPosterior(
        self.posterior_widths, self.latent_width, self.dtype
      )

  def initial_carry(self, shape_bhw: tuple[int, int, int]) -> Carry:
    """Returns the carry before the first frame, zeros.

    Args:
      shape_bhw: Number of clips, and height and width of frames in pixels.
    """
    b, *sides = shape_bhw
    n = self.num_levels
    halvings = [min(i + 1, 2 * n - 1 - i) for i in range(2 * n - 1)]
    cells = tuple(
      cell.initial_carry((b, *(side >> halved for side in sides)))
      for cell, halved in zip(self.cells, halvings, strict=True)
    )
    zeros = jnp.zeros((b, self.latent_width))
    first_bhwc = jnp.zeros((b, *sides, self.clip_shape[3]))
    return Carry(cells, (zeros, zeros), first_bhwc, jnp.zeros(b, jnp.int32))

  def encode_targets(
    self, video_bthwc: Array, *, train: bool = False
  ) -> distributions.Gaussian:
    """Returns posteriors `[b, t - 1, d]`, given pairs of successive frames."""
    del train  # Training and inference are the same.
    if not self.latent_width:
      return distributions.standard_normal(
        (len(video_bthwc), video_bthwc.shape[1] - 1, 0)
      )
    return self.posterior(
      jnp.concatenate([video_bthwc[:, :-1], video_bthwc[:, 1:]], axis=-1)
    )

  def __call__(
    self,
    carry: Carry,
    frame_bhwc: Array,
    inputs: latent_prediction.Inputs,
    *,
    standard_prior: bool = False,
    train: bool = False,
  ) -> tuple[Carry, latent_prediction.Prediction]:
    del standard_prior, train  # The prior is N(0, 1); there is no dropout.
    prior = distributions.standard_normal(inputs.noise_bd.shape)
    latent_bd = jnp.where(
      inputs.uses_posterior_b[:, None],
      inputs.target.from_noise(inputs.noise_bd),
      inputs.noise_bd,
    )
    carry, layers = self.layers(
      carry, frame_bhwc, latent_bd, inputs.condition_bk[:, : self.action_width]
    )
    composed = compositing.compose(layers.layers_nbthwc, layers.weights_nbthw)
    return carry, latent_prediction.Prediction(
      composed[:, 0], inputs.target, prior
    )

  @nn.compact
  def layers(
    self, carry: Carry, frame_bhwc: Array, latent_bd: Array, action_ba: Array
  ) -> tuple[Carry, Layers]:
    """Returns the new carry, and the layers of the next frame.

    Args:
      carry: Carry from `initial_carry` or from the previous call.
      frame_bhwc: Current frame, in [-1, 1].
      latent_bd: Latent of the next frame.
      action_ba: Action taken at the current frame, of width `action_width`.
    """
    is_first = (carry.count_b == 0)[:, None, None, None]
    first_bhwc = jnp.where(is_first, frame_bhwc, carry.first_bhwc)
    latent_state = carry.latent
    if self.latent_width:
      latent_state, latent_bd = self.latent_lstm(latent_state, latent_bd)
    inputs_bd = jnp.concatenate([latent_bd, action_ba], axis=-1)

    x, skips, cells = jnp.concatenate([frame_bhwc, first_bhwc], -1), [], []
    for i, width in enumerate(self._widths):
      is_down, up = i < self.num_levels, i - self.num_levels
      if up > 0:
        x = jnp.concatenate([x, skips[-1 - up]], axis=-1)
      kernel = 5 if i == 0 else 3
      if not is_down:
        b, h, w, c = x.shape
        x = jax.image.resize(x, (b, 2 * h, 2 * w, c), 'bilinear')
      x = self._convolution(f'level_{i}', x, inputs_bd, width, kernel)
      if is_down:
        x = nn.avg_pool(x, (2, 2), (2, 2))
      x = nn.relu(_normed(f'norm_{i}', x))
      if i < len(self.cells):
        state, x = self.cells[i](carry.cells[i], _tiled(x, inputs_bd))
        state, x = jax.tree.map(batch_sharding.constrain, (state, x))
        cells.append(state)
      if is_down:
        skips.append(x)
    carry = Carry(tuple(cells), latent_state, first_bhwc, carry.count_b + 1)
    return carry, self._compose(x, skips[-1], frame_bhwc, first_bhwc, inputs_bd)

  def _compose(
    self,
    x_bhwc: Array,
    coarse_bhwc: Array,
    frame_bhwc: Array,
    first_bhwc: Array,
    inputs_bd: Array,
  ) -> Layers:
    """Returns layers, given features at the finest and the coarsest level."""
    b, n, side = len(x_bhwc), self.num_kernels, self.kernel_size
    coarse_bd = batch_sharding.constrain(coarse_bhwc.reshape(b, -1))
    raw = nn.Dense(n * side**2, name='kernels')(coarse_bd)
    kernel_bnij = dynamic_kernels.normalize(raw.reshape(b, n, side, side))
    moved_nbhwc = dynamic_kernels.apply(frame_bhwc, kernel_bnij)

    hidden = lambda name: nn.relu(
      _normed(
        f'{name}_norm',
        self._convolution(f'{name}_in', x_bhwc, inputs_bd, self.width, 3),
      )
    )
    c, none = frame_bhwc.shape[-1], jnp.zeros((b, 0))
    new = self._convolution('new_out', hidden('new'), none, c, 3)
    rest_nbhwc = jnp.stack(
      [frame_bhwc, first_bhwc, jnp.tanh(new.astype(jnp.float32))]
    )
    layers_nbhwc = jnp.concatenate([moved_nbhwc, rest_nbhwc])
    # Weights also depend on the layers themselves.
    shown = jnp.moveaxis(layers_nbhwc, 0, 3).reshape(*frame_bhwc.shape[:3], -1)
    features = jnp.concatenate([hidden('weights'), shown], axis=-1)
    logits = self._convolution(
      'weights_out', features, none, n + _NUM_OTHER_LAYERS, 3
    )
    weights_bhwn = jax.nn.softmax(logits.astype(jnp.float32))
    weights_nbhw = jnp.moveaxis(weights_bhwn, -1, 0)
    return Layers(
      layers_nbhwc[:, :, None], weights_nbhw[:, :, None], kernel_bnij
    )

  def _convolution(
    self, name: str, x_bhwc: Array, inputs_bd: Array, width: int, side: int
  ) -> Array:
    layer = conv.Conv2D(width, (side, side), dtype=self.dtype, name=name)
    return layer(_tiled(x_bhwc, inputs_bd))


def _tiled(x_bhwc: Array, inputs_bd: Array) -> Array:
  """Returns features with the inputs as further channels of each pixel."""
  b, h, w = shapes.sizes('bhw', x_bhwc=x_bhwc)
  tiled = jnp.broadcast_to(
    inputs_bd[:, None, None], (b, h, w, inputs_bd.shape[-1])
  )
  return jnp.concatenate([x_bhwc, tiled.astype(x_bhwc.dtype)], axis=-1)


def _normed(name: str, x_bhwc: Array) -> Array:
  """Returns features after instance norm; call it in a compact method."""
  layer = norm_lib.FrameGroupNorm(x_bhwc.shape[-1], name=name)
  return layer(x_bhwc[:, None])[:, 0]
