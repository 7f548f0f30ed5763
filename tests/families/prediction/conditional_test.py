"""Tests of conditional.py, with a linear model of known likelihood."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.families.autoencoding import likelihoods
from vgen_jax.families.prediction import conditional
from vgen_jax.nn import distributions

SHAPE = (3, 2, 2, 1)
NUM_PIXELS, SIGMA, DEVIATION = 12, 0.3, 0.7
RNG = np.random.default_rng(0)
# Orthogonal columns, so that the posterior has independent latents.
WEIGHTS = np.linalg.qr(RNG.normal(size=(NUM_PIXELS, 2)))[0] * [[1.5, 0.6]]
CENTRES = RNG.normal(size=(3, NUM_PIXELS)) / 4  # One for each label.
MEANS = np.array([[2.0, -1.0], [0.0, 1.0], [-2.0, 0.5]])
KEYS = arrays.keys(6, 1)


class Linear(nn.Module):
  """p(z | x) = N(mean of x, DEVIATION^2), y = WEIGHTS z + centre of x + noise.

  The features of a condition are its one-hot label, plus 0.1 times the first
  frame if that is a condition. The posterior is exact if `off` is 0.
  """

  first_frame: bool = False
  off: float = 0.0

  @property
  def condition_keys(self):
    frame = ('known_video', 'known') if self.first_frame else ()
    return ('label', *frame)

  @nn.compact
  def features(self, condition, first_bhwc, num_clips):
    scale = self.param('scale', nn.initializers.ones, ())
    label_b3 = scale * jax.nn.one_hot(condition['label'], 3)
    assert label_b3.shape[0] == num_clips
    if first_bhwc is not None:
      label_b3 += 0.1 * first_bhwc.mean((1, 2, 3))[:, None]
    return label_b3

  def prior_of(self, feature_b3):
    mean_b2 = feature_b3 @ jnp.float32(MEANS)
    return distributions.Gaussian(
      mean_b2, jnp.full_like(mean_b2, 2 * np.log(DEVIATION))
    )

  def posterior(self, video_bthwc, feature_b3):
    """p(z | x, y), whose precision is diagonal."""
    precision_2 = (WEIGHTS**2).sum(0) / SIGMA**2 + 1 / DEVIATION**2
    rest_bp = video_bthwc.reshape(-1, NUM_PIXELS) - feature_b3 @ jnp.float32(
      CENTRES
    )
    mean_b2 = rest_bp @ jnp.float32(WEIGHTS) / SIGMA**2
    mean_b2 += self.prior_of(feature_b3).mean / DEVIATION**2
    mean_b2 = mean_b2 / jnp.float32(precision_2)[None] + self.off
    log_variance_2 = jnp.float32(-np.log(precision_2))
    return distributions.Gaussian(
      mean_b2, jnp.broadcast_to(log_variance_2, mean_b2.shape)
    )

  def decode(self, latent_b2, feature_b3):
    pixel_bp = latent_b2 @ jnp.float32(WEIGHTS).T
    pixel_bp += feature_b3 @ jnp.float32(CENTRES)
    return pixel_bp.reshape(-1, *SHAPE)


def model(first_frame=False, off=0.0, **fields):
  return conditional.ConditionalVAE(
    SHAPE,
    Linear(first_frame, off),
    likelihoods.Gaussian(scale=SIGMA),
    **fields,
  )


VARIABLES = {'params': {'network': {'scale': np.ones((), np.float32)}}}


def batch(num: int) -> tuple[dict, float]:
  """Returns samples of the true model, and their mean log-likelihood."""
  label_n = RNG.integers(0, 3, num)
  latent_n2 = MEANS[label_n] + DEVIATION * RNG.normal(size=(num, 2))
  noise_np = SIGMA * RNG.normal(size=(num, NUM_PIXELS))
  pixel_np = latent_n2 @ WEIGHTS.T + CENTRES[label_n] + noise_np
  covariance = DEVIATION**2 * WEIGHTS @ WEIGHTS.T
  covariance += SIGMA**2 * np.eye(NUM_PIXELS)
  off_np = pixel_np - MEANS[label_n] @ WEIGHTS.T - CENTRES[label_n]
  square_n = (off_np @ np.linalg.inv(covariance) * off_np).sum(1)
  log_det = np.linalg.slogdet(2 * np.pi * covariance)[1]
  clips = {
    'video': np.float32(pixel_np).reshape(-1, *SHAPE),
    'label': np.int32(label_n),
  }
  return clips, float(-0.5 * (square_n + log_det).mean())


def loss(net, clips):
  return compiled.apply(
    net,
    VARIABLES,
    clips,
    player='network',
    train=True,
    method='loss',
    rngs={'noise': jax.random.key(3)},
  )


def test_the_bound_is_tight_for_the_true_posterior():
  """It is lower by KL(q || posterior) if means are off, and never higher."""
  clips, exact = batch(50_000)
  value, terms = loss(model(), clips)
  assert float(terms['elbo']) == pytest.approx(exact, abs=2e-2)
  wanted = float(terms['nll'] + terms['kl'])
  assert float(value) == pytest.approx(wanted, rel=1e-6)
  assert float(terms['elbo']) == pytest.approx(-wanted, rel=1e-6)
  precision = (WEIGHTS**2).sum(0) / SIGMA**2 + 1 / DEVIATION**2
  gap = 0.5 * 0.1**2 * precision.sum()
  off = float(loss(model(off=0.1), clips)[1]['elbo'])
  assert gap > 0.1
  assert exact - off == pytest.approx(gap, abs=2e-2)
  # With the labels of other clips, the likelihood is much lower.
  other = clips | {'label': (clips['label'] + 1) % 3}
  assert float(loss(model(), other)[1]['elbo']) < exact - 1


def test_weights_of_the_loss():
  clips, _ = batch(500)
  _, terms = loss(model(), clips)
  doubled, _ = loss(model(beta=2.0), clips)
  assert float(doubled) == pytest.approx(
    float(terms['nll'] + 2 * terms['kl']), rel=1e-5
  )
  half, mixed = loss(model(recognition_weight=0.25), clips)
  wanted = 0.25 * (terms['nll'] + terms['kl']) + 0.75 * mixed['prior_nll']
  assert float(half) == pytest.approx(float(wanted), rel=1e-5)
  # Latents of the prior do not depend on the clip, so errors are larger.
  assert mixed['prior_nll'] > terms['nll'] + 5
  alone, _ = loss(model(recognition_weight=0.0), clips)
  assert float(alone) == pytest.approx(float(mixed['prior_nll']), rel=1e-5)
  clips |= {'step': np.full(500, 5)}
  warm, _ = loss(model(beta_warmup=10), clips)
  assert float(warm) == pytest.approx(
    float(terms['nll'] + 0.5 * terms['kl']), rel=1e-5
  )


def sample(net, keys, **condition):
  return compiled.apply(
    net, VARIABLES, keys, condition, method='sample_unclipped'
  )


def test_samples_have_the_distribution_of_the_condition():
  keys = arrays.keys(20_000, 2)
  for label in (0, 2):
    clips = sample(model(), keys, label=np.full(20_000, label))
    pixels = clips.reshape(-1, NUM_PIXELS)
    mean = WEIGHTS @ MEANS[label] + CENTRES[label]
    np.testing.assert_allclose(pixels.mean(0), mean, atol=0.03)
    covariance = DEVIATION**2 * WEIGHTS @ WEIGHTS.T
    np.testing.assert_allclose(np.cov(pixels.T), covariance, atol=0.03)


def test_the_first_frame_is_an_input_and_is_kept():
  net = model(first_frame=True)
  assert net.num_known == 1
  assert net.supported_tasks == ('generate', 'predict')
  video = np.float32(RNG.normal(size=(6, *SHAPE)))
  label = np.zeros(6, int)
  of = lambda video: sample(net, KEYS, label=label, known_video=video)
  one = of(video)
  np.testing.assert_array_equal(one[:, 0], video[:, 0])
  later = video.copy()
  later[:, 1:] += 1
  np.testing.assert_array_equal(of(later), one)
  first = video.copy()
  first[:, 0] += 1
  assert np.abs(of(first) - one)[:, 1:].min() > 0
  # The likelihood is that of the other frames.
  clips = {'video': video, 'label': label}
  num_values = np.prod(SHAPE[1:]) * 2
  noisy = conditional.ConditionalVAE(
    SHAPE, Linear(True), likelihoods.Gaussian(scale=1e3)
  )
  constant = 0.5 * np.log(2 * np.pi * 1e6)
  nll = loss(noisy, clips)[1]['nll']
  assert float(nll) == pytest.approx(num_values * constant, abs=1e-2)


def test_other_known_pixels_are_kept():
  net = model(first_frame=True)
  video = np.float32(RNG.normal(size=(6, *SHAPE)))
  known = np.zeros((6, *SHAPE[:3], 1), bool)
  known[:, 2, 0, 0] = True
  clips = sample(
    net, KEYS, label=np.zeros(6, int), known_video=video, known=known
  )
  np.testing.assert_array_equal(clips[:, 2, 0, 0], video[:, 2, 0, 0])
  assert np.abs(clips[:, 2, 1] - video[:, 2, 1]).min() > 0


def test_bad_input_is_an_error():
  with pytest.raises(ValueError, match=r'recognition_weight is 1\.5; it must'):
    model(recognition_weight=1.5)
  with pytest.raises(ValueError, match=r'model\.beta is -1'):
    model(beta=-1)
  with pytest.raises(ValueError, match=r'\(1, 2, 2, 1\).*2 frames or more'):
    conditional.ConditionalVAE((1, 2, 2, 1), Linear(first_frame=True))
  assert conditional.ConditionalVAE((1, 2, 2, 1), Linear()).num_known == 0
  with pytest.raises(ValueError, match="no 'known_video'"):
    sample(model(first_frame=True), KEYS, label=np.zeros(6, int))
  with pytest.raises(ValueError, match='text'):
    sample(model(), KEYS, label=np.zeros(6, int), text=np.zeros(6))
