"""Tests of families/autoencoding.py, by autoencoders of a number or two."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vgen_jax.families import autoencoding
from vgen_jax.families.base import Turn
from vgen_jax.nn import autoencoder

SHAPE = (2, 1, 1, 1)
NOISE = {'noise': jax.random.key(7)}


class Pass(nn.Module):
  """A bottleneck that lets all through, and asks for 3."""

  num_codes: int = 0

  def __call__(self, encoded_bthwe, key_b, *, train):
    terms = {'asked': jnp.float32(3)}
    return autoencoder.Bottled(encoded_bthwe, jnp.float32(3), terms)


class Times(nn.Module):
  """Multiplies by a parameter."""

  start: float

  @nn.compact
  def __call__(self, x_bthwc):
    start = nn.initializers.constant(self.start)
    return x_bthwc * self.param('kernel', start, (1,) * x_bthwc.ndim)


class Decoder(nn.Module):
  start: float

  def setup(self):
    self.out = Times(self.start)

  def __call__(self, x_bthwc):
    return self.out(x_bthwc)


class Doubler(autoencoder.Autoencoder):
  """Latents are twice the pixels; the decoder's gain is a parameter."""

  start: float = 0.25

  def setup(self):
    super().setup()
    self.bottleneck = Pass()
    self.decoder = Decoder(self.start)

  def encode(self, video_bthwc, *, train=False):
    return 2 * video_bthwc

  def decode(self, latent_bthwd, *, train=False):
    return self.decoder(latent_bthwd)


class Slope(nn.Module):
  """Logit: a parameter times the mean grey."""

  start: float = 2.0

  @nn.compact
  def __call__(self, video_bthwc, condition, key_b, *, train):
    slope = self.param('slope', nn.initializers.constant(self.start), ())
    return slope * video_bthwc.mean(axis=(1, 2, 3, 4))[:, None]


def make(**fields) -> autoencoding.Autoencoding:
  part = fields.pop('autoencoder', Doubler())
  return autoencoding.Autoencoding(SHAPE, part, **fields)


def batch_of(grey_b, step: int = 0):
  grey = jnp.asarray(grey_b, jnp.float32)[:, None, None, None, None]
  step_b = jnp.full(len(grey_b), step)
  return {'video': jnp.broadcast_to(grey, (len(grey), *SHAPE)), 'step': step_b}


def run(model, batch, player='autoencoder', train=True, stats=None):
  """Returns the loss, its terms, its gradients, and what became of stats."""

  @jax.jit
  def act(batch, stats):
    variables = dict(model.init({'params': jax.random.key(0), **NOISE}, batch))
    params = variables.pop('params')
    stats = variables if stats is None else stats

    def loss_fn(params):
      (loss, terms), changed = model.apply(
        {'params': params, **stats},
        batch,
        player=player,
        train=train,
        method='loss',
        rngs=NOISE,
        mutable=list(stats),
      )
      return loss, (terms, changed)

    grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
    (loss, (terms, changed)), grads = grad_fn(params)
    return loss, terms, grads, changed

  return act(batch, stats)


# Pixels .8 and .4 come back as .4 and .2: errors are .4 and .2.
BATCH = batch_of([0.8, 0.4])


@pytest.mark.parametrize(
  ('kind', 'distance'), [('l1', 0.3), ('l2', 0.1), ('huber', 0.05)]
)
def test_loss_by_hand(kind: str, distance: float):
  model = make(
    reconstruction=kind, reconstruction_weight=2.0, bottleneck_weight=0.5
  )
  loss, terms, _, _ = run(model, BATCH)
  assert terms['reconstruction'] == pytest.approx(distance)
  assert loss == pytest.approx(2 * distance + 0.5 * 3)
  assert terms['bottleneck'] == terms['asked'] == 3
  # Two units from black to white: 10 log10(4 / square), its mean over clips.
  psnr = (10 * np.log10(4 / 0.16) + 10 * np.log10(4 / 0.04)) / 2
  assert terms['psnr'] == pytest.approx(psnr, rel=1e-5)


def test_huber_is_straight_far_away():
  model = make(autoencoder=Doubler(-2.0), reconstruction='huber')
  _, terms, _, _ = run(model, batch_of([1.0]))  # 1 comes back as -4.
  assert terms['reconstruction'] == pytest.approx(5 - 0.5)


def test_perceptual_distance_counts():
  distance = lambda one, two: 10 * (one - two).mean((1, 2, 3, 4))
  model = make(perceptual=distance, perceptual_weight=0.1)
  loss, terms, _, _ = run(model, BATCH)
  assert terms['perceptual'] == pytest.approx(3)
  assert loss == pytest.approx(0.1 + 0.3 + 3)


def test_moves():
  assert make().turns == (Turn('autoencoder'),)
  assert make(critic={'a': Slope(), 'b': Slope()}).turns == (
    Turn('autoencoder'),
    Turn('critic_a', with_previous=True),
    Turn('critic_b', with_previous=True),
  )


def test_critic_tells_reconstructions_from_data():
  model = make(critic={'clip': Slope()})
  loss, terms, grads, _ = run(model, BATCH, 'critic_clip')
  # Logits of data are 1.6 and .8, of what came back .8 and .4.
  assert loss == pytest.approx((0 + 0.2) / 2 + (1.8 + 1.4) / 2)
  assert terms['real_logit'] == pytest.approx(1.2)
  assert grads['critic_clip']['slope'] == pytest.approx(-0.4 / 2 + 0.3)
  logistic = make(critic={'clip': Slope()}, loss_kind='logistic')
  softplus = lambda x: float(np.log1p(np.exp(x)))
  expected = [softplus(x) for x in (-1.6, -0.8, 0.8, 0.4)]
  loss, _, _, _ = run(logistic, BATCH, 'critic_clip')
  assert loss == pytest.approx(sum(expected) / 2, rel=1e-5)


