"""Tests of families/codes/masked.py."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from tests.families import calls
from vgen_jax.families.codes import masked
from vgen_jax.families.codes import masks
from vgen_jax.models import maskgit

GRID = (3, 4, 4)
NUM = math.prod(GRID)
CLIP_SHAPE = (*GRID, 1)
KEY_B = calls.KEY_B
SECRET = arrays.integers(GRID, 5)


class Oracle(nn.Module):
  """Predicts the codes of one clip, plus the label, modulo 5."""

  num_codes: int = 5
  logit: float = 30.0

  def __call__(self, codes_bthw, condition, *, train):
    secret = jnp.broadcast_to(SECRET[None], codes_bthw.shape)
    if 'label' in condition:
      label = condition['label'].reshape(-1, 1, 1, 1)
      secret = jnp.where(label < 3, (secret + label) % 5, secret)
    return self.logit * jax.nn.one_hot(secret, 5)


class Copies(nn.Module):
  """Predicts that all codes of a clip equal its unmasked codes."""

  num_codes: int = 5

  def __call__(self, codes_bthw, condition, *, train):
    counts_bthwk = jax.nn.one_hot(codes_bthw, 5)
    count_b111k = counts_bthwk.sum((1, 2, 3), keepdims=True)
    return 40.0 * jnp.broadcast_to(
      jnp.minimum(count_b111k, 1), (*codes_bthw.shape, 5)
    )


class InOrder(nn.Module):
  """Predicts code 0, then code 1; it is 2 nats more confident of the first."""

  num_codes: int = 32

  def __call__(self, codes_bthw, condition, *, train):
    code_b111 = (codes_bthw < 32).any((1, 2, 3), keepdims=True).astype(int)
    logit_w1 = jnp.array([30, math.log(31 / (math.e**2 - 1))])[:, None]
    output_bthwk = jax.nn.one_hot(jnp.tile(code_b111, (1, 1, 1, 2)), 32)
    return output_bthwk * logit_w1[None, None, None]


def test_masked_fraction_follows_the_schedule():
  """The mean of cos over uniform times is 2 / pi; the rest is rounding up."""
  for schedule, mean in (('cosine', 2 / math.pi), ('linear', 0.5)):
    model = masked.Masked(CLIP_SHAPE, Oracle(), schedule=schedule)
    mask = lambda key_b, model=model: model.apply(
      {}, key_b, method='random_mask'
    )
    hidden = compiled.jit(mask)(arrays.keys(2000, 2))
    fraction_b = np.asarray(hidden.mean((1, 2, 3)))
    assert fraction_b.mean() == pytest.approx(mean + 0.5 / NUM, abs=0.025)
    assert fraction_b.min() >= 1 / NUM
    assert fraction_b.max() == 1
    # All positions are equally likely.
    by_position = np.asarray(hidden.mean(0))
    np.testing.assert_allclose(by_position, fraction_b.mean(), atol=0.045)


def test_frequencies_of_tasks():
  tasks = {'first_frame': 3.0, 'inpainting': 1.0}
  model = masked.Masked(CLIP_SHAPE, Oracle(), tasks=tasks)
  mask = lambda key_b: model.apply({}, key_b, method='random_mask')
  key_b = arrays.keys(2000, 2)
  hidden = np.asarray(compiled.jit(mask)(key_b))
  box = ~masks.known('inpainting', GRID)
  is_box = ~hidden[:, ~box].any(1)
  is_first = ~hidden[:, 0].any((1, 2))
  assert (is_box | is_first).all()
  # A clip with few masked codes can fit both tasks.
  assert is_box.mean() == pytest.approx(0.25, abs=0.06)
  assert is_first.mean() == pytest.approx(0.75, abs=0.06)


def test_loss_is_over_masked_codes_only():
  """A right model has the loss of smoothing only, a wrong one a large loss."""
  codes = np.tile(SECRET, (64, 1, 1, 1))
  model = masked.Masked(CLIP_SHAPE, Oracle(), label_smoothing=0.0)
  loss, terms = calls.loss(model, {'codes': codes})
  assert loss == pytest.approx(0, abs=1e-5)
  assert terms['accuracy'] == 1
  wrong, terms = calls.loss(model, {'codes': (codes + 1) % 5})
  assert wrong == pytest.approx(30, abs=1e-3)
  assert terms['accuracy'] == 0
  smooth, terms = calls.loss(model.clone(label_smoothing=0.1), {'codes': codes})
  assert smooth == pytest.approx(0.1 * 0.8 * 30, abs=1e-3)
  assert terms['bits_per_code'] == pytest.approx(0, abs=1e-5)
  # A model that copies unmasked codes would else be right for them.
  constant = np.full((64, *GRID), 3)
  copier = masked.Masked(CLIP_SHAPE, Copies(), label_smoothing=0.0)
  loss, terms = calls.loss(copier, {'codes': constant})
  accuracy = terms['accuracy']  # Wrong only where everything was masked.
  assert 0.9 < accuracy <= 1
  assert loss < 0.2


def test_wrong_models_have_larger_losses():
  """Uniform, collapsed and shuffled models are worse than the oracle."""
  codes = np.tile(SECRET, (64, 1, 1, 1))
  uniform = masked.Masked(CLIP_SHAPE, Oracle(logit=0.0), label_smoothing=0.0)
  _, terms = calls.loss(uniform, {'codes': codes})
  assert terms['bits_per_code'] == pytest.approx(math.log2(5), rel=1e-5)
  modest = masked.Masked(CLIP_SHAPE, Oracle(logit=4.0), label_smoothing=0.0)
  _, true = calls.loss(modest, {'codes': codes})
  assert true['bits_per_code'] < 0.2
  mixed = np.random.default_rng(0).permutation(codes.reshape(64, -1), axis=1)
  _, shuffled = calls.loss(modest, {'codes': mixed.reshape(codes.shape)})
  assert shuffled['bits_per_code'] > true['bits_per_code'] + 2
  drawn = calls.generate(uniform.clone(temperature=0.0))  # Always equal codes.
  assert (drawn != SECRET[None]).mean() > 0.5


@pytest.mark.parametrize('num_steps', [1, 5])
def test_samples_of_a_certain_model_are_exact(num_steps):
  model = masked.Masked(
    CLIP_SHAPE, Oracle(), num_classes=3, num_steps=num_steps
  )
  label_b = np.array([0, 1, 2, 0, 1, 2])
  codes = calls.generate(model, condition={'label': label_b})
  expected = (SECRET[None] + label_b.reshape(-1, 1, 1, 1)) % 5
  np.testing.assert_array_equal(codes, expected)
  assert codes.dtype == jnp.int32


def test_steps_depend_on_the_codes_of_earlier_steps():
  """With one step codes differ, with several they agree."""
  several = calls.generate(masked.Masked(CLIP_SHAPE, Copies(), num_steps=NUM))
  assert (several == several[:, :1, :1, :1]).all()
  assert len(np.unique(several[:, 0, 0, 0])) > 1
  single = calls.generate(masked.Masked(CLIP_SHAPE, Copies(), num_steps=1))
  assert not (single == single[:, :1, :1, :1]).all((1, 2, 3)).any()


@pytest.mark.parametrize('schedule', ['cosine', 'linear'])
def test_number_of_codes_that_each_step_reveals(schedule):
  """The number follows the schedule of unknown codes, and is at least 1."""
  model = masked.Masked(CLIP_SHAPE, Oracle(), schedule=schedule, num_steps=8)
  unknown_b = np.array([NUM, 20, 3, 0])
  confidence = arrays.uniform((4, *GRID))
  known = np.arange(NUM).reshape(1, *GRID) >= unknown_b.reshape(-1, 1, 1, 1)
  confidence = np.where(known, np.inf, confidence)

  def stays_masked(confidence, unknown_b, number):
    stays = model._stays_masked(confidence, unknown_b, number)
    return masks.SCHEDULES[schedule]((number + 1) / 8), stays

  for number in range(8):
    fraction, stays = compiled.call(stays_masked, confidence, unknown_b, number)
    before = np.isfinite(confidence).sum((1, 2, 3))
    count = np.floor(np.float32(unknown_b * fraction))
    count = np.clip(np.minimum(count, before - 1), 0, None)
    count = np.where(number == 7, 0, count)
    np.testing.assert_array_equal(stays.sum((1, 2, 3)), count)
    least_kept = np.where(stays, np.inf, confidence).min((1, 2, 3))
    most_masked = np.where(stays, confidence, -np.inf).max((1, 2, 3))
    assert (most_masked <= least_kept).all(), (
      'The least confident ones stay masked.'
    )
    confidence = np.where(stays, confidence, np.inf)


@pytest.mark.parametrize(
  ('temperature', 'fraction'), [(0.0, 1.0), (4.0, 0.7310586)]
)
def test_choice_temperature_adds_noise_in_early_steps(temperature, fraction):
  """After half of the steps, it is a softmax of 2 nats over 2."""
  model = masked.Masked(
    (1, 1, 2, 1),
    InOrder(),
    schedule='linear',
    num_steps=2,
    temperature=0.0,
    choice_temperature=temperature,
    label_smoothing=0.0,
  )
  codes = calls.generate(model, arrays.keys(1500, 5)).reshape(-1, 2)
  assert (codes.sum(1) == 1).all()
  assert (codes[:, 0] == 0).mean() == pytest.approx(fraction, abs=0.035)


@pytest.mark.parametrize('task', ['interpolation', 'outpainting', 'sideways'])
def test_known_codes_are_kept(task):
  known = np.tile(masks.known(task, GRID), (6, 1, 1, 1))
  known_codes = arrays.integers((6, *GRID), 5, 3)
  model = masked.Masked(CLIP_SHAPE, Oracle(), num_steps=4)
  condition = {'known_codes': known_codes, 'known': known}
  codes = calls.generate(model, condition=condition)
  np.testing.assert_array_equal(
    codes, np.where(known, known_codes, SECRET[None])
  )
  # If all are known, all are kept.
  condition['known'] = np.ones_like(known)
  np.testing.assert_array_equal(
    calls.generate(model, condition=condition), known_codes
  )


def test_clips_do_not_depend_on_the_rest_of_the_batch():
  net = maskgit.MaskGIT(5, 16, 1, 2, num_classes=2, dropout=0.0)
  model = masked.Masked(
    CLIP_SHAPE, net, num_classes=2, guidance=2.0, num_steps=3
  )
  batch = {'codes': SECRET[None], 'label': np.array([0])}
  rngs = {'params': jax.random.key(2), 'noise': jax.random.key(3)}
  rng = np.random.default_rng(0)
  variables = jax.tree.map(
    lambda x: np.float32(0.3 * rng.standard_normal(x.shape)),
    jax.eval_shape(model.init, rngs, batch),
  )
  label_b = np.array([0, 1, 2, 0, 1, 2])
  whole = calls.generate(model, KEY_B, {'label': label_b}, variables)
  some = np.array([4, 1])
  key_b = arrays.take_keys(KEY_B, some)
  part = calls.generate(model, key_b, {'label': label_b[some]}, variables)
  np.testing.assert_array_equal(part, whole[some])
  assert (whole[4] != whole[1]).any()
  others = calls.generate(model, KEY_B, {'label': label_b[::-1]}, variables)
  assert (others != whole).any()


@pytest.mark.parametrize(
  ('fields', 'match'),
  [
    (dict(schedule='cos'), "model.schedule is 'cos'; it must be one of"),
    (
      dict(tasks={'fee': 1.0}),
      "model.tasks: unknown key 'fee'. Did you mean 'free'",
    ),
    (
      dict(tasks={'free': 0.0}),
      r"model.tasks\['free'\] is 0.0; frequencies must be positive",
    ),
    (dict(label_smoothing=1.0), 'model.label_smoothing is 1.0'),
    (dict(num_steps=0), 'model.num_steps is 0'),
  ],
)
def test_wrong_fields(fields, match):
  with pytest.raises(ValueError, match=match):
    masked.Masked(CLIP_SHAPE, Oracle(), **fields)
