"""Tests of further objectives and conditions of gan.py."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from tests.families.adversarial import players
from vgen_jax.models import conv_critic
from vgen_jax.models import magvit_vqgan
from vgen_jax.models import mocogan
from vgen_jax.models import vid2vid_critic


def test_relativistic_generator_is_compared_with_real_clips():
  batch = players.batch_of([0.1, 0.3])  # Real logits 0.2 and 0.6; generated: 1.
  model = players.make(loss_kind='relativistic')
  loss, terms, _, _ = players.run(model, batch, 'critic_clip')
  assert loss == pytest.approx(
    (players.softplus(0.8) + players.softplus(0.4)) / 2
  )
  assert terms['gap'] == pytest.approx(0.4 - 1)
  loss, _, grads, _ = players.run(model, batch, 'generator')
  assert loss == pytest.approx(
    (players.softplus(-0.8) + players.softplus(-0.4)) / 2
  )
  assert grads['generator']['grey'] < 0
  with pytest.raises(ValueError, match=r'set model\.fake_labels'):
    players.make(loss_kind='relativistic', num_classes=4, fake_labels='uniform')
  with pytest.raises(ValueError, match="class_source 'generated'"):
    players.make(
      loss_kind='relativistic', num_classes=4, class_source='generated'
    )


@pytest.mark.parametrize(
  'critic',
  [
    {'clip': conv_critic.ConvCritic(num_classes=4)},
    {'clip': conv_critic.ConvCritic(conditioning='projection')},
    {'image': mocogan.ImageCritic(), 'video': mocogan.VideoCritic()},
    {'video': magvit_vqgan.Critic()},
    {'video': vid2vid_critic.Critic()},
  ],
)
def test_labels_that_no_critic_sees_are_an_error(critic):
  with pytest.raises(ValueError, match='num_classes is 4, but no critic') as e:
    players.make(critic, num_classes=4)
  for network in critic.values():
    assert f'is {type(network).__name__}' in str(e.value)
  assert players.make(critic)
  assert players.make(critic, num_classes=4, reconstruction_weight=1.0)


@pytest.mark.parametrize(
  'critic',
  [
    conv_critic.ConvCritic(num_classes=4, conditioning='concat'),
    conv_critic.ConvCritic(num_classes=4, conditioning='classes'),
    mocogan.VideoCritic(num_classes=4),
    players.Slope(),  # It does not state whether it uses labels.
  ],
)
def test_one_critic_that_sees_labels_is_enough(critic):
  blind = mocogan.ImageCritic()
  assert players.make({'image': blind, 'video': critic}, num_classes=4)


def test_r1_and_r2_are_added():
  batch = players.batch_of([0.1, 0.3])
  value = lambda kind: players.run(
    players.make({'clip': players.Squared()}, penalty_kind=kind),
    batch,
    'critic_clip',
  )[1]['penalty']
  assert value('r1') > 0
  assert value('r2') > value('r1')  # Generated clips are brighter.
  assert value('r1+r2') == pytest.approx(float(value('r1') + value('r2')))


def test_classes_that_only_the_generator_is_given():
  """The critic learns to classify generated clips; the data has no labels."""
  model = players.make(
    {'clip': players.Reader()},
    num_classes=4,
    generator=players.Constant(start=0.0),
    loss_kind='wasserstein',
    class_source='generated',
  )
  _, terms, _, _ = players.run(
    model, players.batch_of(np.full(40, 0.9)), 'critic_clip'
  )
  assert terms['class_accuracy'] == 1
  assert terms['real_logit'] == 0  # Real clips have no label.
  assert 1 < terms['fake_logit'] < 2  # Generated ones have random labels.
  # On real clips the classifier would be wrong.
  labels = np.ones(40, jnp.int32)
  model = model.clone(class_source='real')
  batch = players.batch_of(np.full(40, 0.9), label=labels)
  _, terms, _, _ = players.run(model, batch, 'critic_clip')
  assert terms['class_accuracy'] == 0


def test_known_frames_condition_the_generator():
  model = players.make(
    generator=players.Continued(), num_context=1, context_weight=10.0
  )
  assert model.condition_keys == ('known_video', 'known')
  assert model.num_known == 1
  assert model.supported_tasks == ('generate', 'predict')
  video = players.batch_of([0.1, 0.3])['video'].at[:, 1:].set(9.0)
  loss, terms, _, _ = players.run(model, {'video': video}, 'generator')
  # The generator adds 0.5 to the first frame that it is given, and sees no
  # other frame.
  assert terms['context'] == pytest.approx(0.5)
  assert terms['shift'] == pytest.approx(0.25)
  adversarial = (players.softplus(-1.2) + players.softplus(-1.6)) / 2
  assert loss == pytest.approx(adversarial + 10 * 0.5 + 0.25)
  _, critic_terms, _, _ = players.run(model, {'video': video}, 'critic_clip')
  assert 'context' not in critic_terms

  params = {'params': {'generator': {'shift': np.array(0.5)}}}
  known = np.zeros((2, *players.SHAPE[:3], 1), bool)
  known[:, 0] = True
  keys = arrays.keys(2, 1)
  condition = {'known_video': video, 'known': known}
  clips = compiled.apply(model, params, keys, condition, method='sample')
  np.testing.assert_allclose(clips[:, 0, 0, 0, 0], [0.1, 0.3])
  np.testing.assert_allclose(clips[:, 1, 0, 0, 0], [0.6, 0.8])
  with pytest.raises(ValueError, match="no 'known_video'"):
    compiled.apply(model, params, keys, {}, method='sample')


def test_audio_conditions_a_generator_that_has_its_size():
  model = players.make(generator=players.Spoken())
  assert model.condition_keys == ('audio',)
  assert model.batch_keys == ('video', 'audio')
  audio = np.array([[[0.1], [0.2]], [[0.3], [0.4]]])
  batch = players.batch_of([0.1, 0.3], audio=audio)
  _, terms, _, _ = players.run(model, batch, 'critic_clip')
  assert terms['fake_logit'] == pytest.approx(2 * (0.25 + 0.25))
  params = {'params': {'generator': {'grey': np.array(0.5)}}}
  keys = arrays.keys(2, 1)
  clips = compiled.apply(model, params, keys, {'audio': audio}, method='sample')
  np.testing.assert_allclose(clips[..., 0, 0, 0], 0.5 + audio[..., 0])
  message = "The condition has no 'audio'.* model.generator.audio_bands 0"
  with pytest.raises(ValueError, match=message):
    compiled.apply(model, params, keys, {}, method='sample')
  with pytest.raises(ValueError, match="The batch has no 'audio'"):
    players.run(model, players.batch_of([0.1]), 'generator')
  # A generator without a size is given no audio.
  model = players.make(generator=players.Spoken(audio_bands=0))
  assert model.condition_keys == ()
  _, terms, _, _ = players.run(model, batch, 'critic_clip')
  assert terms['fake_logit'] == pytest.approx(2 * 0.25)


def test_reconstruction_is_the_error_of_the_paired_clip():
  model = players.make(
    generator=players.Constant(start=0.5), reconstruction_weight=10.0
  )
  batch = players.batch_of([0.1, 0.3])
  loss, terms, grads, _ = players.run(model, batch, 'generator')
  assert terms['reconstruction'] == pytest.approx((0.4 + 0.2) / 2)
  adversarial = players.softplus(-1.0)
  assert loss == pytest.approx(adversarial + 10 * 0.3)
  assert grads['generator']['grey'] > 9  # Towards the real clips.
  # It is not computed without a weight, nor from augmented clips.
  _, terms, _, _ = players.run(players.make(), batch, 'generator')
  assert 'reconstruction' not in terms
  model = model.clone(augment=('brightness',))
  _, terms, _, _ = players.run(model, batch, 'generator')
  assert terms['reconstruction'] == pytest.approx(0.3)
  with pytest.raises(ValueError, match='reconstruction_weight is 10'):
    model.clone(num_classes=4, fake_labels='uniform')
