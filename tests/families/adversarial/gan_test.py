"""Tests of gan.py, with players of one or two parameters."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests.families.adversarial import players
from vgen_jax.families.adversarial import gan
from vgen_jax.families.base import Update
from vgen_jax.nn import spectral


def test_losses_by_hand():
  batch = players.batch_of(
    [0.1, 0.3]
  )  # Real: logits 0.2 and 0.6; generated: 1.
  loss, terms, grads, _ = players.run(players.make(), batch, 'critic_clip')
  real = (players.softplus(-0.2) + players.softplus(-0.6)) / 2
  assert loss == pytest.approx(real + players.softplus(1))
  assert terms['real_logit'] == pytest.approx(0.4)
  assert terms['real_accuracy'] == 1
  assert terms['fake_accuracy'] == 0
  assert grads['critic_clip']['slope'] > 0  # Generated clips are brighter.

  loss, _, grads, _ = players.run(players.make(), batch, 'generator')
  assert loss == pytest.approx(players.softplus(-1))
  sigmoid = 1 / (1 + np.e)
  assert grads['generator']['grey'] == pytest.approx(-2 * sigmoid)


def test_generator_loss_sums_over_critics():
  model = players.make(
    {'a': players.Slope(2.0), 'b': players.Slope(-1.0)}, loss_kind='wasserstein'
  )
  loss, terms, _, _ = players.run(model, players.batch_of([0.1]), 'generator')
  assert terms == {'adversarial_a': -1.0, 'adversarial_b': 0.5}
  assert loss == pytest.approx(-0.5)
  _, terms, _, _ = players.run(model, players.batch_of([0.1]), 'critic_b')
  assert terms['gap'] == pytest.approx(-0.1 + 0.5)


def test_updates():
  two = {'a': players.Slope(), 'b': players.Slope()}
  assert players.make(two).updates == (
    Update('critic_a'),
    Update('critic_b'),
    Update('generator'),
  )
  lazy = players.make(
    two, penalty_kind='r1', penalty_every=4, num_critic_updates=3
  )
  assert lazy.updates == (
    Update('critic_a', times=3),
    Update('critic_a', 'penalty', every=4),
    Update('critic_b', times=3),
    Update('critic_b', 'penalty', every=4),
    Update('generator'),
  )
  eager = players.make(penalty_kind='r1', simultaneous=True)
  assert eager.updates == (
    Update('critic_clip'),
    Update('generator', with_previous=True),
  )


@pytest.mark.parametrize(
  ('kind', 'value'),
  # The logit's gradient by each of the two pixels is 1: its norm is sqrt(2).
  [('r1', 2 / 2), ('r2', 2 / 2), ('gp', (2**0.5 - 1) ** 2)],
)
def test_lazy_penalties_have_the_weight_of_penalties_in_every_step(
  kind: str, value: float
):
  batch = players.batch_of([0.1, 0.3])
  fields = dict(penalty_kind=kind, penalty_weight=3.0)
  plain, _, _, _ = players.run(players.make(), batch, 'critic_clip')
  eager, terms, _, _ = players.run(players.make(**fields), batch, 'critic_clip')
  assert terms['penalty'] == pytest.approx(3 * value, rel=1e-5)
  assert eager - plain == pytest.approx(3 * value, rel=1e-5)

  model = players.make(**fields, penalty_every=8)
  assert players.run(model, batch, 'critic_clip')[0] == pytest.approx(plain)
  lazy, _, grads, _ = players.run(model, batch, 'critic_clip', 'penalty')
  assert lazy == pytest.approx(8 * 3 * value, rel=1e-5)
  # The derivative of r1, slope^2 / 4, at slope 2 is 1.
  expected = {'r1': 1.0, 'r2': 1.0, 'gp': 2 * (2**0.5 - 1) * 2**-0.5}[kind]
  assert grads['critic_clip']['slope'] == pytest.approx(24 * expected, rel=1e-4)


def test_penalties_do_not_change_statistics():
  batch = players.batch_of([0.1, 0.3])
  model = players.make(penalty_kind='gp', penalty_every=2)
  calls = lambda *args, **kwargs: players.run(model, batch, *args, **kwargs)[3][
    'batch_stats'
  ]['critic_clip']['calls']
  assert calls('critic_clip') == 2  # Real and generated clips.
  assert calls('critic_clip', 'penalty') == 0
  assert calls('critic_clip', train=False) == 0


def test_penalty_includes_spectral_norm():
  """Spectral norm makes the gradient norm 1 for any parameters."""

  class Normed(nn.Module):
    @nn.compact
    def __call__(self, video_bthwc, condition, key_b, *, train):
      x_bd = video_bthwc.reshape(len(video_bthwc), -1)
      layer = nn.Dense(1, kernel_init=nn.initializers.constant(5.0))
      return spectral.apply(layer, x_bd, train=train)

  model = players.make({'clip': Normed()}, penalty_kind='gp', penalty_every=2)
  loss, _, _, changed = players.run(
    model, players.batch_of([0.1, 0.3]), 'critic_clip', 'penalty'
  )
  assert loss == pytest.approx(0, abs=1e-6)
  assert changed['batch_stats']['critic_clip']


def test_real_and_generated_clips_are_augmented_independently():
  batch = players.batch_of(np.full(400, 0.5))
  fields = dict(loss_kind='wasserstein')
  _, terms, _, _ = players.run(players.make(**fields), batch, 'critic_clip')
  assert terms['real_logit'] == terms['fake_logit'] == 1
  model = players.make(**fields, augment=('brightness',))
  _, terms, _, _ = players.run(model, batch, 'critic_clip')
  assert terms['real_logit'] != terms['fake_logit']
  for logit in (terms['real_logit'], terms['fake_logit']):
    assert logit != 1
    assert logit == pytest.approx(1, abs=0.1)
  loss, _, grads, _ = players.run(model, batch, 'generator')
  assert loss != -1
  assert grads['generator']['grey'] == pytest.approx(-2, rel=1e-4)


def test_parts_are_conditioned_on_labels():
  label_b = np.array([0, 1, 2, 3] * 10)
  batch = players.batch_of(label_b / 10, label=label_b)
  fields = dict(num_classes=4, generator=players.Constant(start=0.0))
  fields['loss_kind'] = 'wasserstein'
  model = players.make({'clip': players.Reader()}, **fields)
  loss, terms, _, _ = players.run(model, batch, 'critic_clip')
  assert terms['real_logit'] == terms['fake_logit'] == 1.5
  assert terms['class_accuracy'] == 1
  assert loss == pytest.approx(0, abs=1e-5)
  # The generator depends on the label, so its clips are classified right; ...
  loss, terms, _, _ = players.run(model, batch, 'generator')
  assert terms['class_accuracy_clip'] == 1
  assert terms['class_loss_clip'] == pytest.approx(0, abs=1e-5)
  # ... those of another generator are not, nor real ones with wrong labels.
  fields['generator'] = players.Constant(start=0.1)
  wrong_generator = players.make(
    {'clip': players.Reader()}, class_weight=0.1, **fields
  )
  loss, terms, _, _ = players.run(wrong_generator, batch, 'generator')
  assert terms['class_accuracy_clip'] == 0
  assert loss == pytest.approx(-1.5 + 0.1 * float(terms['class_loss_clip']))
  wrong = batch | {'label': (label_b + 1) % 4}
  assert players.run(model, wrong, 'critic_clip')[1]['class_accuracy'] == 0


def test_uniform_labels_of_generated_clips():
  ones = np.ones(40, jnp.int32)
  batch = players.batch_of(ones / 10, label=ones)
  model = players.make(
    {'clip': players.Reader()},
    num_classes=4,
    generator=players.Constant(start=0.0),
    loss_kind='wasserstein',
    fake_labels='uniform',
  )
  _, terms, _, _ = players.run(model, batch, 'critic_clip')
  assert terms['real_logit'] == 1
  assert terms['fake_logit'] != 1
  _, terms, _, _ = players.run(model, batch, 'generator')
  assert terms['class_accuracy_clip'] == 1


def test_samples():
  model = players.make(num_classes=4, generator=players.Constant(start=0.0))
  variables = {'params': {'generator': {'grey': np.zeros(())}}}
  key_b = arrays.keys(40, 1)
  sample = lambda key_b, condition: model.apply(
    variables, key_b, condition, method='sample'
  )[:, 0, 0, 0, 0]
  labelled = sample(key_b, {'label': np.full(40, 3)})
  assert np.allclose(labelled, 0.3)
  free = sample(key_b, {})
  assert set(np.round(10 * np.asarray(free))) == {0, 1, 2, 3}
  assert np.allclose(sample(key_b[5:6], {}), free[5:6])
  with pytest.raises(ValueError, match='text'):
    sample(key_b, {'text': labelled})
  with pytest.raises(ValueError, match='label'):
    players.make().apply(variables, key_b, {'label': labelled}, method='sample')


@pytest.mark.parametrize(
  ('fields', 'match'),
  [
    (dict(loss_kind='hinged'), "Did you mean 'hinge'"),
    (dict(penalty_kind='r3'), "penalty_kind is 'r3'"),
    (dict(penalty_every=0), 'penalty_every is 0'),
    (dict(augment=('cutot',)), "Did you mean 'cutout'"),
    (dict(fake_labels='real'), "fake_labels is 'real'"),
    (dict(class_source='fake'), "class_source is 'fake'"),
    (dict(constraint_kind='clip'), "constraint_kind is 'clip'"),
    (dict(num_context=2), 'num_context is 2'),
  ],
)
def test_wrong_fields(fields: dict, match: str):
  with pytest.raises(ValueError, match=match):
    players.make(**fields)


def test_wrong_parts_and_batches():
  with pytest.raises(ValueError, match='critic is empty'):
    gan.GAN(players.SHAPE, players.Constant(), {})
  with pytest.raises(ValueError, match="no 'label'"):
    players.run(
      players.make(num_classes=4), players.batch_of([0.1]), 'generator'
    )
  with pytest.raises(ValueError, match='Reader classifies clips'):
    players.run(
      players.make({'clip': players.Reader()}),
      players.batch_of([0.1]),
      'generator',
    )
