"""Tests of scores/prediction.py: degenerate predictors do not win."""

import jax
import numpy as np
import pytest

from vgen_jax.evaluation.scores import prediction
from vgen_jax.evaluation.scores import reconstruction
from vgen_jax.synthetic.two_futures import source

N, CONTEXT = 6, 3
WORLD = source.TwoFutures((8, 16, 16, 3), fork=CONTEXT)
FUTURES = np.stack(
  [[WORLD.future(i, k) for k in (0, 1)] for i in range(60)]
).astype(np.float32)
TRUE = np.array([WORLD.branch(i) for i in range(60)])
CLIPS = np.arange(60)


def sampled(odds_of_truth=0.5, left=None, seed=0):
  """Returns a predictor of the true future with some odds, or of one branch."""

  def predict(known_bthwc, number):
    assert known_bthwc.shape[1] == CONTEXT
    rng = np.random.default_rng((seed, number))
    branch_b = np.where(rng.random(60) < odds_of_truth, TRUE, 1 - TRUE)
    branch_b = branch_b if left is None else np.full(60, left)
    video = FUTURES[CLIPS, branch_b][:, CONTEXT:]
    return (video + rng.normal(0, 7, video.shape)).astype(np.float32)

  return predict


PREDICTORS = {
  'fair': sampled(),
  'mean': lambda known, number: FUTURES.mean(1)[:, CONTEXT:],
  'left': sampled(left=0),
  'last': lambda known, number: np.repeat(known[:, -1:], 8 - CONTEXT, 1),
  'leaky': sampled(odds_of_truth=0.8),
}


@pytest.fixture(scope='module')
def reports():
  other_b = np.random.default_rng(9).integers(0, 2, 60)
  return {
    name: prediction.evaluate(
      predict,
      FUTURES[CLIPS, TRUE],
      context=CONTEXT,
      num_samples=N,
      value_range=(0.0, 255.0),
      other_bthwc=FUTURES[CLIPS, other_b][:, CONTEXT:],
    )
    for name, predict in PREDICTORS.items()
  }


def number(reports, name):
  return {who: report.numbers[name] for who, report in reports.items()}


def test_the_mean_of_all_futures_wins_by_the_sample_mean_only(reports):
  single = number(reports, 'psnr_sample_mean')
  assert single['mean'] > single['fair'] + 0.5
  for name in (f'psnr_best_of_{N}', f'psnr_best_of_{N}_worst_decile'):
    best = number(reports, name)
    assert best['fair'] > best['mean'] + 0.5
  diversity = number(reports, f'diversity_of_{N}')
  assert diversity['mean'] == 0
  assert diversity['fair'] > 1.5 * diversity['left'] > 0


def test_always_the_same_future_has_a_bad_worst_decile(reports):
  worst = number(reports, f'psnr_best_of_{N}_worst_decile')
  assert worst['left'] < worst['fair'] - 3
  single = number(reports, 'psnr_sample_mean')
  assert abs(single['left'] - single['fair']) < 1


@pytest.mark.parametrize('metric', prediction.METRICS)
def test_repeating_the_last_frame_is_worse_than_sampling(reports, metric):
  for name in (f'{metric}_best_of_{N}', f'{metric}_best_of_{N}_worst_decile'):
    best = number(reports, name)
    assert best['last'] < best['fair']
  curve_t = reports['last'].curves[f'{metric}_sample_mean']
  assert curve_t[-1] < curve_t[0]  # The object moves away.


def test_a_leak_of_the_future_is_detected(reports):
  score = number(reports, 'psnr_leak_z')
  assert score['leaky'] > 4
  for other in ('fair', 'mean', 'left', 'last'):
    assert abs(score[other]) < 3
  assert reports['leaky'].numbers['psnr_leak'] > 0.5
  # Without another future there is no such number.
  samples = np.stack([PREDICTORS['fair'](FUTURES[:, 0, :3], i) for i in (0, 1)])
  report = prediction.compare(
    samples.swapaxes(0, 1), FUTURES[CLIPS, TRUE, 3:], value_range=(0.0, 255.0)
  )
  assert not [name for name in report.numbers if 'leak' in name]


def test_names_include_n_and_curves_agree_with_numbers(reports):
  report = reports['fair']
  for metric in prediction.METRICS:
    for name in (f'{metric}_best_of_{N}', f'{metric}_sample_mean'):
      assert report.curves[name].shape == (8 - CONTEXT,)
      assert report.curves[name].mean() == pytest.approx(
        report.numbers[name], rel=1e-4
      )
  assert report.protocol == {
    'context': CONTEXT,
    'frames': 8 - CONTEXT,
    'num_clips': 60,
    'num_samples': N,
    'value_range': (0.0, 255.0),
  }


def test_arrays_and_predictors_give_the_same_numbers():
  truth = FUTURES[CLIPS, TRUE][:, CONTEXT:]
  samples = np.stack(
    [PREDICTORS['fair'](FUTURES[:, 0, :3], i) for i in range(4)], 1
  )

  def error(sample, truth):
    return np.abs(sample - truth).mean((2, 3, 4))

  kwargs = dict(value_range=(0.0, 255.0), distances={'l1': error})
  report = prediction.compare(samples, truth, **kwargs)
  again = prediction.evaluate(
    PREDICTORS['fair'],
    FUTURES[CLIPS, TRUE],
    context=CONTEXT,
    num_samples=4,
    **kwargs,
  )
  assert report.numbers == again.numbers
  error_bn = np.abs(samples - truth[:, None]).mean((2, 3, 4, 5))
  worst_b = np.sort(error_bn.min(1))[-6:]
  for name, wanted in (
    ('l1_best_of_4', error_bn.min(1).mean()),
    ('l1_best_of_4_worst_decile', worst_b.mean()),
    ('l1_sample_mean', error_bn.mean()),
  ):
    assert report.numbers[name] == pytest.approx(wanted, rel=1e-5)
  wanted = jax.jit(reconstruction.diversity, static_argnums=1)(
    samples.swapaxes(0, 1), (0.0, 255.0)
  )
  assert report.numbers['diversity_of_4'] == pytest.approx(
    float(wanted.mean()), rel=1e-4
  )


@pytest.mark.parametrize(
  ('kwargs', 'words'),
  [
    ({'context': 0}, 'context is 0'),
    ({'context': 8}, 'from 1 to 7'),
    ({'context': 3, 'num_samples': 0}, 'give 1 or more'),
    ({'context': 3, 'metrics': ('lpips',)}, "Unknown metric 'lpips'"),
  ],
)
def test_bad_arguments_are_errors(kwargs, words):
  with pytest.raises(ValueError, match=words):
    prediction.evaluate(PREDICTORS['last'], np.uint8(FUTURES[:, 0]), **kwargs)


def test_the_leak_of_one_clip_has_no_z_score():
  value_nfbt = np.array([3.0, 1.0]).reshape(1, 2, 1, 1)
  numbers, _ = prediction.summary(value_nfbt)
  assert numbers['leak'] == 2
  assert np.isnan(numbers['leak_z'])