def test_adversary_is_balanced_at_the_last_kernel():
  """By the kernel k: l2 is mean (2 k x - x)^2, and the adversary -s 2 k x."""
  x = np.array([0.8, 0.4])
  by_distance = np.mean(2 * (0.5 * x - x) * 2 * x)
  for slope in (2.0, -5.0):
    by_adversary = np.mean(-slope * 2 * x)
    ratio = abs(by_distance) / (abs(by_adversary) + 1e-4)
    model = make(critic={'clip': Slope(slope)}, critic_weight=0.5)
    loss, terms, grads, _ = run(model, BATCH)
    assert terms['critic_weight'] == pytest.approx(0.5 * ratio, rel=1e-4)
    assert terms['adversarial'] == pytest.approx(-slope * 0.3, rel=1e-5)
    expected = 0.1 + 3 + 0.5 * ratio * -slope * 0.3
    assert loss == pytest.approx(expected, rel=1e-4)
    # The ratio itself has no gradient.
    total = by_distance + 0.5 * ratio * by_adversary
    kernel = grads['autoencoder']['decoder']['out']['kernel'].item()
    assert kernel == pytest.approx(total, rel=1e-4)
  fixed = make(critic={'clip': Slope(-5.0)}, critic_weight=0.5, adaptive=False)
  assert run(fixed, BATCH)[1]['critic_weight'] == 0.5


def test_adaptive_weight_is_clamped():
  """A critic that is sure of nothing has no gradient to divide by."""
  model = make(critic={'clip': Slope(0.0)}, reconstruction_weight=1e6)
  assert run(model, BATCH)[1]['critic_weight'] == pytest.approx(0.8e4)


def test_critics_are_not_heard_before_their_time():
  model = make(critic={'clip': Slope()}, critic_start=10)
  for step, heard in ((9, False), (10, True)):
    batch = batch_of([0.8, 0.4], step)
    _, terms, _, _ = run(model, batch)
    assert bool(terms['critic_weight'] > 0) == heard
    _, _, grads, _ = run(model, batch, 'critic_clip')
    assert bool(grads['critic_clip']['slope'] != 0) == heard
  del batch['step']  # Outside of training.
  assert run(model, batch)[1]['critic_weight'] > 0


def test_penalties_on_critics():
  model = make(critic={'clip': Slope()}, r1_weight=3.0)
  plain = run(make(critic={'clip': Slope()}), BATCH, 'critic_clip')[0]
  loss, terms, grads, _ = run(model, BATCH, 'critic_clip')
  # The logit's gradient by each of two pixels is 1; half its square is 1.
  assert terms['r1'] == pytest.approx(1)
  assert loss - plain == pytest.approx(3, rel=1e-5)
  # Of (slope^2 / 4), the derivative by slope 2 is 1.
  assert grads['critic_clip']['slope'] == pytest.approx(0.1 + 3, rel=1e-4)


def test_lecam_keeps_logits_near_the_others_mean():
  model = make(critic={'clip': Slope()}, lecam_weight=0.5)
  stats = {
    'lecam': {'critic_clip': {'logits': jnp.array([1.2, 0.6])}},
    'latent_moments': run(model, BATCH)[3]['latent_moments'],
  }
  loss, terms, _, changed = run(model, BATCH, 'critic_clip', stats=stats)
  # Data: 1.6 and .8 from .6; what came back: .8 and .4 from 1.2.
  expected = (1 + 0.04) / 2 + (0.16 + 0.64) / 2
  assert terms['lecam'] == pytest.approx(expected, rel=1e-5)
  assert loss == pytest.approx(1.7 + 0.5 * expected, rel=1e-5)
  moved = changed['lecam']['critic_clip']['logits']
  np.testing.assert_allclose(moved, [1.2, 0.6], rtol=1e-6)  # As they are now.
  first = run(model, BATCH, 'critic_clip')[3]['lecam']['critic_clip']['logits']
  np.testing.assert_allclose(first, [0.012, 0.006], rtol=1e-4)
  still = run(model, BATCH, 'critic_clip', train=False)[3]
  assert not still['lecam']['critic_clip']['logits'].any()


def test_samples_are_reconstructions():
  model = make()
  assert model.num_known == SHAPE[0]
  key_b = jax.random.split(jax.random.key(0), 2)
  variables = model.init({'params': jax.random.key(0), **NOISE}, BATCH)
  video = 3 * BATCH['video']
  draw = lambda **told: model.apply(variables, key_b, told, method='sample')
  np.testing.assert_allclose(draw(known_video=video), (0.5 * video).clip(-1, 1))
  with pytest.raises(ValueError, match="no 'known_video'"):
    draw()
  with pytest.raises(ValueError, match='label'):
    draw(known_video=video, label=jnp.zeros(2, jnp.int32))


def test_what_does_not_fit_is_told():
  with pytest.raises(ValueError, match="'l3'; it must be one of"):
    make(reconstruction='l3')

  class Headless(Doubler):
    def decode(self, latent_bthwd, *, train=False):
      return latent_bthwd

  model = make(autoencoder=Headless(), critic={'clip': Slope()})
  with pytest.raises(ValueError, match='no parameter decoder/out/kernel'):
    run(model, BATCH)
