"""Tests of denoising.py, with networks that predict the exact answer."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from tests.families import calls
from vgen_jax.families.diffusion import denoising
from vgen_jax.families.diffusion import paths
from vgen_jax.families.diffusion import predictions
from vgen_jax.families.diffusion import solvers
from vgen_jax.families.diffusion import times

CLIP_SHAPE = (3, 4, 4, 1)
DATUM = arrays.uniform(CLIP_SHAPE, low=-1)
KEY_B = calls.KEY_B

PATHS = {
  'linear': paths.Linear(),
  'cosine': paths.Cosine(),
  'linear_beta': paths.LinearBeta(),
  'exploding': paths.VarianceExploding(),
}
# `make test` has each path, and all targets of two paths.
FAST = {('cosine', 'v'), ('cosine', 'velocity'), ('linear_beta', 'noise')}
PAIRS = [
  pytest.param(
    path, name,
    marks=(() if path in ('linear', 'exploding') or (path, name) in FAST
           else pytest.mark.slow),
  )
  for path in PATHS
  for name in predictions.NAMES
  if path != 'exploding' or name in ('noise', 'x0', 'edm')
]  # fmt: skip


class Oracle(nn.Module):
  """The optimal denoiser of data that is normal around one clip.

  Label l brightens the clip by l / 10.

  Attributes:
    prediction: Target of the denoiser.
    variance: Variance of the pixels.
  """

  prediction: predictions.Prediction
  variance: float = 0.0

  def __call__(self, video_bthwc, time_b, condition, *, train):
    time = time_b[:, None, None, None, None]
    path = self.prediction.path
    if (
      path.variance_explodes
    ):  # The input is the log of sigma, scaled to [0, 1].
      low, high = np.log(path.sigma_min), np.log(path.sigma_max)
      time = path.time(-2 * (high - time * (high - low)))
    noisy_bthwc = video_bthwc / self.prediction.input_scale(time)
    mean_bthwc = DATUM[None]
    if 'label' in condition:
      known_b = condition['label'] < 3
      brighter_b = known_b * condition['label'] / 10
      mean_bthwc = mean_bthwc + brighter_b[:, None, None, None, None]
    alpha, sigma = path.scales(time)
    gain = alpha * self.variance / (alpha**2 * self.variance + sigma**2)
    clean_bthwc = mean_bthwc + gain * (noisy_bthwc - alpha * mean_bthwc)
    noise_bthwc = (noisy_bthwc - alpha * clean_bthwc) / sigma
    return self.prediction.target(clean_bthwc, noise_bthwc, time)


class Net(nn.Module):
  """A network with parameters, which computes each pixel independently."""

  num_classes: int = 3

  @nn.compact
  def __call__(self, video_bthwc, time_b, condition, *, train):
    hidden = nn.Dense(8)(video_bthwc)
    hidden += nn.Dense(8)(time_b[:, None])[:, None, None, None]
    if 'label' in condition:
      embedding = nn.Embed(self.num_classes + 1, 8)(condition['label'])
      hidden += embedding[:, None, None, None]
    return nn.Dense(video_bthwc.shape[-1])(nn.silu(hidden))


class LabelProbe(nn.Module):
  """Outputs 1 for clips without a label, 0 for the others."""

  num_classes: int = 3

  def __call__(self, video_bthwc, time_b, condition, *, train):
    has_none_b = condition['label'] == self.num_classes
    return has_none_b[:, None, None, None, None] * jnp.ones_like(video_bthwc)


def with_oracle(path='linear', prediction='velocity', variance=0.0, **kwargs):
  path = PATHS[path]
  oracle = Oracle(predictions.Prediction(prediction, path), variance)
  return denoising.Diffusion(
    CLIP_SHAPE, oracle, path=path, prediction=prediction, **kwargs
  )


@pytest.fixture(scope='module')
def random_model():
  """A model with random parameters, and the parameters."""
  model = denoising.Diffusion(
    CLIP_SHAPE, Net(), num_classes=3, solver=solvers.DDIM(3, eta=0.5)
  )
  rngs = {'params': jax.random.key(2), 'noise': jax.random.key(3)}
  batch = {'video': np.zeros((1, *CLIP_SHAPE)), 'label': np.array([0])}
  return model, compiled.init(model, rngs, batch)


@pytest.mark.parametrize(('path', 'prediction'), PAIRS)
def test_oracle_has_no_loss(path: str, prediction: str):
  density = times.LogNormal() if path == 'exploding' else times.LogitNormal()
  model = with_oracle(path, prediction, time_density=density)
  batch = {'video': np.tile(DATUM, (16, 1, 1, 1, 1))}
  loss, _ = calls.loss(model, batch)
  assert loss == pytest.approx(0, abs=1e-5)
  # Another clip has a loss.
  loss, terms = calls.loss(model, {'video': -batch['video']})
  assert loss > 0.05
  assert loss == pytest.approx(float(sum(terms.values())), rel=1e-5)


@pytest.mark.parametrize(
  ('path', 'prediction'),
  [
    ('linear', 'velocity'),
    ('linear', 'x0'),
    ('linear', 'noise'),
    ('cosine', 'v'),
    ('cosine', 'velocity'),
    ('linear_beta', 'noise'),
    ('exploding', 'edm'),
    ('exploding', 'x0'),
  ],
)
def test_samples_follow_the_oracles_distribution(path: str, prediction: str):
  """Clips are normal around its datum, with the right variance."""
  solver = solvers.Heun(25)
  model = with_oracle(path, prediction, variance=0.04, solver=solver)
  key_b = arrays.keys(128, 2)
  sample = compiled.jit(
    lambda k: model.apply({}, k, {}, method='sample_unclipped')
  )
  off_bthwc = sample(key_b) - DATUM[None]
  # 128 * 48 pixels: four standard errors.
  assert off_bthwc.mean() == pytest.approx(0, abs=0.2 * 4 / 78)
  assert off_bthwc.std() == pytest.approx(0.2, rel=0.05)


def test_prediction_and_path_must_be_those_of_the_network():
  velocity = with_oracle().denoiser
  model = denoising.Diffusion(CLIP_SHAPE, velocity, prediction='x0')
  batch = {'video': np.tile(DATUM, (4, 1, 1, 1, 1))}
  assert calls.loss(model, batch)[0] > 0.1


@pytest.mark.parametrize('num_steps', [1, 2, 7])
def test_straight_paths_need_one_step(num_steps: int):
  video_bthwc = calls.generate(with_oracle(solver=solvers.Euler(num_steps)))
  assert video_bthwc.shape == (6, *CLIP_SHAPE)
  assert video_bthwc.dtype == jnp.float32
  np.testing.assert_allclose(
    video_bthwc, np.tile(DATUM, (6, 1, 1, 1, 1)), atol=1e-5
  )


def test_clips_do_not_depend_on_the_rest_of_the_batch(random_model):
  model, variables = random_model
  label_b = np.array([0, 1, 2, 0, 1, 2])
  whole = calls.generate(model, KEY_B, {'label': label_b}, variables)
  some = np.array([4, 1])
  key_b = arrays.take_keys(KEY_B, some)
  part = calls.generate(model, key_b, {'label': label_b[some]}, variables)
  np.testing.assert_allclose(part, whole[some], atol=1e-6)
  assert np.abs(whole[4] - whole[1]).max() > 0.1
  # They depend on the label.
  others = calls.generate(model, KEY_B, {'label': label_b[::-1]}, variables)
  assert np.abs(others - whole).max() > 1e-3


def test_loss_of_a_batch_is_the_mean_over_its_parts(random_model):
  model, variables = random_model
  video = arrays.normal((6, *CLIP_SHAPE), 4)
  batch = {
    'video': video,
    'label': np.array([0, 1, 2, 2, 1, 0]),
    'position': np.arange(6),
  }
  whole = calls.loss(model, batch, variables)
  parts = [
    calls.loss(model, {k: v[i::2] for k, v in batch.items()}, variables)
    for i in range(2)
  ]
  mean = jax.tree.map(lambda x, y: (x + y) / 2, *parts)
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), mean, whole
  )
  # Without positions the halves would share their noise.
  del batch['position']
  same_noise = [
    calls.loss(model, {k: v[i::2] for k, v in batch.items()}, variables)[0]
    for i in range(2)
  ]
  assert abs(sum(same_noise) / 2 - whole[0]) > 1e-3


@pytest.mark.parametrize('dropout', [0.0, 0.1, 1.0])
def test_fraction_of_dropped_labels(dropout: float):
  """With clips of 0 and prediction x0, a dropped label has a loss of 1."""
  model = denoising.Diffusion(
    (1, 1, 1, 1), LabelProbe(), 3, prediction='x0', class_dropout=dropout
  )
  num = 4000
  batch = {'video': np.zeros((num, 1, 1, 1, 1)), 'label': np.arange(num) % 3}
  loss, _ = calls.loss(model, batch)
  assert loss == pytest.approx(dropout, abs=4 * np.sqrt(0.09 / num))
  if dropout in (0, 1):
    assert loss == dropout
  assert calls.loss(model, batch, train=False)[0] == 0
  if not dropout:
    with pytest.raises(ValueError, match='was never trained without them'):
      model.apply({}, KEY_B, {}, method='sample')


@pytest.mark.parametrize('scale', [0.0, 1.0, 2.5])
def test_guidance_follows_its_formula(scale: float):
  """The oracle's clips are l / 10 brighter with label l."""
  model = with_oracle(guidance=scale, num_classes=3, solver=solvers.Euler(3))
  sample = lambda k, c: compiled.apply(
    model, {}, k, c, method='sample_unclipped'
  )
  key_b = arrays.take_keys(KEY_B, np.s_[:2])
  off = sample(key_b, {'label': np.array([1, 2])}) - DATUM[None]
  np.testing.assert_allclose(
    off[0], np.full_like(off[0], scale / 10), atol=1e-5
  )
  np.testing.assert_allclose(off[1], np.full_like(off[1], scale / 5), atol=1e-5)
  # Without a label there is no guidance.
  off = sample(key_b, {}) - DATUM[None]
  np.testing.assert_allclose(off, np.zeros_like(off), atol=1e-5)


