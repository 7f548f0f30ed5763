"""Tests of families/translation/video_to_video.py."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from tests.families.translation import tiny
from vgen_jax.families.translation import losses
from vgen_jax.families.translation import video_to_video
from vgen_jax.nn import warp

N = 1  # Frames that are given.
WEIGHTS = (
  'feature_weight', 'flow_weight', 'consistency_weight', 'mask_weight',
  'error_weight',
)  # fmt: skip
NONE = dict.fromkeys(WEIGHTS, 0.0)


@pytest.fixture(scope='module')
def params():
  return tiny.variables(tiny.model())['params']


def frames(net, params, batch=tiny.BATCH):
  return compiled.apply(
    net, {'params': params}, batch, batch['video'], method='frames'
  )


def test_players_are_the_critics_and_the_generator():
  assert tiny.model().players == ('critic_image', 'critic_video', 'generator')
  no_video = tiny.model(critic={'image': tiny.Critic()})
  assert no_video.players == ('critic_image', 'generator')


def test_the_generators_loss_adds_up(params):
  weights = dict(zip(WEIGHTS, (2.0, 3.0, 5.0, 7.0, 11.0), strict=True))
  perceptual = lambda one, other: 4 * jnp.abs(one - other).mean((1, 2, 3, 4))
  net = tiny.model(
    loss_kind='hinge',
    perceptual=perceptual,
    perceptual_weight=13.0,
    **weights,
  )
  loss, terms = tiny.loss(net, params)
  expected = (
    terms['adversarial_image'] + terms['adversarial_video']
    + 2 * (terms['features_image'] + terms['features_video'])
    + 3 * (terms['flow'] + terms['warp'])
    + 5 * terms['consistency'] + 7 * terms['mask'] + 11 * terms['error']
    + 13 * terms['perceptual']
  )  # fmt: skip
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
  out = frames(net, params)
  error = np.abs(out.frame_bhwc - tiny.VIDEO[:, N:]).mean()
  np.testing.assert_allclose(terms['error'], error, rtol=1e-5)
  np.testing.assert_allclose(terms['perceptual'], 4 * error, rtol=1e-5)
  before = tiny.VIDEO[:, N - 1 : -1]
  counts = compiled.call(
    losses.matches, before, tiny.VIDEO[:, N:], tiny.FLOW[:, N:]
  )
  assert 0 < counts.mean() < 1
  flow = np.full(tiny.FLOW[:, N:].shape, 0.5, np.float32)
  flow_error = compiled.call(losses.flow_error, flow, tiny.FLOW[:, N:], counts)
  np.testing.assert_allclose(terms['flow'], flow_error, rtol=1e-5)
  fake = np.concatenate([tiny.VIDEO[:, :N], out.frame_bhwc], axis=1)
  moved = compiled.call(warp.backward, fake[:, :-1], tiny.FLOW[:, 1:])
  consistency = np.abs(moved - fake[:, 1:]).mean(-1)[counts].mean()
  np.testing.assert_allclose(terms['consistency'], consistency, rtol=1e-4)


def test_classes_count_equally_in_errors_of_pixels_and_masks():
  """One pixel of class 2 counts as much as all others."""
  translator = tiny.Translator(tiny.SHAPE, moves_reference=True)
  layout = arrays.put(np.zeros_like(tiny.LAYOUT), (0, 3, 2, 2), 2)
  batch = tiny.BATCH | {'layout': layout}
  build_model = functools.partial(tiny.model, translator, flow_source='none')
  plain = build_model()
  params = tiny.variables(plain)['params']
  out = frames(plain, params, batch)
  error = np.abs(out.frame_bhwc - tiny.VIDEO[:, N:])[..., 0]
  one = layout[:, N:] == 2
  _, terms = tiny.loss(plain, params, batch=batch)
  np.testing.assert_allclose(terms['error'], error.mean(), rtol=1e-5)
  _, balanced = tiny.loss(build_model(class_balance=True), params, batch=batch)
  # The given first frame belongs to the clip, so its pixels are counted, too.
  share = (layout == 0).sum() / (layout[:, N:] == 0).sum()
  expected = (error[one].mean() * share + error[~one].mean()) / (share + 1)
  np.testing.assert_allclose(balanced['error'], expected, rtol=1e-5)
  for name in ('warp', 'mask', 'reference_warp', 'reference_mask'):
    assert abs(balanced[name] - terms[name]) > 1e-4, name


def test_each_critic_is_given_its_own_clips(params):
  """The logits of this critic are its inputs."""
  critic = {'image': tiny.Recorder(), 'video': tiny.Recorder()}
  net = tiny.model(critic=critic, loss_kind='wasserstein')
  params = {
    'generator': params['generator'],
    **{f'critic_{name}': {'weight': np.ones(())} for name in critic},
  }
  out = frames(net, params)
  for name, real, fake in (
    ('video', tiny.VIDEO, [tiny.VIDEO[:, :N], out.frame_bhwc]),
    ('image', tiny.VIDEO[:, N:], [out.frame_bhwc, out.new_bhwc]),
  ):
    loss, terms = tiny.loss(net, params, f'critic_{name}')
    fake = np.concatenate(fake, axis=1)
    np.testing.assert_allclose(terms['real_logit'], real.mean(), atol=1e-6)
    np.testing.assert_allclose(terms['fake_logit'], fake.mean(), atol=1e-6)
    np.testing.assert_allclose(loss, fake.mean() - real.mean(), atol=1e-6)


def leaves_with_gradient(params, weights, outputs):
  """Returns the parts of the generator with gradients of each output."""
  net = tiny.model(**NONE | weights)
  zero = {**params}
  for name in ('critic_image', 'critic_video'):  # No adversarial gradient.
    zero[name] = jax.tree.map(np.zeros_like, params[name])
  numbers = lambda params: jnp.stack(outputs(*tiny.loss(net, params)))
  jacobian = compiled.jit(jax.jacrev(numbers))(zero)['generator']
  return [
    {name for name, x in jacobian.items() if np.abs(x[i]).max() > 1e-7}
    for i in range(len(jacobian['flow']))
  ]


def test_gradients_reach_the_parts_that_they_should(params):
  everything = {'new', 'layout', 'previous', 'flow', 'mask'}
  assert leaves_with_gradient(params, {}, lambda loss, _: [loss]) == [set()]
  weights = dict.fromkeys(WEIGHTS[1:], 1.0)
  # The loss is the sum of these terms: test_the_generators_loss_adds_up.
  terms_of = lambda loss, terms: [
    terms['flow'] + terms['warp'],
    *(terms[name] for name in ('mask', 'error', 'consistency')),
    loss,
  ]
  assert leaves_with_gradient(params, weights, terms_of) == [
    {'flow'}, {'mask'}, everything, everything, everything,
  ]  # fmt: skip


def test_features_of_equal_clips_have_no_distance(params):
  """A generator that returns the real frames has no error in any term."""

  class Oracle(tiny.Translator):
    def __call__(self, window, encoded, *, train):
      out = super().__call__(window, encoded, train=train)
      index = window.layout_blhw[:, -1, 0, 0]  # Number of the frame.
      real = jnp.asarray(encoded)[jnp.arange(tiny.B), index]
      return out._replace(frame_bhwc=real, new_bhwc=real)

    def encode(self, condition, *, train):
      return tiny.VIDEO

  number_t = np.arange(tiny.SHAPE[0])[None, :, None, None]
  batch = tiny.BATCH | {'layout': number_t + 0 * tiny.LAYOUT}
  net = tiny.model(Oracle(tiny.SHAPE))
  _, terms = tiny.loss(net, params, batch=batch)
  for name in ('features_image', 'features_video', 'error'):
    np.testing.assert_allclose(terms[name], 0, atol=1e-6)
  _, terms = tiny.loss(tiny.model(), params, batch=batch)
  for name in ('features_image', 'features_video', 'error'):
    assert terms[name] > 0.01


def test_without_a_reference_flow_none_is_compared(params):
  batch = {k: x for k, x in tiny.BATCH.items() if k != 'flow'}
  net = tiny.model(flow_source='none')
  _, terms = tiny.loss(net, params, batch=batch)
  assert 'warp' in terms
  assert not {'flow', 'consistency'} & terms.keys()
  assert net.batch_keys == ('video', 'layout')
  assert tiny.model().batch_keys == ('video', 'layout', 'flow')
  _, terms = tiny.loss(tiny.model(flow_source='matching'), params, batch=batch)
  assert {'flow', 'consistency'} <= terms.keys()
  with pytest.raises(ValueError, match=r"no 'flow'.*'matching'"):
    tiny.loss(tiny.model(), params, batch=batch)


def test_moved_pixels_of_references_are_compared():
  net = tiny.model(tiny.Translator(tiny.SHAPE, moves_reference=True))
  params = tiny.variables(net)['params']
  _, terms = tiny.loss(net, params)
  out = frames(net, params)
  error = np.abs(0.5 * out.frame_bhwc - tiny.VIDEO[:, N:]).mean()
  np.testing.assert_allclose(terms['reference_warp'], error, rtol=1e-5)
  assert terms['reference_mask'] > 0


def sample(net, params, **condition):
  key_b = arrays.keys(tiny.B)
  return compiled.apply(
    net, {'params': params}, key_b, condition, method='sample'
  )


def test_sampling_is_autoregressive(params):
  net = tiny.model()
  known = np.zeros((*tiny.VIDEO.shape[:4], 1), bool)
  known[:, :N] = True
  video = sample(
    net, params, layout=tiny.LAYOUT, known_video=tiny.VIDEO, known=known
  )
  assert (video[:, :N] == tiny.VIDEO[:, :N]).all()
  out = frames(net, params)
  np.testing.assert_allclose(video[:, N:], out.frame_bhwc, atol=1e-6)
  # Clips may be longer than those of the training.
  longer = np.tile(tiny.LAYOUT, (1, 3, 1, 1))
  long_video = sample(net, params, layout=longer, known_video=tiny.VIDEO)
  assert long_video.shape[1] == 15
  np.testing.assert_allclose(long_video[:, :5], video, atol=1e-6)


def test_without_given_frames_the_first_one_has_no_moved_pixels(params):
  net = tiny.model(num_context=0)
  assert net.condition_keys == ('layout',)
  video = sample(net, params, layout=tiny.LAYOUT)
  assert video.shape == tiny.VIDEO.shape
  out = frames(net, params)
  np.testing.assert_array_equal(out.frame_bhwc[:, 0], out.new_bhwc[:, 0])
  _, terms = tiny.loss(net, params)
  # Flow and masks are compared in frames that have a previous one.
  masks = out.previous.mask_bhw[:, 1:]
  flow, ones = out.previous.flow_bhwx[:, 1:], np.ones_like(masks)
  moved = compiled.call(warp.backward, tiny.VIDEO[:, :-1], flow)
  expected = compiled.call(
    losses.mask_error, masks, moved, tiny.VIDEO[:, 1:], ones
  )
  np.testing.assert_allclose(terms['mask'], expected, rtol=1e-5)


def test_restarts_are_for_training_only(params):
  """Their period doubles with the number of steps."""
  net = tiny.model(segment_length=1, doubling_steps=10)
  plain, _ = tiny.loss(tiny.model(), params)
  at = lambda step: tiny.BATCH | {'step': np.full(tiny.B, step)}
  assert tiny.loss(net, params)[0] == plain
  assert tiny.loss(net, params, train=True)[0] != plain
  assert tiny.loss(net, params, batch=at(30), train=True)[0] == plain


@pytest.mark.parametrize(
  ('fields', 'match'),
  [
    ({'loss_kind': 'relativistic'}, 'compares pairs'),
    ({'loss_kind': 'hinges'}, 'hinge'),
    ({'flow_source': 'flownet'}, 'flownet'),
    ({'num_context': 5}, 'num_context'),
    ({'mask_weight': -1.0}, 'mask_weight'),
    ({'doubling_steps': 3}, 'segment_length'),
    ({'critic': {'frames': tiny.Critic()}}, 'frames'),
  ],
)
def test_wrong_fields(fields, match):
  with pytest.raises(ValueError, match=match):
    tiny.model(**fields)


def test_missing_conditions(params):
  net = tiny.model()
  with pytest.raises(ValueError, match="no 'known_video'"):
    sample(net, params, layout=tiny.LAYOUT)
  with pytest.raises(ValueError, match="no 'layout'"):
    sample(net, params, known_video=tiny.VIDEO)
  with pytest.raises(ValueError, match='layout needs 2 frames or more'):
    sample(net, params, layout=tiny.LAYOUT[:, :1], known_video=tiny.VIDEO)
  with pytest.raises(ValueError, match='same height and width'):
    sample(net, params, layout=tiny.LAYOUT[:, :, 1:], known_video=tiny.VIDEO)
  known = np.ones((*tiny.VIDEO[:, :3].shape[:4], 1), bool)
  three = {'known_video': tiny.VIDEO[:, :3], 'known': known}
  with pytest.raises(ValueError, match='known_video has 3 frames and the lay'):
    sample(net, params, layout=tiny.LAYOUT, **three)
  with pytest.raises(ValueError, match='num_segments of Translator is 0'):
    tiny.Translator(tiny.SHAPE, num_segments=0)
  assert video_to_video.CRITICS == ('image', 'video')
