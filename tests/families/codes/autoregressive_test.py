"""Tests of families/codes/autoregressive.py, with known Markov chains."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from tests.families import calls
from tests.families.codes import markov_chain
from vgen_jax.families.codes import autoregressive
from vgen_jax.models import videogpt

CLIP_SHAPE = (*markov_chain.GRID, 1)
KEY_B = calls.KEY_B


def random_gpt(**kwargs):
  """Returns a GPT with random parameters, and the parameters."""
  fields = dict(num_classes=2, guidance=1.5, positions='rotary') | kwargs
  guidance = fields.pop('guidance')
  net = videogpt.VideoGPT(5, 16, 2, 2, dropout=0.0, **fields)
  model = autoregressive.Autoregressive(
    CLIP_SHAPE, net, num_classes=fields['num_classes'], guidance=guidance
  )
  batch = {
    'codes': np.zeros((1, *markov_chain.GRID), int),
    'label': np.array([0]),
  }
  rngs = {'params': jax.random.key(2), 'noise': jax.random.key(3)}
  rng = np.random.default_rng(0)
  variables = jax.tree.map(
    lambda x: np.float32(0.3 * rng.standard_normal(x.shape)),
    jax.eval_shape(model.init, rngs, batch),
  )
  # Large embeddings, so that outputs depend on the codes.
  variables['params']['transformer']['code']['embedding'] *= 6
  return model, variables


def test_loss_is_the_negative_log_likelihood():
  model = autoregressive.Autoregressive(CLIP_SHAPE, markov_chain.Chain())
  codes = np.zeros((4, *markov_chain.GRID), np.int32)
  codes[1, -1, -1, -1] = 1
  loss, terms = calls.loss(model, {'codes': codes})
  bits = -(4 * np.log2(0.5) + 43 * np.log2(0.8) + np.log2(0.1))
  assert loss == pytest.approx(bits * math.log(2) / 48, rel=1e-5)
  assert terms['bits_per_code'] == pytest.approx(bits / 48, rel=1e-5)
  assert terms['bits_per_frame'] == pytest.approx(bits / 12, rel=1e-5)
  first = -(np.log2(0.5) + 3 * np.log2(0.8))
  assert terms['bits_first_frame'] == pytest.approx(first, rel=1e-5)
  assert terms['accuracy'] == pytest.approx(47 / 48)


def test_true_order_is_more_likely_than_a_shuffled_one():
  model = autoregressive.Autoregressive(CLIP_SHAPE, markov_chain.Chain())
  codes = markov_chain.sampled_codes(200)
  shuffled = np.random.default_rng(0).permuted(codes.reshape(200, -1), axis=1)
  true, _ = calls.loss(model, {'codes': codes})
  false, _ = calls.loss(model, {'codes': shuffled.reshape(codes.shape)})
  assert true < 0.75
  assert false > true + 1


@pytest.mark.parametrize('num_frames', [0, 9])
def test_samples_follow_the_chain(num_frames):
  """Frames beyond the length of a clip follow it, too."""
  model = autoregressive.Autoregressive(
    CLIP_SHAPE, markov_chain.Chain(), num_frames=num_frames
  )
  num = 600
  codes = calls.generate(model, arrays.keys(num, 2))
  assert codes.shape == (num, num_frames or 3, 2, 2)
  assert codes.dtype == jnp.int32
  code_bn = np.asarray(codes).reshape(num, -1)
  first_k = np.bincount(code_bn[:, 0], minlength=3) / num
  np.testing.assert_allclose(first_k, markov_chain.FIRST_K, atol=4 * 0.02)
  pairs_kk = np.zeros((3, 3))
  np.add.at(pairs_kk, (code_bn[:, :-1].ravel(), code_bn[:, 1:].ravel()), 1)
  pairs_kk /= pairs_kk.sum(1, keepdims=True)
  np.testing.assert_allclose(pairs_kk, markov_chain.NEXT_KK, atol=0.05)
  assert (pairs_kk[markov_chain.NEXT_KK == 0] == 0).all()


def test_known_codes_are_kept_and_condition_later_ones():
  """The first generated code follows the last known one."""
  num = 400
  known_codes = np.tile(markov_chain.sampled_codes(1), (num, 1, 1, 1))
  known_codes[:, 1, 0, 0] = 1
  known = np.zeros((num, *markov_chain.GRID), bool)
  known[:, 0] = known[:, 1, 0, 0] = known[:, 2, 1, 1] = True
  model = autoregressive.Autoregressive(CLIP_SHAPE, markov_chain.Chain())
  condition = {'known_codes': known_codes, 'known': known}
  key_b = arrays.keys(num, 3)
  codes = np.asarray(calls.generate(model, key_b, condition))
  np.testing.assert_array_equal(codes[known], known_codes[known])
  next_k = np.bincount(codes[:, 1, 0, 1], minlength=3) / num
  np.testing.assert_allclose(next_k, markov_chain.NEXT_KK[1], atol=4 * 0.025)


def test_clips_do_not_depend_on_the_rest_of_the_batch():
  model, variables = random_gpt()
  label_b = np.array([0, 1, 2, 0, 1, 2])
  whole = calls.generate(model, KEY_B, {'label': label_b}, variables)
  some = np.array([4, 1])
  key_b = arrays.take_keys(KEY_B, some)
  part = calls.generate(model, key_b, {'label': label_b[some]}, variables)
  np.testing.assert_array_equal(part, whole[some])
  assert (whole[4] != whole[1]).any()
  others = calls.generate(model, KEY_B, {'label': label_b[::-1]}, variables)
  assert (others != whole).any()


@pytest.mark.parametrize('positions', ['absolute', 'rotary'])
def test_cached_greedy_sampling_equals_full_passes(positions):
  """Tested with guidance and, for rotary positions, beyond the window."""
  model, variables = random_gpt(positions=positions, guidance=2.5)
  frames = 5 if positions == 'rotary' else 3
  model = model.clone(temperature=0.0, num_frames=frames)
  label_b = jnp.array([0, 1, 0, 1, 0, 1])
  codes = calls.generate(
    model, condition={'label': label_b}, variables=variables
  )

  @compiled.jit
  def guided(codes):
    logits_of = lambda label_b: model.transformer.apply(
      {'params': variables['params']['transformer']},
      codes,
      {'label': label_b},
      train=False,
      window=12,
    )
    null = logits_of(jnp.full(6, 2))
    return null + 2.5 * (logits_of(label_b) - null), logits_of(label_b)

  logits, unguided = guided(codes)
  np.testing.assert_array_equal(logits.argmax(-1), codes)
  assert (unguided.argmax(-1) != codes).any()
  assert len(np.unique(codes)) > 1


def test_guidance_follows_its_formula():
  """A label adds 2 to a logit; with guidance 3 it adds 6."""
  model = autoregressive.Autoregressive(
    CLIP_SHAPE, markov_chain.Chain(), num_classes=3, guidance=3.0
  )
  num = 800
  key_b = arrays.keys(num, 4)
  codes = calls.generate(model, key_b, {'label': np.ones(num, int)})
  weight_k = markov_chain.FIRST_K * np.exp([0, 6, 0])
  fraction_k = np.bincount(codes[:, 0, 0, 0], minlength=3) / num
  np.testing.assert_allclose(fraction_k, weight_k / weight_k.sum(), atol=0.01)
  free = (
    np.bincount(calls.generate(model, key_b)[:, 0, 0, 0], minlength=3) / num
  )
  np.testing.assert_allclose(free, markov_chain.FIRST_K, atol=0.08)


def test_the_null_condition_masks_text_that_has_no_mask():
  model = autoregressive.Autoregressive(
    CLIP_SHAPE, markov_chain.Chain(), vocab_size=5, guidance=2.0
  )
  pairs = compiled.call(model.guidance_pairs, {'text': np.ones((2, 3), int)})
  expected = [[True] * 3, [False] * 3] * 2
  np.testing.assert_array_equal(pairs['text_mask'], expected)


def test_labels_are_dropped_in_training_only():
  """Label 1 makes code 1 more likely, so the loss shows if it was given."""
  codes = np.ones((2000, *markov_chain.GRID), int)
  batch = {'codes': codes, 'label': np.ones(2000, int)}
  losses = [
    float(calls.loss(model, batch, train=train)[0])
    for model in (
      autoregressive.Autoregressive(
        CLIP_SHAPE, markov_chain.Chain(), num_classes=3, class_dropout=p
      )
      for p in (0.0, 0.25, 1.0)
    )
    for train in (True, False)
  ]
  labelled, unlabelled = losses[1], losses[4]
  assert losses[0] == labelled
  assert losses[3] == losses[5] == labelled < unlabelled
  fraction = (losses[2] - labelled) / (unlabelled - labelled)
  assert fraction == pytest.approx(0.25, abs=4 * 0.01)


def test_bfloat16_sampling_equals_full_passes():
  """Kernels are cast once, before the loop, to the same numbers."""
  model, variables = random_gpt()
  net = model.transformer.clone(dtype='bfloat16')
  model = model.clone(transformer=net, guidance=1.0, temperature=0.0)
  codes = calls.generate(model, variables=variables)
  logits = compiled.jit(lambda v, c: net.apply(v, c, {}, train=False))(
    {'params': variables['params']['transformer']}, codes
  )
  top, second = np.sort(np.asarray(logits), -1)[..., [-1, -2]].T
  agrees = np.asarray(logits.argmax(-1) == codes).T
  assert agrees[top - second > 0.1].all()  # Except for ties in bfloat16.


@pytest.mark.parametrize(
  ('fields', 'match'),
  [
    (dict(guidance=2.0), 'model.guidance is 2.0, but guidance needs'),
    (dict(top_p=1.5), r'model.top_p is 1.5; it must be from 0 to 1'),
    (dict(temperature=-1.0), 'model.temperature is -1.0'),
    (dict(window=-1), 'model.window is -1; it must be at least 0'),
  ],
)
def test_wrong_fields(fields, match):
  with pytest.raises(ValueError, match=match):
    autoregressive.Autoregressive(CLIP_SHAPE, markov_chain.Chain(), **fields)


def test_wrong_batches_and_conditions():
  model = autoregressive.Autoregressive(CLIP_SHAPE, markov_chain.Chain())
  codes = np.zeros((2, *markov_chain.GRID), int)
  key_b = arrays.keys(2)
  with pytest.raises(ValueError, match="no 'codes', on which Autoregressive"):
    calls.loss(model, {'video': codes, 'codes_': codes, 'position': codes})
  message = r'\(2, 2, 2, 2\); this Autoregressive .* shape \(b, 3, 2, 2\)'
  with pytest.raises(ValueError, match=message):
    calls.loss(model, {'codes': codes[:, :2]})
  with pytest.raises(
    ValueError, match=r"condition\['known'\] is missing; partly"
  ):
    calls.generate(model, key_b, {'known_codes': codes})
  with pytest.raises(ValueError, match=r"condition\['label'\] is given"):
    calls.generate(model, key_b, {'label': np.zeros(2, int)})
  with pytest.raises(ValueError, match=r"The batch has no \['label'\], but"):
    calls.loss(model.clone(num_classes=3), {'codes': codes})
  without_dropout = model.clone(num_classes=3, class_dropout=0.0)
  with pytest.raises(ValueError, match=r"none of \['label'\], but model.class"):
    calls.generate(without_dropout, key_b, {})
