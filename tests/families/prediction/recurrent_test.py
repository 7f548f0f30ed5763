"""Tests of families/prediction/recurrent.py."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.families.prediction import recurrent
from vgen_jax.models import convlstm
from vgen_jax.models import rnn
from vgen_jax.nn.convolution import recurrent as predictors

NETWORKS = {
  'convlstm': convlstm.ConvLSTM((3,), 3),
  'convgru': convlstm.ConvLSTM((3, 2), 3, cell='gru', norm=False),
  'lstm': rnn.RNN(8, features=4),
  'gru': rnn.RNN(8, num_layers=2, cell='gru', features=4),
}
SHAPE = (5, 8, 8, 1)
KEY_B = arrays.keys(3, 1)


class Mover(predictors.Predictor):
  """Predicts that pixels keep changing at the same rate."""

  def initial_carry(self, shape_bhw):
    return jnp.zeros((*shape_bhw, 1)), jnp.zeros(shape_bhw[0])

  @nn.compact
  def __call__(self, carry, frame, action=None, *, num_outputs, train=False):
    self.param('unused', nn.initializers.zeros_init(), ())
    last, count_b = carry
    moves = (frame - last) * (count_b > 0)[:, None, None, None]
    if action is not None:
      moves = action[:, :1, None, None]
    return (frame, count_b + 1), frame + moves


def ramps(num_clips: int) -> np.ndarray:
  """Returns clips whose pixels change linearly."""
  rng = np.random.default_rng(0)
  first, slope = rng.uniform(-0.2, 0.2, (2, num_clips, 1, 8, 8, 1))
  number_1t111 = np.arange(5)[None, :, None, None, None]
  return np.float32(first + slope * number_1t111 / 2)


def applied(model, video, seed=0, method='loss', train=False, **extra):
  batch = {'video': video, **extra}
  rngs = {'noise': jax.random.key(seed)}
  variables = compiled.init(model, rngs | {'params': jax.random.key(0)}, batch)
  if method == 'loss':
    return compiled.apply(
      model, variables, batch, player='predictor', train=train, rngs=rngs,
      method='loss',
    )  # fmt: skip
  return functools.partial(compiled.apply, model, variables, method=method)


def test_mse_of_the_exact_predictor():
  model = recurrent.Recurrent(SHAPE, Mover(), sigma=0.1)
  _, terms = applied(model, ramps(3)[:, 1:])
  # The first change cannot be predicted, but all others are.
  moves = np.square(np.diff(ramps(3)[:, 1:3], axis=1)).sum() / (3 * 3 * 64)
  np.testing.assert_allclose(terms['mse'], moves, rtol=1e-4)


def test_nats_equal_those_of_scipy():
  from scipy import stats

  video = ramps(3)
  nats, terms = applied(recurrent.Recurrent(SHAPE, Mover(), sigma=0.3), video)
  known = stats.norm.logpdf(
    np.diff(video, axis=1)[:, 1:] - np.diff(video, axis=1)[:, :-1], scale=0.3
  )
  first = stats.norm.logpdf(np.diff(video, axis=1)[:, :1], scale=0.3)
  expected = -np.concatenate([first, known], 1).mean()
  np.testing.assert_allclose(nats, expected, rtol=1e-5)
  np.testing.assert_allclose(terms['nats_per_frame'], expected * 64, rtol=1e-5)


def test_predictions_continue_the_known_frames():
  model = recurrent.Recurrent(SHAPE, Mover())
  sample = applied(model, ramps(3), method='sample')
  video = ramps(3)
  # Real frames after the context.
  hidden = arrays.put(video, np.s_[:, 2:], 7.0)
  np.testing.assert_allclose(
    sample(KEY_B, {'known_video': hidden}), video, atol=1e-5
  )
  known = arrays.put(np.ones((3, 5, 8, 8, 1), bool), np.s_[:, 3:], False)
  odd = arrays.put(video, np.s_[:, 2], 0.5)
  generated = sample(KEY_B, {'known_video': odd, 'known': known})
  np.testing.assert_array_equal(generated[:, :3], odd[:, :3])  # Exactly.
  np.testing.assert_allclose(
    generated[:, 3], np.clip(2 * odd[:, 2] - odd[:, 1], -1, 1), atol=1e-5
  )


def test_pixels_known_later_are_kept_but_are_not_inputs():
  model = recurrent.Recurrent(SHAPE, Mover())
  sample = applied(model, ramps(3), method='sample')
  known = arrays.put(np.zeros((3, 5, 8, 8, 1), bool), np.s_[:, :2], True)
  free = sample(KEY_B, {'known_video': ramps(3), 'known': known})
  video = arrays.put(ramps(3), np.s_[:, 3, :, 4:], 0.75)
  known = arrays.put(known, np.s_[:, 3, :, 4:], True)
  generated = sample(KEY_B, {'known_video': video, 'known': known})
  np.testing.assert_array_equal(generated, np.where(known, video, free))


def test_a_mask_of_channels_is_an_error():
  video = ramps(3).repeat(3, axis=-1)
  model = recurrent.Recurrent((5, 8, 8, 3), NETWORKS['lstm'])
  sample = applied(model, video, method='sample')
  mask = np.ones((3, 5, 8, 8, 1), bool)
  kept = sample(KEY_B, {'known_video': video, 'known': mask})
  np.testing.assert_array_equal(kept, video)
  with pytest.raises(ValueError, match=r'it must be \(3, 5, 8, 8, 1\)'):
    sample(KEY_B, {'known_video': video, 'known': mask.repeat(3, -1)})


def test_actions_determine_the_next_frame():
  model = recurrent.Recurrent(SHAPE, Mover(), num_context=1, action_width=2)
  action = arrays.uniform((3, 5, 2), 2) / 10
  right = action[:, :, :1, None, None]
  video = np.cumsum(right, axis=1) - right
  video = np.tile(video, (1, 1, 8, 8, 1))
  _, terms = applied(model, video, action=action)
  assert terms['mse'] < 1e-10
  sample = applied(model, video, method='sample', action=action)
  first = arrays.put(video, np.s_[:, 1:], 0)
  condition = {'known_video': first, 'action': action}
  np.testing.assert_allclose(sample(KEY_B, condition), video, atol=1e-6)
  shuffled = condition | {'action': action[:, ::-1]}
  assert np.abs(sample(KEY_B, shuffled) - video).max() > 0.01
  with pytest.raises(ValueError, match="no 'action'"):
    sample(KEY_B, {'known_video': video})


@pytest.mark.parametrize('network', NETWORKS)
def test_predictions_depend_on_the_past_and_not_on_the_future(network):
  """The same last frame has another prediction after another past."""
  model = recurrent.Recurrent(SHAPE, NETWORKS[network], num_context=3)
  sample = applied(model, ramps(3), method='sample')
  video = np.float32(np.random.default_rng(3).uniform(-1, 1, (3, *SHAPE)))
  past, future = video.copy(), video.copy()
  past[:, 0] *= -1
  future[:, 3:] *= -1
  one, other_past, other_future = (
    sample(KEY_B, {'known_video': x}) for x in (video, past, future)
  )
  assert np.abs(one - other_past)[:, 3:].max() > 1e-4
  np.testing.assert_array_equal(one, other_future)


@pytest.mark.parametrize('likelihood', recurrent.LIKELIHOODS)
def test_clips_do_not_depend_on_the_rest_of_the_batch(likelihood):
  model = recurrent.Recurrent(
    SHAPE, NETWORKS['convlstm'], likelihood=likelihood, temperature=1.0
  )
  sample = applied(model, ramps(3), method='sample')
  three = sample(KEY_B, {'known_video': ramps(3)})
  key_b = arrays.take_keys(KEY_B, np.s_[1:2])
  one = sample(key_b, {'known_video': ramps(3)[1:2]})
  np.testing.assert_allclose(three[1:2], one, atol=1e-5)
  key_b = arrays.take_keys(KEY_B, np.s_[::-1])
  other = sample(key_b, {'known_video': ramps(3)})
  assert np.abs(three - other)[0, 2:].max() > 0.01


def test_scheduled_sampling_uses_generated_frames_in_later_steps():
  model = recurrent.Recurrent(SHAPE, Mover(), scheduled_sampling=10.0)
  video = ramps(8)
  video[:, 3] += 0.3  # An unpredictable frame.
  at = lambda step, model=model: applied(
    model, video, train=True, step=np.full(8, step, np.int32)
  )[1]['mse']
  teacher = applied(model, video)[1]['mse']
  np.testing.assert_allclose(at(0), teacher, rtol=0.6)
  assert at(1000) < 0.6 * teacher
  context = at(1000, model.clone(num_context=4))  # All frames but the last.
  np.testing.assert_allclose(context, teacher, rtol=1e-5)


class Forgetful(predictors.Predictor):
  """A wrong predictor: its input is the last frame only."""

  network: nn.Module

  def initial_carry(self, shape_bhw):
    return self.network.initial_carry(shape_bhw)

  def __call__(self, carry, frame, action=None, **kwargs):
    return carry, self.network(carry, frame, action, **kwargs)[1]


def chain(seed: int, *sizes: int, num_frames: int = 9) -> np.ndarray:
  """Returns clips `[*sizes, t, 1, 1, 1]` of 4 levels that mostly continue."""
  rng = np.random.default_rng(seed)
  before, now = rng.integers(0, 4, (2, *sizes))
  levels = []
  for _ in range(num_frames):
    levels.append(now)
    kind = rng.choice(4, sizes, p=[0.85, 0.05, 0.05, 0.05])
    before, now = now, (2 * now - before + kind) % 4
  level = np.stack(levels, axis=-1)
  return np.float32(level * 2.0 / 3 - 1)[..., None, None, None]


@pytest.mark.parametrize('forgets', [False, True])
def test_bits_reach_the_entropy_of_a_markov_chain(forgets):
  """Within 5 %; a network without memory does not reach it."""
  network = convlstm.ConvLSTM((32,), 1, patch=1, cell='gru', norm=False)
  network = Forgetful(network) if forgets else network
  model = recurrent.Recurrent(
    (9, 1, 1, 1), network, likelihood='levels', num_levels=4
  )
  rngs = {'noise': jax.random.key(0), 'params': jax.random.key(1)}
  optimizer = optax.adam(optax.cosine_decay_schedule(0.02, 600))

  def bits(params, video):
    _, terms = model.apply(
      {'params': params}, {'video': video}, player='predictor', train=False,
      rngs=rngs, method='loss',
    )  # fmt: skip
    return terms['bits_per_frame']

  @compiled.jit
  def train(params, videos, test_video):
    def step(state, video):
      params, opt = state
      updates, opt = optimizer.update(jax.grad(bits)(params, video), opt)
      return (optax.apply_updates(params, updates), opt), None

    state = params, optimizer.init(params)
    (params, _), _ = jax.lax.scan(step, state, videos)
    return bits(params, test_video)

  batch = {'video': chain(0, 2)}
  params = compiled.init(model, rngs, batch)['params']
  share = np.array([0.85, 0.05, 0.05, 0.05])
  rate = -(share * np.log2(share)).sum()
  entropy = (2 + 7 * rate) / 8  # The first change is uniform.
  found = train(params, chain(2, 600, 64), chain(3, 1024))
  assert found > 0.99 * entropy
  assert (found < 1.05 * entropy) != forgets, (found, entropy)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    (dict(likelihood='laplace'), "'laplace'; it must be one of"),
    (dict(likelihood='levels', residual=True), 'residual is True'),
    (dict(num_context=5), 'num_context is 5; it must be 1 or more'),
    (dict(sigma=0.0), 'sigma is 0.0'),
    (dict(scheduled_sampling=-1.0), 'scheduled_sampling is -1.0'),
  ],
)
def test_wrong_fields(fields, message):
  with pytest.raises(ValueError, match=message):
    recurrent.Recurrent(SHAPE, Mover(), **fields)


def test_known_frames_are_required():
  sample = applied(
    recurrent.Recurrent(SHAPE, Mover()), ramps(3), method='sample'
  )
  with pytest.raises(ValueError, match='needs the first frames'):
    sample(KEY_B, {})
  with pytest.raises(ValueError, match='known_video has 1 frame; a prediction'):
    sample(KEY_B, {'known_video': ramps(3)[:, :1]})


@pytest.mark.parametrize('shape', [(2, 2, 2), (1, 5, 2), (3, 5, 3), (3, 4, 2)])
def test_actions_of_a_wrong_shape_are_errors(shape):
  model = recurrent.Recurrent(SHAPE, Mover(), num_context=1, action_width=2)
  with pytest.raises(ValueError, match=r"'action' has .* need \(3, 5, 2\)"):
    applied(model, ramps(3), action=np.zeros(shape))


@pytest.mark.parametrize(
  ('network', 'message'),
  [
    (convlstm.ConvLSTM(patch=3), 'patch size, 3 x 3'),
    (convlstm.ConvLSTM(cell='rnn'), "cell is 'rnn'"),
    (rnn.RNN(patch=3), 'patch size, 6 x 6'),
    (rnn.RNN(cell='rnn'), "cell is 'rnn'"),
  ],
)
def test_wrong_networks(network, message):
  with pytest.raises(ValueError, match=message):
    applied(recurrent.Recurrent(SHAPE, network), ramps(3))
