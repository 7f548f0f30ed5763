"""Recurrent prediction of each frame from all frames before it."""

import math

import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import random
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Metrics
from vgen_jax.families.base import Update
from vgen_jax.families.base import VideoModel
from vgen_jax.families.prediction import known_frames
from vgen_jax.families.prediction import levels
from vgen_jax.nn.convolution import recurrent

LIKELIHOODS = ('gaussian', 'levels')

# Purposes of a clip's key.
_SAMPLE, _TEACHER = range(2)


class Recurrent(VideoModel):
  """A predictor that maximizes the likelihood of each next frame.

  The loss is the negative log-likelihood in nats, averaged over pixels and
  channels. Frame 0 is always given. There are two likelihoods:

    'gaussian': independent pixels around the network's output, with standard
      deviation `sigma`. The optimal output is the mean of all possible next
      frames, which is blurred where they differ.
    'levels': a softmax over `num_levels` values of each pixel and channel, as
      in van den Oord et al., "Pixel Recurrent Neural Networks", 2016,
      https://arxiv.org/abs/1601.06759, but with independent pixels, given the
      previous frames.

  Attributes:
    predictor: `(carry, frame_bhwc, action_ba, num_outputs=..., train=...) ->
      (carry, output_bhwp)`, a `Predictor` of nn/convolution/recurrent.py. If it
      has `predict_all`, this is used where all inputs are real frames.
    num_context: Number of first frames that are given in training and, unless
      the condition states otherwise, in sampling.
    likelihood: One of `LIKELIHOODS`.
    sigma: Standard deviation of 'gaussian', in units of pixels in [-1, 1].
    num_levels: Number of levels of 'levels', from black to white.
    residual: Whether the network outputs the change of the frame; only with
      'gaussian'.
    temperature: Temperature at which frames are sampled, 0 or more: a factor of
      `sigma`, or a divisor of the logits of levels. 0 selects the most likely
      frame.
    scheduled_sampling: Time scale, in steps, over which generated frames
      replace real ones after the context in training
      (nn/convolution/recurrent.py, `inverse_sigmoid`); 0 for real frames only.
    action_width: Width of an action; 0 for a model without actions.
  """

  predictor: recurrent.Predictor
  num_context: int = 2
  likelihood: str = 'gaussian'
  sigma: float = 0.1
  num_levels: int = 8
  residual: bool = False
  temperature: float = 0.0
  scheduled_sampling: float = 0.0
  action_width: int = 0

  def __post_init__(self):
    _check(self)
    super().__post_init__()

  @property
  def updates(self) -> tuple[Update, ...]:
    return (Update('predictor'),)

  @property
  def condition_keys(self) -> tuple[str, ...]:
    actions = ('action',) if self.action_width else ()
    return ('known_video', 'known', *actions)

  @property
  def num_known(self) -> int:
    return self.num_context

  @property
  def supported_tasks(self) -> tuple[str, ...]:
    return ('generate', 'predict')

  def loss(
    self, batch: Batch, *, player: str, train: bool
  ) -> tuple[Array, Metrics]:
    del player  # There is only one.
    video_bthwc, key_b = batch['video'], self.clip_keys(batch)
    action_bta = known_frames.actions(batch, video_bthwc, self.action_width)
    if self.predictor.has_predict_all and not (
      train and self.scheduled_sampling
    ):
      outputs = self._predict_all(video_bthwc, action_bta, train)
    else:
      outputs, _ = self._roll_out(
        video_bthwc,
        self._teacher_mask(batch, random.fold_in(key_b, _TEACHER), train),
        random.fold_in(key_b, _SAMPLE),
        action_bta,
        train,
      )
    target_bthwc = video_bthwc[:, 1:]
    nats_bthwc = self._nats(outputs, target_bthwc)
    nats = nats_bthwc.mean()
    num_values = math.prod(nats_bthwc.shape[2:])
    if self.likelihood == 'gaussian':  # Bits are not defined for a density.
      return nats, {
        'nats_per_frame': nats * num_values,
        'mse': jnp.square(outputs - target_bthwc).mean(),
      }
    bits = nats / math.log(2)
    return nats, {'bits_per_dim': bits, 'bits_per_frame': bits * num_values}

  def sample_unclipped(self, key_b: Array, condition: Condition) -> Array:
    """Generates the next frames of each clip; see the base class.

    Args:
      key_b: Keys, one for each clip.
      condition: `known_video`, whose first `num_context` frames are inputs. If
        `known` is given, inputs are the first frame and those in which it is
        True everywhere; known pixels of other frames are not inputs. All known
        pixels are returned unchanged.

    Raises:
      ValueError: If there is no `known_video`, or a key is not in
        `condition_keys`.
    """
    self.check_condition(condition)
    video_bthwc, known_bt = known_frames.split(condition, self.num_context)
    _, frames_bthwc = self._roll_out(
      video_bthwc,
      known_bt[:, :-1],
      random.fold_in(key_b, _SAMPLE),
      known_frames.actions(condition, video_bthwc, self.action_width),
    )
    return known_frames.keep(condition, known_bt, frames_bthwc)

  def _roll_out(
    self,
    video_bthwc: Array,
    teacher_mask_bt: Array,
    key_b: Array,
    action_bta: Array | None,
    train: bool = False,
  ) -> tuple[Array, Array]:
    """Returns outputs for frames 1, 2, ..., and frames sampled from them."""
    length = video_bthwc.shape[1] - 1
    num_outputs = self._num_outputs(video_bthwc)
    key_bt = jax.vmap(lambda key: jax.random.split(key, length))(key_b)

    def cell(predictor, carry, frame_bhwc, extra):
      carry, output_bhwp = predictor(
        carry,
        frame_bhwc,
        extra.get('action'),
        num_outputs=num_outputs,
        train=train,
      )
      wanted = *frame_bhwc.shape[:-1], num_outputs
      shapes.check_output('predictor', predictor, output_bhwp, wanted)
      output_bhwp = output_bhwp.astype(jnp.float32)
      if self.residual:
        output_bhwp += frame_bhwc
      sampled_bhwc = self._sample_frame(extra['key'], output_bhwp)
      return carry, sampled_bhwc, (output_bhwp, sampled_bhwc)

    extras = {'key': key_bt}
    if action_bta is not None:
      extras['action'] = action_bta[:, :-1]
    b, _, h, w, _ = video_bthwc.shape
    _, outputs = recurrent.scan_rollout(
      cell,
      self.predictor,
      self.predictor.initial_carry((b, h, w)),
      video_bthwc[:, :-1],
      teacher_mask_bt,
      extras,
    )
    return outputs

  def _predict_all(
    self, video_bthwc: Array, action_bta: Array | None, train: bool
  ) -> Array:
    """Returns outputs for frames 1, 2, ..., given the real frames."""
    input_bthwc = video_bthwc[:, :-1]
    output_bthwp = self.predictor.predict_all(
      input_bthwc,
      None if action_bta is None else action_bta[:, :-1],
      num_outputs=self._num_outputs(video_bthwc),
      train=train,
    ).astype(jnp.float32)
    wanted = *input_bthwc.shape[:-1], self._num_outputs(video_bthwc)
    shapes.check_output('predictor', self.predictor, output_bthwp, wanted)
    return output_bthwp + input_bthwc if self.residual else output_bthwp

  def _num_outputs(self, video_bthwc: Array) -> int:
    c = video_bthwc.shape[-1]
    return c * self.num_levels if self.likelihood == 'levels' else c

  def _sample_frame(self, key_b: Array, output_bhwp: Array) -> Array:
    """Samples a frame from the network's output; it may leave [-1, 1]."""
    if self.likelihood == 'gaussian':
      noise = random.normal(key_b, output_bhwp.shape[1:])
      return output_bhwp + self.temperature * self.sigma * noise
    return levels.sample(key_b, output_bhwp, self.num_levels, self.temperature)

  def _nats(self, output_bthwp: Array, target_bthwc: Array) -> Array:
    """Returns the negative log-likelihood of each value, in nats."""
    if self.likelihood == 'gaussian':
      error = (output_bthwp - target_bthwc) / self.sigma
      constant = math.log(self.sigma) + 0.5 * math.log(2 * math.pi)
      return 0.5 * jnp.square(error) + constant
    return levels.nats(output_bthwp, target_bthwc, self.num_levels)

  def _teacher_mask(self, batch: Batch, key_b: Array, train: bool) -> Array:
    """Returns which inputs are real frames, bool `[b, t - 1]`."""
    b, t = batch['video'].shape[:2]
    if not (train and self.scheduled_sampling):
      return jnp.ones((b, t - 1), bool)
    return recurrent.teacher_mask(
      key_b, batch['step'], t - 1, self.num_context, self.scheduled_sampling
    )


def _check(model: Recurrent) -> None:
  """Raises ValueError if fields have values that are not allowed."""
  checks.one_of('model.likelihood', model.likelihood, LIKELIHOODS)
  if model.residual and model.likelihood != 'gaussian':
    raise ValueError(
      f'model.residual is True, but model.likelihood is {model.likelihood!r};'
      " residual outputs need likelihood 'gaussian'."
    )
  num_frames = model.clip_shape[0]
  if not 1 <= model.num_context < num_frames:
    raise ValueError(
      f'model.num_context is {model.num_context}; it must be 1 or more, and'
      f' less than the {num_frames} frames of a clip.'
    )
  for field, least in (
    ('sigma', 1e-6),
    ('num_levels', 2),
    ('temperature', 0),
    ('scheduled_sampling', 0),
  ):
    checks.at_least(f'model.{field}', getattr(model, field), least)
