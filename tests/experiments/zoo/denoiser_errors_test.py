"""Tests of denoiser_errors.py: no estimate has smaller errors than the best."""

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


class Constant(nn.Module):
  """A denoiser whose output is a tenth of the label everywhere, or 0.5."""

  def __call__(self, video_bthwc, time_b, condition, *, train):
    label_b = condition.get('label', jnp.full(len(video_bthwc), 5))
    return jnp.ones_like(video_bthwc) * label_b[:, None, None, None, None] / 10


def fake_run(**fields) -> SimpleNamespace:
  model = denoising.Diffusion(clip_shape=SHAPE, denoiser=Constant(), **fields)
  used = []
  variables = lambda average: used.append(average) or {}
  return SimpleNamespace(
    model=model, source=Videos(), used=used, schema=Schema(clip_shape=SHAPE),
    config=ConfigDict({'ema': {'slow': {'decay': 0.9}}}),
    state=SimpleNamespace(variables=variables),
  )  # fmt: skip


@pytest.fixture(scope='module')
def views() -> denoiser_errors.Views:
  (found,) = denoiser_errors.views_of_classes(Videos(), has_classes=False)
  return found


def test_all_views_are_found_and_counted(views):
  assert views.label is None
  assert views.index_n.tolist() == [0] * 5 + [1] * 5 + [2] * 5
  assert views.count_n.reshape(3, 5).sum(1).tolist() == [1_000] * 3
  assert views.count_n.max() > 2 * views.count_n.min()
  assert -1 <= views.video_nthwc.min() < views.video_nthwc.max() <= 1


def test_views_are_separated_by_class():
  first, second = denoiser_errors.views_of_classes(Videos(), has_classes=True)
  assert (first.label, second.label) == (0, 1)
  assert set(first.index_n) == {0, 1}
  assert set(second.index_n) == {2}


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
  flat = views._replace(count_n=np.ones_like(views.count_n))
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


def test_nearest_video(views):
  rng = np.random.default_rng(3)
  moved = views.video_nthwc + rng.uniform(-0.3, 0.3, views.video_nthwc.shape)
  found = denoiser_errors.nearest(views, moved)
  np.testing.assert_array_equal(found, views.index_n)


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
