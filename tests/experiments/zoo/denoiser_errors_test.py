"""Tests of denoiser_errors.py: no estimate has smaller errors than the best."""

import dataclasses
from types import SimpleNamespace

import flax.linen as nn
import jax.numpy as jnp
from ml_collections import ConfigDict
import numpy as np
import pytest

from experiments.zoo import denoiser_errors
from vgen_jax.core import sources
from vgen_jax.core.types import Schema
from vgen_jax.families.diffusion import denoising
from vgen_jax.families.diffusion import paths
from vgen_jax.synthetic.world import source

SHAPE = (2, 4, 4, 3)


class Videos(sources.HasRandomViews):
  """Three videos of random pixels with few views; the last is of class 1."""

  def __init__(self):
    rng = np.random.default_rng(0)
    self.video = rng.integers(0, 256, (3, 5, *SHAPE), np.uint8)

  def __len__(self) -> int:
    return 3

  def random_view(self, index: int, rng: np.random.Generator) -> dict:
    # The first views are drawn more often.
    view = int(5 * rng.uniform() ** 2)
    return {'video': self.video[index, view], 'label': index // 2}


class Simple(nn.Module):
  """A denoiser without parameters.

  Attributes:
    gain: Factor of the input and of its time in the output.
  """

  gain: float = 0.0

  def __call__(self, video_bthwc, time_b, condition, *, train):
    label_b = condition.get('label', jnp.full(len(video_bthwc), 5))
    offset_b = label_b / 10 + self.gain * time_b
    return self.gain * video_bthwc + offset_b[:, None, None, None, None]


def fake_run(gain: float = 0.0, **fields) -> SimpleNamespace:
  model = denoising.Diffusion(clip_shape=SHAPE, denoiser=Simple(gain), **fields)
  used = []
  variables = lambda average: used.append(average) or {}
  return SimpleNamespace(
    model=model, source=Videos(), used=used, schema=Schema(clip_shape=SHAPE),
    config=ConfigDict({'sample_from': 'slow'}),
    state=SimpleNamespace(variables=variables),
  )  # fmt: skip


@pytest.fixture(scope='module')
def views() -> denoiser_errors.Views:
  (found,) = denoiser_errors.views_of_classes(Videos(), has_classes=False)
  return found


def test_all_views_are_found_and_counted(views):
  assert views.label is None
  assert views.is_of_nm.sum(0).tolist() == [5] * 3
  assert views.is_of_nm.sum(1).tolist() == [1] * 15
  assert (views.count_n @ views.is_of_nm).tolist() == [1_000] * 3
  assert views.count_n.max() > 2 * views.count_n.min()
  assert -1 <= views.video_nthwc.min() < views.video_nthwc.max() <= 1


def test_views_are_separated_by_class():
  first, second = denoiser_errors.views_of_classes(Videos(), has_classes=True)
  assert (first.label, second.label) == (0, 1)
  assert first.is_of_nm.any(0).tolist() == [True, True, False]
  assert second.is_of_nm.any(0).tolist() == [False, False, True]


def test_examples_of_one_video_share_their_views():
  """Two windows of a video in VideoFolder are two examples."""
  videos = Videos()
  videos.video[1] = videos.video[0]
  (views,) = denoiser_errors.views_of_classes(videos, has_classes=False)
  assert len(views.count_n) == 10
  assert views.is_of_nm.sum(1).tolist() == [2] * 5 + [1] * 5
  run = fake_run(prediction='x0')
  numbers = denoiser_errors.measure(
    denoiser_errors.estimator(run), run.model.path, views, time=0.9, num=50
  )
  assert numbers['best right video'] == 1


def test_best_estimates_are_the_means_that_bayes_rule_gives(views):
  rng = np.random.default_rng(1)
  noisy = 0.1 * views.video_nthwc[:4] + 0.9 * rng.normal(size=(4, *SHAPE))
  found = denoiser_errors.best_estimates(views, noisy, 0.1, 0.9)
  for i in range(4):
    difference = noisy[i] - 0.1 * views.video_nthwc
    likelihood = np.exp(-np.square(difference).sum((1, 2, 3, 4)) / 2 / 0.9**2)
    weight = views.count_n * likelihood
    mean = np.tensordot(weight, views.video_nthwc, 1) / weight.sum()
    np.testing.assert_allclose(found[i], mean, rtol=1e-6, atol=1e-7)


def test_best_estimates_of_noise_and_of_clean_clips(views):
  mean = np.tensordot(views.count_n, views.video_nthwc, 1) / views.count_n.sum()
  noise = np.ones((1, *SHAPE))
  found = denoiser_errors.best_estimates(views, noise, 0, 1)
  np.testing.assert_allclose(found[0], mean, rtol=1e-5, atol=1e-7)
  found = denoiser_errors.best_estimates(views, views.video_nthwc, 1, 1e-3)
  np.testing.assert_allclose(found, views.video_nthwc)


@pytest.mark.parametrize('alpha', [0.1, 0.3])
def test_other_estimates_have_larger_errors(views, alpha):
  """Those that ignore the noisy clip, the noise or other views."""
  rng = np.random.default_rng(2)
  probability = views.count_n / views.count_n.sum()
  chosen = rng.choice(len(probability), 2_000, p=probability)
  clean, sigma = views.video_nthwc[chosen], 1 - alpha
  noisy = alpha * clean + sigma * rng.normal(size=clean.shape)
  error = lambda estimate: np.square(estimate - clean).mean()
  best = denoiser_errors.best_estimates(views, noisy, alpha, sigma)
  flat = dataclasses.replace(views, count_n=np.ones_like(views.count_n))
  others = {
    'mean of all': np.tensordot(probability, views.video_nthwc, 1)[None],
    'divided by alpha': noisy / alpha,
    'most probable view': denoiser_errors.best_estimates(
      views, noisy * 1e6, alpha * 1e6, sigma
    ),
    'another noise level': denoiser_errors.best_estimates(
      views, noisy, alpha, 2 * sigma
    ),
    'equal counts': denoiser_errors.best_estimates(flat, noisy, alpha, sigma),
  }
  for name, estimate in others.items():
    assert error(estimate) > error(best), name


def test_nearest_view(views):
  rng = np.random.default_rng(3)
  moved = views.video_nthwc + rng.uniform(-0.3, 0.3, views.video_nthwc.shape)
  found = denoiser_errors.nearest(views, moved[::-1])
  np.testing.assert_array_equal(found, np.arange(15)[::-1])


@pytest.mark.parametrize(
  ('fields', 'label', 'expected'),
  [
    ({'prediction': 'x0'}, None, lambda noisy: 0.5),
    ({'prediction': 'x0', 'num_classes': 7}, 3, lambda noisy: 0.3),
    # On a straight path a velocity is the clean clip minus the noise.
    ({'prediction': 'velocity'}, None, lambda noisy: noisy + 0.75 * 0.5),
  ],
)
def test_estimates_of_a_model(fields, label, expected):
  run = fake_run(**fields)
  noisy = np.random.default_rng(4).normal(size=(2, *SHAPE)).astype(np.float32)
  found = denoiser_errors.estimator(run)(noisy, 0.25, label)
  np.testing.assert_allclose(found, expected(noisy) * np.ones_like(noisy), 1e-5)
  assert run.used == ['slow']


@pytest.mark.parametrize(
  ('path', 'prediction'),
  [
    (paths.Linear(), 'velocity'),
    (paths.Cosine(), 'noise'),
    (paths.VarianceExploding(), 'edm'),
  ],
)
def test_estimates_are_those_of_sampling(path, prediction):
  run = fake_run(gain=0.7, path=path, prediction=prediction, num_classes=9)
  noisy = np.random.default_rng(5).normal(size=(2, *SHAPE)).astype(np.float32)
  found = denoiser_errors.estimator(run)(noisy, 0.6, 3)
  sampling = run.model.apply(
    {},
    noisy,
    method=lambda model, x: model._estimator({'label': jnp.array([3, 3])})(
      x, jnp.float32(0.6)
    ),
  )
  np.testing.assert_allclose(found, sampling, rtol=1e-5, atol=1e-5)
  other = denoiser_errors.estimator(run)(noisy, 0.6, 4)
  assert np.abs(other - found).min() > 1e-3


def test_numbers_of_a_model_without_skill(views):
  run = fake_run(prediction='x0')
  numbers = denoiser_errors.measure(
    denoiser_errors.estimator(run), run.model.path, views, time=0.9, num=500
  )
  probability = views.count_n / views.count_n.sum()
  error = probability @ np.square(views.video_nthwc - 0.5).mean((1, 2, 3, 4))
  assert numbers['error'] == pytest.approx(error, rel=0.05)
  assert numbers['least error'] < 1e-3
  assert numbers['right video'] < 0.5
  assert numbers['best right video'] == 1


def test_the_table(monkeypatch, capsys):
  run = fake_run(prediction='x0', num_classes=2)
  run.schema = Schema(clip_shape=SHAPE, class_names=('red', 'blue'))
  monkeypatch.setattr(denoiser_errors.runs, 'load', lambda workdir: run)
  denoiser_errors.main(['--workdir=films', '--num=4'])
  lines = capsys.readouterr().out.splitlines()
  assert lines[0].startswith('| time | class | error | least error |')
  best = [line.removesuffix(' |').split(' | ')[5] for line in lines[2:]]
  assert best[-1] == '1.000'
  rows = [line.split(' | ')[:2] for line in lines[2:]]
  times = denoiser_errors.TIMES
  assert rows == [[f'| {t}', name] for name in ('red', 'blue') for t in times]


def test_other_models_and_data_are_errors(monkeypatch):
  run = SimpleNamespace(model=nn.Dense(1))
  monkeypatch.setattr(denoiser_errors.runs, 'load', lambda workdir: run)
  with pytest.raises(TypeError, match='model is Dense; this script needs a'):
    denoiser_errors.main(['--workdir=films'])
  world = source.World((4, 16, 16, 3))
  with pytest.raises(TypeError, match='World, without random clips'):
    denoiser_errors.views_of_classes(world, has_classes=False)