@pytest.mark.parametrize('clip_x0', ['off', 'static', 'dynamic'])
def test_clean_estimates_are_clipped(clip_x0: str):
  """Guidance drives estimates far beyond the range of pixels."""
  model = with_oracle(
    num_classes=3, guidance=20.0, clip_x0=clip_x0, solver=solvers.Euler(2)
  )
  sample = lambda k, c: compiled.apply(
    model, {}, k, c, method='sample_unclipped'
  )
  clip = sample(KEY_B, {'label': np.full(6, 1)})[0]
  bright = DATUM + 2
  expected = {
    'off': bright,
    'static': bright.clip(-1, 1),
    'dynamic': (bright / np.quantile(bright, 0.995)).clip(-1, 1),
  }
  np.testing.assert_allclose(clip, expected[clip_x0], atol=1e-4)
  video_bthwc = calls.generate(model, condition={'label': np.full(6, 1)})
  assert np.abs(video_bthwc).max() <= 1


def test_wrong_conditions():
  model = with_oracle()
  with pytest.raises(ValueError, match=r"condition\['known_video'\] is given"):
    calls.generate(model, condition={'known_video': np.zeros((6, *CLIP_SHAPE))})
  with pytest.raises(ValueError, match=r"condition\['label'\] is given"):
    calls.generate(model, condition={'label': np.zeros(6, int)})
  with pytest.raises(ValueError, match=r"no 'label', but model.num_classes is"):
    calls.loss(with_oracle(num_classes=3), {'video': DATUM[None]})
