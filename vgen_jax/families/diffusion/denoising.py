"""Diffusion and flow matching: clips are denoised at all noise levels."""

import flax.linen as nn
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core import random
from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Metrics
from vgen_jax.families import base
from vgen_jax.families.diffusion import guidance
from vgen_jax.families.diffusion import paths
from vgen_jax.families.diffusion import predictions
from vgen_jax.families.diffusion import solvers
from vgen_jax.families.diffusion import times

# Purposes of a clip's key, in the loss and in sampling.
_NOISE, _TIME, _DROP = range(3)
_START, _SOLVER = range(2)

# Quantile of a clip's absolute values that dynamic thresholding scales to 1.
_QUANTILE = 0.995


class Diffusion(base.VideoModel):
  """A denoiser trained at all noise levels, and sampled from noise to data.

  This family covers DDPM, flow matching, rectified flow and EDM, which differ
  only in the values of fields. The defaults are those of flow matching. Time is
  from 0 (noise) to 1 (data).

    EDM: path paths.VarianceExploding, prediction 'edm', times.LogNormal,
      solvers.Heun with num_steps=18.
    DDPM: path paths.LinearBeta, prediction 'noise', solvers.Ancestral with
      num_steps=1000, clip_x0='static'.

  Attributes:
    denoiser: `(video_bthwc, time_b, condition, train=...) -> output_bthwc`.
      Times are in [0, 1]. If there are classes, `condition` may have 'label',
      int32 `[b]`; label `num_classes` means no label, as does a missing label.
    num_classes: Number of labels; 0 for a model without labels.
    path: Path from noise to data; a class of paths.py.
    prediction: Target of the denoiser, one of predictions.NAMES.
    weight: Weight of the squared error, one of predictions.WEIGHTS.
    min_snr_gamma: Upper bound of the weight 'min_snr'.
    sigma_data: Standard deviation of the clips' pixels, for prediction 'edm',
      and for the scale of inputs on a variance-exploding path.
    time_density: Distribution of times in training; a class of times.py.
    class_dropout: Fraction of clips that are trained without their label, for
      classifier-free guidance.
    solver: Sampler; a class of solvers.py.
    guidance: Scale of `null + guidance * (conditional - null)`; 1 turns it off.
    guidance_interval: First and last time with guidance, as given to the
      denoiser.
    clip_x0: How estimates of the clean clip are clipped in sampling: 'off';
      'static', to [-1, 1]; 'dynamic', divided by the 0.995 quantile of their
      absolute values if this is above 1, then clipped to [-1, 1] (Saharia et
      al., "Photorealistic Text-to-Image Diffusion Models with Deep Language
      Understanding", 2022, https://arxiv.org/abs/2205.11487).

  The files named above cite the papers.
  """

  denoiser: nn.Module
  num_classes: int = 0
  path: paths.Path = paths.Linear()
  prediction: str = 'velocity'
  weight: str = 'unit'
  min_snr_gamma: float = 5.0
  sigma_data: float = 0.5
  time_density: times.Uniform | times.LogitNormal | times.LogNormal = (
    times.Uniform()
  )
  class_dropout: float = 0.1
  solver: solvers.Solver = solvers.Euler()
  guidance: float = 1.0
  guidance_interval: tuple[float, float] = (0.0, 1.0)
  clip_x0: str = 'off'

  def __post_init__(self):
    _check(self)
    super().__post_init__()

  @property
  def updates(self) -> tuple[base.Update, ...]:
    return (base.Update('denoiser'),)

  @property
  def condition_keys(self) -> tuple[str, ...]:
    return ('label',) if self.num_classes else ()

  def loss(
    self, batch: Batch, *, player: str, train: bool
  ) -> tuple[Array, Metrics]:
    del player  # There is only one.
    clean_bthwc, key_b = batch['video'], self.clip_keys(batch)
    noise_key_b, time_key_b, drop_key_b = (
      random.fold_in(key_b, purpose) for purpose in (_NOISE, _TIME, _DROP)
    )
    noise_bthwc = random.normal(noise_key_b, clean_bthwc.shape[1:])
    time_b = self.time_density.sample(time_key_b, self.path)
    time_b = jnp.maximum(time_b, self._first_time())
    condition = self._condition(batch, drop_key_b if train else None)

    time_b1111 = time_b[:, None, None, None, None]
    alpha_b1111, sigma_b1111 = self.path.scales(time_b1111)
    noisy_bthwc = alpha_b1111 * clean_bthwc + sigma_b1111 * noise_bthwc
    output_bthwc = self.denoiser(
      noisy_bthwc * self._target.input_scale(time_b1111),
      self.path.network_time(time_b),
      condition,
      train=train,
    ).astype(jnp.float32)
    shapes.check_output(
      'denoiser', self.denoiser, output_bthwc, clean_bthwc.shape
    )

    target_bthwc = self._target.target(clean_bthwc, noise_bthwc, time_b1111)
    error_b = jnp.square(output_bthwc - target_bthwc).mean(axis=(1, 2, 3, 4))
    error_b *= self._target.weight(self.weight, time_b, self.min_snr_gamma)
    near_noise_b = time_b < 0.5
    return error_b.mean(), {  # The sum of the two terms is the loss.
      'loss_near_noise': (error_b * near_noise_b).mean(),
      'loss_near_data': (error_b * ~near_noise_b).mean(),
    }

  def sample_unclipped(self, key_b: Array, condition: Condition) -> Array:
    self.check_condition(condition)
    self.check_dropout(condition, self.class_dropout)
    noise_bthwc = random.normal(random.fold_in(key_b, _START), self.clip_shape)
    return self.solver.solve(
      self._estimator(condition),
      noise_bthwc,
      random.fold_in(key_b, _SOLVER),
      self.path,
      self._first_time(),
    )

  @property
  def _target(self) -> predictions.Prediction:
    return predictions.Prediction(self.prediction, self.path, self.sigma_data)

  def _first_time(self) -> float | Array:
    """Returns the first time of training and sampling."""
    # At time 0 a prediction of the noise does not determine the clean clip.
    return self.path.first_time() if self.prediction == 'noise' else 0.0

  def _condition(self, batch: Batch, drop_key_b: Array | None) -> Condition:
    """Returns the denoiser's condition; with keys, some labels are dropped."""
    if not self.num_classes:
      return {}
    if 'label' not in batch:
      raise ValueError(
        f"The batch has no 'label', but model.num_classes is"
        f' {self.num_classes}; train on a source with labels, or set it to 0.'
      )
    if drop_key_b is None:
      return {'label': batch['label']}
    is_dropped_b = random.uniform(drop_key_b) < self.class_dropout
    return {'label': jnp.where(is_dropped_b, self.num_classes, batch['label'])}

  def _estimator(self, condition: Condition) -> solvers.Estimate:
    """Returns `(noisy_bthwc, time) -> clean_bthwc`, guided and clipped."""
    denoiser, variables = self.denoiser.unbind()  # For use under lax.scan.
    guided = guidance.guided(
      lambda *args: denoiser.apply(variables, *args, train=False),
      self.num_classes,
      self.guidance,
      self.guidance_interval,
    )

    def estimate(noisy_bthwc: Array, time: Array) -> Array:
      output_bthwc = guided(
        noisy_bthwc * self._target.input_scale(time),
        self.path.network_time(time),
        condition,
      ).astype(jnp.float32)
      clean_bthwc = self._target.clean(output_bthwc, noisy_bthwc, time)
      return _clip(clean_bthwc, self.clip_x0)

    return estimate


