"""VideoVAE: a VAE with a latent for each frame, controlled by attributes.

Reference: He, Lehrmann, Marino, Mori and Sigal, "Probabilistic Video Generation
using Holistic Attribute Control", ECCV 2018, https://arxiv.org/abs/1803.08085.
There is no official code.

A clip has *attributes*, such as the identity and the action of a person. The
latent of a frame is normally distributed. Its posterior is computed in three
stages, each a network with one hidden layer:

  stage_1 = f_q(encoder(frame))
  stage_2 = f_a(stage_1, attributes)
  stage_3 = f_dy(stage_2, summary(state)), the posterior

The prior is f_p(summary(state), attributes). The state is that of an LSTM whose
inputs are the latent and stage_1 of each frame. A decoder maps the latent to
the frame, so attributes affect a generated frame only through the prior.

The paper does not specify the following, which are choices of this file. The
first state is the state after a blank frame. The summary of the state is a
dense layer with a ReLU. The encoder and the decoder have ReLUs. Attributes are
inferred by an LSTM over the codes of frames, because a single frame does not
show, for example, a direction; this LSTM is trained together with the rest, not
before. The layers of the encoder for 64 x 64 pixels, and tanh after the
decoder, are those of a re-implementation,
https://github.com/yccyenchicheng/pytorch-VideoVAE, whose author does not know
the sizes in the paper either.

Letters of this file, in addition to those of nn/latent_prediction.py: `g` width
of the code of a frame; `p` parameters of a distribution, 2 d; `u` width of a
state.
"""

import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Rate
from vgen_jax.core.types import Size
from vgen_jax.nn import attributes
from vgen_jax.nn import batch_sharding
from vgen_jax.nn import distributions
from vgen_jax.nn import latent_prediction
from vgen_jax.nn.convolution import valid_coders


class Carry(NamedTuple):
  """The state of the network after past frames.

  Attributes:
    memory: State of the LSTM; it has not read the current frame.
    latent_bd: Latent of the current frame; zeros for the blank one.
  """

  memory: Any
  latent_bd: Array


