"""The evidence lower bound of sequential VAEs: one latent for each frame."""

from vgen_jax.core import checks
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Metrics
from vgen_jax.families.autoencoding import reconstruction
from vgen_jax.families.autoencoding import warmup
from vgen_jax.families.base import Update
from vgen_jax.families.base import VideoModel
from vgen_jax.nn import latent_prediction


class SequentialVAE(VideoModel):
  """The base class of families whose frames have one latent each.

  Its `negative_bound` is the negative evidence lower bound of a sequence, up to
  a constant and a factor: the sum over all predicted frames of

    error_weight * error(frame, prediction) + beta * KL(posterior || prior)

  where the error is a mean over pixels and the divergence a sum over latents.
  With error_weight 1 and n values in a frame, 'l2' is the likelihood of a
  Gaussian with variance beta * n / 2, and 'l1' that of a Laplace distribution
  with scale beta * n.
  Pixels are in [-1, 1]. The beta of a paper whose pixels are in [0, 1] must be
  multiplied by 4 for 'l2' and by 2 for 'l1' to have the same optimum.

  Attributes:
    predictor: A `LatentPredictor` of nn/latent_prediction.py.
    error: 'l1', 'l2' or 'huber', as in families/autoencoding/reconstruction.py.
    error_weight: Weight of the error.
    beta: Weight of the divergence.
    beta_initial: Weight of the divergence in the first `beta_start` steps.
    beta_start: Number of steps in which the weight is `beta_initial`.
    beta_warmup: Number of steps over which it then changes linearly to `beta`.

  Reference: the sum over frames with a learned prior is that of Denton and
  Fergus, "Stochastic Video Generation with a Learned Prior", 2018,
  https://arxiv.org/abs/1802.07687, equation 2.
  """

  predictor: latent_prediction.LatentPredictor
  error: str = 'l2'
  error_weight: float = 1.0
  beta: float = 4e-4
  beta_initial: float = 0.0
  beta_start: int = 0
  beta_warmup: int = 0

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('model.error', self.error, reconstruction.KINDS)
    for field in (
      'error_weight', 'beta', 'beta_initial', 'beta_start', 'beta_warmup',
    ):  # fmt: skip
      checks.at_least(f'model.{field}', getattr(self, field), 0)
    if self.beta_initial and not (self.beta_start or self.beta_warmup):
      raise ValueError(
        f'model.beta_initial is {self.beta_initial}, but model.beta_start and'
        ' model.beta_warmup are 0, so it has no effect. Set one of them, or set'
        ' model.beta_initial=0.'
      )

  @property
  def updates(self) -> tuple[Update, ...]:
    return (Update('predictor'),)

  @property
  def supported_tasks(self) -> tuple[str, ...]:
    return ('generate', 'predict')

  def negative_bound(
    self,
    batch: Batch,
    prediction: latent_prediction.Prediction,
    first: int = 1,
  ) -> tuple[Array, Metrics]:
    """Returns the negative bound, and terms to log.

    `kl_frame_i` is the divergence at frame i, counted from 0, in nats.

    Args:
      batch: Clips, and the step if `beta` has a warm-up.
      prediction: Predictions of frame `first` and all later ones, with latents
        from the posterior.
      first: Index of the first predicted frame, 0 or 1.
    """
    target_bthwc = batch['video'][:, first:]
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
      **{f'kl_frame_{first + i}': kl_t[i] for i in range(num_predicted)},
    }

  def _beta(self, batch: Batch) -> Array:
    """Returns the weight of the divergence in this step."""
    return warmup.weight(
      self.beta,
      batch,
      initial=self.beta_initial,
      start=self.beta_start,
      num_steps=self.beta_warmup,
    )