def _clip(clean_bthwc: Array, how: str) -> Array:
  """Returns estimates of clean clips, clipped as `clip_x0` states."""
  if how == 'off':
    return clean_bthwc
  if how == 'static':
    # Clipping must not turn infinite values into valid pixels.
    clipped_bthwc = clean_bthwc.clip(-1, 1)
    return jnp.where(jnp.isfinite(clean_bthwc), clipped_bthwc, jnp.nan)
  size_b1111 = jnp.quantile(
    jnp.abs(clean_bthwc), _QUANTILE, axis=(1, 2, 3, 4), keepdims=True
  )
  size_b1111 = jnp.maximum(size_b1111, 1)
  return clean_bthwc.clip(-size_b1111, size_b1111) / size_b1111


def _check(model: Diffusion) -> None:
  """Raises ValueError if fields have values that are not allowed."""
  options = {
    'prediction': predictions.NAMES,
    'weight': predictions.WEIGHTS,
    'clip_x0': ('off', 'static', 'dynamic'),
  }
  for field, allowed in options.items():
    checks.one_of(f'model.{field}', getattr(model, field), allowed)
  for field in ('sigma_data', 'min_snr_gamma'):
    if (value := getattr(model, field)) <= 0:
      raise ValueError(
        f'model.{field} is {value}; it must be positive, such as'
        f' {type(model).__dataclass_fields__[field].default}.'
      )
  checks.in_range('model.class_dropout', model.class_dropout, 0, 1)
  first, last = model.guidance_interval
  if not 0 <= first < last <= 1:
    raise ValueError(
      f'model.guidance_interval is {(first, last)}; it must be two increasing'
      ' times in [0, 1], where 0 is noise.'
    )
  if model.guidance != 1 and not (model.num_classes and model.class_dropout):
    raise ValueError(
      f'model.guidance is {model.guidance}, but guidance needs a model trained'
      f' both with and without labels: num_classes is {model.num_classes},'
      f' class_dropout {model.class_dropout}. Set guidance to 1, or make both'
      ' positive.'
    )
  for field in ('prediction', 'weight'):
    if model.path.variance_explodes and (
      (value := getattr(model, field)) in ('velocity', 'v')
    ):
      raise ValueError(
        f'model.{field} is {value!r}, which is unbounded on the path'
        f" {type(model.path).__name__}; use 'noise', 'x0' or 'edm' there."
      )
