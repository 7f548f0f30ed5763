"""Stochastic prediction: sequential VAEs that continue clips."""

import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import random
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Metrics
from vgen_jax.families.prediction import known_frames
from vgen_jax.families.prediction import latent_roll_out
from vgen_jax.families.prediction import sequential
from vgen_jax.nn import latent_prediction
from vgen_jax.nn.convolution import recurrent

LATENTS = ('prior', 'standard', 'zero')

# Purposes of a clip's key.
_POSTERIOR, _PRIOR, _TEACHER = range(3)


class Stochastic(sequential.SequentialVAE):
  """A predictor of next frames with a latent for each frame.

  The loss is the negative bound of `SequentialVAE`.

  In training the latent of each frame is sampled from the posterior, which
  depends on that frame. In sampling the posterior is used for known first
  frames only; the latents of later frames are sampled from the prior, which
  depends on known and generated frames.

  Attributes:
    predictor: As in `SequentialVAE`. Its prior is learned, depends on
      attributes, or is N(0, 1). If it has `predict_all`, this is used where all
      inputs are real frames.
    num_context: Number of first frames that are given in sampling, unless the
      condition states otherwise. In training, skip connections come from these
      frames only, and scheduled sampling begins after them.
    scheduled_sampling: Time scale, in steps, over which generated frames
      replace real ones after the context in training
      (nn/convolution/recurrent.py, `inverse_sigmoid`); 0 for real frames only.
    latents: Distribution of the latents of generated frames: 'prior';
      'standard', N(0, 1) instead of the prior; 'zero', the mean of the prior.
      With 'zero', sampling is deterministic only if one frame is known: latents
      of further known frames are still sampled from the posterior.
  """

  num_context: int = 2
  scheduled_sampling: float = 0.0
  latents: str = 'prior'

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('model.latents', self.latents, LATENTS)
    last = self.clip_shape[0] - 1
    checks.in_range('model.num_context', self.num_context, 1, last)
    checks.at_least('model.scheduled_sampling', self.scheduled_sampling, 0)

  @property
  def condition_keys(self) -> tuple[str, ...]:
    return ('known_video', 'known', *self.predictor.condition_keys)

  @property
  def num_known(self) -> int:
    return self.num_context

  def loss(
    self, batch: Batch, *, player: str, train: bool
  ) -> tuple[Array, Metrics]:
    del player  # There is only one.
    return self.negative_bound(
      batch, self.posterior_predictions(batch, train=train)
    )

  def posterior_predictions(
    self, batch: Batch, *, train: bool = False
  ) -> latent_prediction.Prediction:
    """Returns predictions of frames 1, 2, ... with latents of the posterior.

    Inputs are real frames, or generated ones by scheduled sampling in training.
    """
    if not self.predictor.has_predict_all or (
      train and self.scheduled_sampling
    ):
      return self.training_predictions(batch, ('posterior',), train=train)[0]
    video_bthwc, key_b = batch['video'], self.clip_keys(batch)
    prediction = self.predictor.predict_all(
      video_bthwc,
      latent_roll_out.noise(
        self.predictor, random.fold_in(key_b, _POSTERIOR), video_bthwc.shape[1]
      ),
      latent_roll_out.conditions(self.predictor, batch, video_bthwc),
      num_context=self.num_context,
      train=train,
    )
    wanted = video_bthwc[:, 1:].shape
    shapes.check_output(
      'predictor', self.predictor, prediction.frame_bhwc, wanted
    )
    return prediction

  def training_predictions(
    self, batch: Batch, sources: tuple[str, ...], *, train: bool
  ) -> list[latent_prediction.Prediction]:
    """Returns predictions of frames 1, 2, ..., for each source of latents.

    All predictions come from one rollout, with a copy of each clip for each
    source. Inputs are real frames, or generated ones by scheduled sampling in
    training.

    Args:
      batch: Clips.
      sources: Each is 'posterior', or 'prior' for the prior after the first
        `num_context` frames and the posterior within them.
      train: Whether to use scheduled sampling and dropout.
    """
    video_bthwc, key_b = batch['video'], self.clip_keys(batch)
    b, t = video_bthwc.shape[:2]
    all_bt = given_bt = jnp.ones((b, t - 1), bool)
    if train and self.scheduled_sampling:
      given_bt = recurrent.teacher_mask(
        random.fold_in(key_b, _TEACHER),
        batch['step'],
        t - 1,
        self.num_context,
        self.scheduled_sampling,
      )
    context = latent_roll_out.known_only(
      jnp.broadcast_to(jnp.arange(t) < self.num_context, (b, t))
    )
    purposes = {'posterior': _POSTERIOR, 'prior': _PRIOR}
    noise = [
      latent_roll_out.noise(
        self.predictor, random.fold_in(key_b, purposes[source]), t
      )
      for source in sources
    ]
    uses = [
      all_bt if source == 'posterior' else context.uses_posterior_bt
      for source in sources
    ]
    n = len(sources)
    # Copies of a clip are neighbours, so that they stay on one device.
    repeat = lambda x: jnp.repeat(x, n, axis=0)
    merge = lambda x: jnp.stack(x, 1).reshape(b * n, *x[0].shape[1:])
    prediction = latent_roll_out.roll_out(
      self.predictor,
      repeat(video_bthwc),
      latent_roll_out.Masks(
        repeat(given_bt), merge(uses), repeat(context.is_context_bt)
      ),
      merge(noise),
      repeat(latent_roll_out.conditions(self.predictor, batch, video_bthwc)),
      train=train,
    )
    of = lambda i: jax.tree.map(
      lambda x: x.reshape(b, n, *x.shape[1:])[:, i], prediction
    )
    return [of(i) for i in range(n)]

  def prior_predictions(
    self,
    video_bthwc: Array,
    known_bt: Array,
    key_b: Array,
    condition: Batch | Condition,
    *,
    train: bool = False,
  ) -> latent_prediction.Prediction:
    """Returns predictions of frames 1, 2, ... that do not depend on the future.

    Frames that are not known are replaced before anything is computed from
    them. Latents of the posterior are used for the known first frames only.

    Args:
      video_bthwc: Clips; frames that are not known may have any values.
      known_bt: Which frames are known, bool; the first is known.
      key_b: Keys, one for each clip.
      condition: Condition with the network's conditions.
      train: Whether dropout is on.
    """
    known = known_bt[:, :, None, None, None]
    video_bthwc = jnp.where(known, video_bthwc, 0)
    masks = latent_roll_out.known_only(known_bt)
    noise_btd = latent_roll_out.noise(
      self.predictor, random.fold_in(key_b, _PRIOR), video_bthwc.shape[1]
    )
    if self.latents == 'zero':
      noise_btd = jnp.where(masks.uses_posterior_bt[..., None], noise_btd, 0)
    return latent_roll_out.roll_out(
      self.predictor,
      video_bthwc,
      masks,
      noise_btd,
      latent_roll_out.conditions(self.predictor, condition, video_bthwc),
      standard_prior=self.latents == 'standard',
      train=train,
    )

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
    prediction = self.prior_predictions(video_bthwc, known_bt, key_b, condition)
    return known_frames.keep(condition, known_bt, prediction.frame_bhwc)
