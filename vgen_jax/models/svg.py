"""SVG: prediction of frames from latents with a learned or a fixed prior.

Reference: Denton and Fergus, "Stochastic Video Generation with a Learned
Prior", 2018, https://arxiv.org/abs/1802.07687. At 64 x 64 pixels the layers are
those of the released code (`dcgan_64`), with the same parameters, except that
an LSTM of Flax has one bias vector and not two.

Deviations: batch norm is replaced by group norm, because batch norm makes a
predicted clip depend on its batch (the released code evaluates with statistics
of the batch). The released code takes skip connections from the second to last
known frame; here they come from the last known frame, as in the paper. Pixels
are in [-1, 1], not in [0, 1].

Letters of this file, in addition to those of nn/latent_prediction.py: `g` width
of the code of a frame.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Count
from vgen_jax.core.types import Size
from vgen_jax.nn import batch_sharding
from vgen_jax.nn import distributions
from vgen_jax.nn import latent_prediction
from vgen_jax.nn.convolution import frame_coders
from vgen_jax.nn.convolution import pyramids

PRIORS = ('learned', 'attributes', 'fixed')
NORMS = ('none', 'group')


class Carry(NamedTuple):
  """The state of the network after past frames.

  Attributes:
    predictor: States of the LSTM that predicts codes.
    posterior: States of the LSTM of the posterior; () if there is none.
    prior: States of the LSTM of the prior; () if there is none.
    skips: Features of the last known frame, `[b, 1, h, w, c]` each.
  """

  predictor: tuple
  posterior: tuple
  prior: tuple
  skips: frame_coders.Skips


class SVG(latent_prediction.LatentPredictor):
  """Predicts the code of the next frame from codes of the past and a latent.

  Frames are square, with a side of 8, 16, 32, ... pixels.

  Attributes:
    prior: 'learned', an LSTM over the past frames (SVG-LP of the paper);
      'attributes', the same LSTM with the label as another input; the label is
      then an input of the posterior, too; 'fixed', N(0, 1) (SVG-FP).
    width: Channels of the finest layer; each coarser layer has twice as many.
    code_width: Size of the code of a frame.
    hidden_width: Size of the states of the LSTMs.
    num_layers: Number of layers of the LSTM that predicts codes; the others
      have one.
    norm: 'group' or 'none', after convolutions.
    kernel_init: One of `pyramids.INITS`, for convolutions and dense layers.
    dtype: Dtype of the computation of convolutions.
  """

  has_predict_all = True

  prior: str = 'learned'
  width: Size = 64
  code_width: Size = 128
  hidden_width: Size = 256
  num_layers: Count = 2
  norm: str = 'group'
  kernel_init: str = 'lecun'
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('prior', self.prior, PRIORS)
    checks.one_of('norm', self.norm, NORMS)
    checks.at_least('latent_width', self.latent_width, 0)
    if self.prior == 'attributes' and not (
      self.num_classes and self.latent_width
    ):
      raise ValueError(
        "prior is 'attributes', but num_classes is"
        f' {self.num_classes} and latent_width is {self.latent_width}; both'
        ' must be 1 or more. Use data with labels and latent_width 10, or set'
        " prior to 'learned'."
      )
    pyramids.num_halvings(self.clip_shape, 'SVG')

  @property
  def condition_keys(self) -> tuple[str, ...]:
    label = ('label',) if self.prior == 'attributes' else ()
    return (*super().condition_keys, *label)

  def setup(self):
    halvings = pyramids.num_halvings(self.clip_shape, 'SVG')
    widths = tuple(self.width * 2**i for i in range(halvings))
    common = (self.norm, self.kernel_init, self.dtype)
    self.encoder = frame_coders.Encoder(widths, self.code_width, *common)
    self.decoder = frame_coders.Decoder(widths, self.clip_shape[3], *common)
    lstm = lambda num_layers, num_outputs: _LSTM(
      self.hidden_width, num_layers, num_outputs, self.kernel_init
    )
    self.code_lstm = lstm(self.num_layers, (self.code_width,))
    gaussian = (self.latent_width, self.latent_width)
    if self.latent_width:
      self.posterior_lstm = lstm(1, gaussian)
    if self._has_prior:
      self.prior_lstm = lstm(1, gaussian)

  @property
  def _has_prior(self) -> bool:
    return self.prior != 'fixed' and bool(self.latent_width)

  def initial_carry(self, shape_bhw: tuple[int, int, int]) -> Carry:
    """Returns the carry before the first frame, zeros.

    Args:
      shape_bhw: Number of clips, and height and width of frames in pixels.

    Raises:
      ValueError: If frames have another size than in `clip_shape`.
    """
    b, *sides = shape_bhw
    if tuple(sides) != tuple(self.clip_shape[1:3]):
      raise ValueError(
        f'Frames are {sides[0]} x {sides[1]} pixels; this SVG is built for'
        f' {self.clip_shape[1]} x {self.clip_shape[2]}. Resize the frames, or'
        ' train a model for this size.'
      )
    halvings = pyramids.num_halvings(self.clip_shape, 'SVG')
    zeros = jnp.zeros((b, self.hidden_width))
    states = lambda num_layers: ((zeros, zeros),) * num_layers
    skips = tuple(
      jnp.zeros((b, 1, *(side >> i + 1 for side in sides), self.width * 2**i))
      for i in range(halvings)
    )
    return Carry(
      states(self.num_layers),
      states(1 if self.latent_width else 0),
      states(1 if self._has_prior else 0),
      skips,
    )

  def encode_targets(self, video_bthwc: Array, *, train: bool = False) -> Array:
    """Returns the codes of all frames but the first, `[b, t - 1, g]`."""
    return self.encoder(video_bthwc[:, 1:], train=train)[0]

  def __call__(
    self,
    carry: Carry,
    frame_bhwc: Array,
    inputs: latent_prediction.Inputs,
    *,
    standard_prior: bool = False,
    train: bool = False,
  ) -> tuple[Carry, latent_prediction.Prediction]:
    code_btg, skips = self.encoder(frame_bhwc[:, None], train=train)
    is_context = inputs.is_context_b[:, None, None, None, None]
    skips = jax.tree.map(
      lambda new, old: jnp.where(is_context, new, old), skips, carry.skips
    )
    states, (code_bg, posterior, prior) = self._predict_code(
      carry[:3], code_btg[:, 0], inputs, standard_prior
    )
    frame_bthwc = self.decoder(code_bg[:, None], skips, train=train)
    return Carry(*states, skips), latent_prediction.Prediction(
      frame_bthwc[:, 0], posterior, prior
    )

  def predict_all(
    self,
    video_bthwc: Array,
    noise_btd: Array,
    condition_btk: Array,
    *,
    num_context: int,
    train: bool = False,
  ) -> latent_prediction.Prediction:
    b, t, h, w = shapes.sizes('bthw', video_bthwc=video_bthwc)
    code_btg, skips = self.encoder(video_bthwc, train=train)

    def step(svg: 'SVG', states: tuple, now: tuple):
      return svg._predict_code(states, *now, False)

    code_btg, posterior, prior = latent_prediction.over_real_frames(
      self,
      step,
      self.initial_carry((b, h, w))[:3],
      code_btg,
      noise_btd,
      condition_btk,
    )
    last = min(num_context, t - 1) - 1
    held = lambda x: jnp.concatenate(
      [x[:, :last], jnp.repeat(x[:, last : last + 1], t - 1 - last, 1)], axis=1
    )
    frames = self.decoder(code_btg, jax.tree.map(held, skips), train=train)
    return latent_prediction.Prediction(frames, posterior, prior)

  def _predict_code(
    self,
    states: tuple,
    code_bg: Array,
    inputs: latent_prediction.Inputs,
    standard_prior: bool,
  ) -> tuple[tuple, tuple]:
    """Returns new states, and (next code, posterior, prior).

    Args:
      states: The first three fields of a `Carry`.
      code_bg: Code of the current frame.
      inputs: Other inputs.
      standard_prior: As in `__call__`.
    """
    predictor, posterior_state, prior_state = states
    condition_bk = inputs.condition_bk
    shape_bd = len(code_bg), self.latent_width
    posterior = prior = distributions.standard_normal(shape_bd)
    if self.latent_width:
      posterior_state, posterior = self._gaussian(
        self.posterior_lstm, posterior_state, inputs.target, condition_bk
      )
    if self._has_prior:
      prior_state, prior = self._gaussian(
        self.prior_lstm, prior_state, code_bg, condition_bk
      )
    source = (
      distributions.standard_normal(shape_bd) if standard_prior else prior
    )
    latent_bd = jnp.where(
      inputs.uses_posterior_b[:, None],
      posterior.from_noise(inputs.noise_bd),
      source.from_noise(inputs.noise_bd),
    )
    action_ba = condition_bk[:, : self.action_width]
    predictor, (code_bg,) = self.code_lstm(
      predictor, jnp.concatenate([code_bg, latent_bd, action_ba], axis=-1)
    )
    states = predictor, posterior_state, prior_state
    return states, (jnp.tanh(code_bg), posterior, prior)

  def _gaussian(
    self, lstm: nn.Module, state: tuple, code_bg: Array, condition_bk: Array
  ) -> tuple[tuple, distributions.Gaussian]:
    state, (mean_bd, log_variance_bd) = lstm(
      state, jnp.concatenate([code_bg, condition_bk], axis=-1)
    )
    return state, distributions.bounded_gaussian(mean_bd, log_variance_bd)


class _LSTM(nn.Module):
  """A dense layer, LSTM cells, and a dense layer for each output."""

  width: int
  num_layers: int
  num_outputs: tuple[int, ...]
  kernel_init: str

  @nn.compact
  def __call__(self, states: tuple, x_bd: Array) -> tuple[tuple, list[Array]]:
    init = pyramids.initializer(self.kernel_init)
    dense = lambda width, name: nn.Dense(width, kernel_init=init, name=name)
    x_bd = batch_sharding.constrain(dense(self.width, 'in')(x_bd))
    new_states = []
    for i, state in enumerate(states):
      cell = nn.OptimizedLSTMCell(self.width, name=f'cell_{i}')
      state, x_bd = jax.tree.map(batch_sharding.constrain, cell(state, x_bd))
      new_states.append(state)
    outputs = [
      batch_sharding.constrain(dense(width, f'out_{i}')(x_bd))
      for i, width in enumerate(self.num_outputs)
    ]
    return tuple(new_states), outputs