class VideoVAE(latent_prediction.LatentPredictor):
  """Predicts the latent of the next frame from the past and from attributes.

  `Inputs.condition_bk` are the attributes of the next frame: the concatenated
  one-hot vectors of all attributes.

  Attributes:
    latent_width: Size of the latent of a frame, d; 1 or more.
    attribute_sizes: Number of values of each attribute, as in nn/attributes.py;
      the product is `num_classes`. () for one attribute, the label itself.
    layers: (channels, side of the kernel, stride) of each convolution of the
      encoder, without padding.
    dense_widths: Widths of dense layers between the last convolution and the
      code.
    code_width: Width of the code of a frame.
    hidden_width: Size of the state of the LSTM.
    stage_width: Width of the hidden layer of each stage and of the prior, of
      the summary of the state, and of the layers that infer attributes.
    dropout: Dropout rate of the code of a frame.
    prior_attributes: Whether the prior depends on the attributes; False for an
      ablation.
    dtype: Dtype of the computation of convolutions.
  """

  has_predict_all = True

  latent_width: Size = 512
  attribute_sizes: tuple[Size, ...] = ()
  layers: tuple[tuple[Size, Size, Size], ...] = (
    (10, 9, 1), (20, 7, 3), (40, 5, 1), (80, 3, 3),
  )  # fmt: skip
  dense_widths: tuple[Size, ...] = (1024,)
  code_width: Size = 512
  hidden_width: Size = 512
  stage_width: Size = 128
  dropout: Rate = 0.5
  prior_attributes: bool = True
  dtype: str = 'float32'

  def __post_init__(self):
    super().__post_init__()
    checks.at_least('latent_width', self.latent_width, 1)
    checks.rate('dropout', self.dropout)
    valid_coders.sides(self.clip_shape[1:3], self.layers)
    if self.action_width:
      raise ValueError(
        f'action_width is {self.action_width}; VideoVAE has attributes of a'
        ' clip, but no actions. Set it to 0.'
      )
    if not self.num_classes or math.prod(self.sizes) != self.num_classes:
      raise ValueError(
        f'attribute_sizes is {self.attribute_sizes} and num_classes is'
        f' {self.num_classes}; the data needs labels, and their number must be'
        ' the product of the sizes.'
      )

  @property
  def sizes(self) -> tuple[int, ...]:
    """Number of values of each attribute."""
    return tuple(self.attribute_sizes) or (self.num_classes,)

  @property
  def condition_keys(self) -> tuple[str, ...]:
    return ('label',)

  def setup(self):
    self.encoder = valid_coders.Encoder(
      self.layers, (*self.dense_widths, self.code_width), self.dtype
    )
    self.decoder = valid_coders.Decoder(
      self.layers, self.dense_widths, tuple(self.clip_shape[1:]), self.dtype
    )
    self.drop = nn.Dropout(self.dropout)
    gaussian = lambda: _Stage(self.stage_width, 2 * self.latent_width)
    self.stage_1, self.stage_2, self.stage_3 = (gaussian() for _ in range(3))
    self.prior_stage = gaussian()
    self.summary = nn.Dense(self.stage_width)
    self.lstm = nn.OptimizedLSTMCell(self.hidden_width)
    self.inference = attributes.Inference(self.sizes, self.stage_width)

  def initial_carry(self, shape_bhw: tuple[int, int, int]) -> Carry:
    """Returns the carry before the first frame, zeros.

    Args:
      shape_bhw: Number of clips, and height and width of frames in pixels.
    """
    zeros_bu = jnp.zeros((shape_bhw[0], self.hidden_width))
    latent_bd = jnp.zeros((shape_bhw[0], self.latent_width))
    return Carry((zeros_bu, zeros_bu), latent_bd)

  def encode_targets(self, video_bthwc: Array, *, train: bool = False) -> Array:
    """Returns outputs of stage 1, `[b, t - 1, p]`, without the first frame."""
    return self._first_stage(video_bthwc[:, 1:], train)

  def __call__(
    self,
    carry: Carry,
    frame_bhwc: Array,
    inputs: latent_prediction.Inputs,
    *,
    standard_prior: bool = False,
    train: bool = False,
  ) -> tuple[Carry, latent_prediction.Prediction]:
    frame_bp = self._first_stage(frame_bhwc[:, None], train)[:, 0]
    carry, posterior, prior = self._step(
      carry, frame_bp, inputs, standard_prior
    )
    frame_bthwc = self.decoder(carry.latent_bd[:, None])
    return carry, latent_prediction.Prediction(
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
    del num_context  # Nothing else is taken from known frames.
    b, h, w = shapes.sizes('bhw', video_bthwc=video_bthwc)

    def step(network: 'VideoVAE', carry: Carry, now: tuple):
      carry, posterior, prior = network._step(carry, *now, False)
      return carry, (carry.latent_bd, posterior, prior)

    latent_btd, posterior, prior = latent_prediction.over_real_frames(
      self,
      step,
      self.initial_carry((b, h, w)),
      self._first_stage(video_bthwc, train),
      noise_btd,
      condition_btk,
    )
    return latent_prediction.Prediction(
      self.decoder(latent_btd), posterior, prior
    )

  def attribute_logits(
    self, video_bthwc: Array, *, train: bool = False
  ) -> list[Array]:
    """Returns logits of each attribute after each frame, `[b, t, size]` each.

    The logits after frame i depend on frames 0 to i.
    """
    return self.inference(self._code(video_bthwc, train))

  def posterior(
    self, frame_bp: Array, attribute_bk: Array, hidden_bu: Array
  ) -> distributions.Gaussian:
    """Returns the posterior `[b, d]`, computed by stages 2 and 3.

    Args:
      frame_bp: Output of stage 1 for the frame.
      attribute_bk: Attributes of the frame.
      hidden_bu: Output of the LSTM after the previous frames.
    """
    second_bp = self.stage_2(frame_bp, attribute_bk)
    return _gaussian(self.stage_3(second_bp, self._summary(hidden_bu)))

  def prior(
    self, hidden_bu: Array, attribute_bk: Array
  ) -> distributions.Gaussian:
    """Returns the prior `[b, d]` of the latent of a frame.

    Args:
      hidden_bu: Output of the LSTM after the previous frames.
      attribute_bk: Attributes of the frame.
    """
    given = (attribute_bk,) if self.prior_attributes else ()
    return _gaussian(self.prior_stage(self._summary(hidden_bu), *given))

  def _step(
    self,
    carry: Carry,
    frame_bp: Array,
    inputs: latent_prediction.Inputs,
    standard_prior: bool,
  ) -> tuple[Carry, distributions.Gaussian, distributions.Gaussian]:
    """Returns the carry with the next latent, its posterior and its prior.

    Args:
      carry: Carry after the frames before the current one.
      frame_bp: Output of stage 1 for the current frame.
      inputs: Other inputs.
      standard_prior: As in `__call__`.
    """
    memory, hidden_bu = self.lstm(
      carry.memory, jnp.concatenate([carry.latent_bd, frame_bp], axis=-1)
    )
    hidden_bu = batch_sharding.constrain(hidden_bu)
    attribute_bk = inputs.condition_bk
    posterior = self.posterior(inputs.target, attribute_bk, hidden_bu)
    prior = self.prior(hidden_bu, attribute_bk)
    source = prior
    if standard_prior:
      source = distributions.standard_normal(prior.mean.shape)
    latent_bd = jnp.where(
      inputs.uses_posterior_b[:, None],
      posterior.from_noise(inputs.noise_bd),
      source.from_noise(inputs.noise_bd),
    )
    return Carry(memory, latent_bd), posterior, prior

  def _code(self, video_bthwc: Array, train: bool) -> Array:
    return self.drop(self.encoder(video_bthwc), deterministic=not train)

  def _first_stage(self, video_bthwc: Array, train: bool) -> Array:
    return self.stage_1(self._code(video_bthwc, train))

  def _summary(self, hidden_bu: Array) -> Array:
    return batch_sharding.constrain(nn.relu(self.summary(hidden_bu)))


class _Stage(nn.Module):
  """A network with one hidden layer, whose inputs are concatenated."""

  width: int
  num_outputs: int

  @nn.compact
  def __call__(self, *inputs: Array) -> Array:
    x = jnp.concatenate(inputs, axis=-1)
    x = batch_sharding.constrain(nn.relu(nn.Dense(self.width)(x)))
    return batch_sharding.constrain(nn.Dense(self.num_outputs)(x))


def _gaussian(parameter_bp: Array) -> distributions.Gaussian:
  return distributions.bounded_gaussian(*jnp.split(parameter_bp, 2, axis=-1))
