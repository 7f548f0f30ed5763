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
from vgen_jax.families.autoencoding import reconstruction
from vgen_jax.families.base import Update
from vgen_jax.families.base import VideoModel
from vgen_jax.families.prediction import known_frames
from vgen_jax.families.prediction import latent_roll_out
from vgen_jax.nn import latent_prediction
from vgen_jax.nn.convolution import recurrent

LATENTS = ('prior', 'standard', 'zero')

# Purposes of a clip's key.
_POSTERIOR, _PRIOR, _TEACHER = range(3)


class Stochastic(VideoModel):
  """A predictor of next frames with a latent for each frame.

  The loss is the negative evidence lower bound of a sequence, up to a constant
  and a factor: the sum over all frames but the first of

    error(frame, prediction) + beta * KL(posterior || prior)

  where the error is a mean over pixels and the divergence a sum over latents.
  So for n values of a frame, 'l2' is the likelihood of a Gaussian with variance
  beta * n / 2, and 'l1' that of a Laplace distribution with scale beta * n.
  Pixels are in [-1, 1]: papers with pixels in [0, 1] have the same optima with
  a quarter of this beta for 'l2', and half of it for 'l1'.

  In training the latent of each frame is from the posterior, which depends on
  that frame. In sampling this is so for known first frames only. Later frames
  and their latents are generated, and do not depend on real ones.

  Attributes:
    predictor: A `LatentPredictor` of nn/latent_prediction.py. Its prior is
      learned, depends on attributes, or is N(0, 1). If it has `predict_all`,
      this is used where all inputs are real frames.
    num_context: Number of first frames that are given, in training for
      connections from the last known frame, and in sampling unless the
      condition states otherwise.
    error: 'l1', 'l2' or 'huber', as in families/autoencoding/reconstruction.py.
    error_weight: Weight of the error.
    beta: Weight of the divergence.
    beta_start: Number of steps in which the weight is 0.
    beta_warmup: Number of steps over which it then rises linearly to `beta`.
    scheduled_sampling: Time scale, in steps, over which generated frames
      replace real ones after the context in training
      (nn/convolution/recurrent.py, `inverse_sigmoid`); 0 for real frames only.
    latents: Latents of generated frames: 'prior'; 'standard', N(0, 1) in place
      of the prior; 'zero', the mean of the prior, for all clips the same.

  Reference: the sum over frames with a learned prior is that of Denton and
  Fergus, "Stochastic Video Generation with a Learned Prior", 2018,
  https://arxiv.org/abs/1802.07687, equation 2.
  """

  predictor: latent_prediction.LatentPredictor
  num_context: int = 2
  error: str = 'l2'
  error_weight: float = 1.0
  beta: float = 4e-4
  beta_start: int = 0
  beta_warmup: int = 0
  scheduled_sampling: float = 0.0
  latents: str = 'prior'

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('model.error', self.error, reconstruction.KINDS)
    checks.one_of('model.latents', self.latents, LATENTS)
    last = self.clip_shape[0] - 1
    checks.in_range('model.num_context', self.num_context, 1, last)
    for field in (
      'error_weight', 'beta', 'beta_start', 'beta_warmup', 'scheduled_sampling',
    ):  # fmt: skip
      checks.at_least(f'model.{field}', getattr(self, field), 0)

  @property
  def updates(self) -> tuple[Update, ...]:
    return (Update('predictor'),)

  @property
  def condition_keys(self) -> tuple[str, ...]:
    return ('known_video', 'known', *self.predictor.condition_keys)

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
    return self.bound(batch, self.posterior_predictions(batch, train=train))

  def bound(
    self, batch: Batch, prediction: latent_prediction.Prediction
  ) -> tuple[Array, Metrics]:
    """Returns the negative bound, and terms to log.

    `kl_frame_i` is the divergence at frame i, counted from 0, in nats.

    Args:
      batch: Clips.
      prediction: Predictions of all frames but the first, with latents from the
        posterior.
    """
    target_bthwc = batch['video'][:, 1:]
    num_predicted = target_bthwc.shape[1]
    error = num_predicted * reconstruction.distance(
      self.error, target_bthwc, prediction.frame_bhwc
    )
    kl_t = prediction.posterior.divergence(prediction.prior).sum(2).mean(0)
    beta = self._beta(batch)
    return self.error_weight * error + beta * kl_t.sum(), {
      'error': error,
      'kl': kl_t.sum(),
      'beta': beta,
      'psnr': reconstruction.psnr(target_bthwc, prediction.frame_bhwc),
      **{f'kl_frame_{i + 1}': kl_t[i] for i in range(num_predicted)},
    }

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

    They come from one rollout, with as many copies of each clip as there are
    sources. Inputs are real frames, or generated ones by scheduled sampling in
    training.

    Args:
      batch: Clips.
      sources: 'posterior', or 'prior', which is the prior after the context.
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
      known_bt: Known frames; the first is known.
      key_b: Keys, one for each clip.
      condition: Has the network's conditions.
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

  def sample(self, key_b: Array, condition: Condition) -> Array:
    return self.sample_unclipped(key_b, condition).clip(-1, 1)

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

  def _beta(self, batch: Batch) -> Array:
    """Returns the weight of the divergence in this step."""
    if 'step' not in batch or not (self.beta_start or self.beta_warmup):
      return jnp.asarray(self.beta)
    since = batch['step'][0] - self.beta_start
    # Without a warm-up, the weight is 0 before the start and then beta.
    rise = since / self.beta_warmup if self.beta_warmup else since + 1.0
    return self.beta * jnp.clip(rise, 0, 1)
