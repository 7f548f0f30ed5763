"""Tests of gan_losses.py: values by hand, and minima."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import compiled
from vgen_jax.families.adversarial import gan_losses

REAL = np.array([2.0, -1.0], np.float32)
FAKE = np.array([0.5, -3.0], np.float32)
LOG = lambda x: float(np.log1p(np.exp(x)))  # softplus
critic_loss = compiled.jit(gan_losses.critic, static_argnums=0)
generator_loss = compiled.jit(gan_losses.generator, static_argnums=0)


@pytest.mark.parametrize(
  ('kind', 'critic', 'generator'),
  [
    (
      'logistic',
      (LOG(-2) + LOG(1)) / 2 + (LOG(0.5) + LOG(-3)) / 2,
      (LOG(-0.5) + LOG(3)) / 2,
    ),
    (
      'saturating',
      (LOG(-2) + LOG(1)) / 2 + (LOG(0.5) + LOG(-3)) / 2,
      -(LOG(0.5) + LOG(-3)) / 2,
    ),
    ('hinge', (0 + 2) / 2 + (1.5 + 0) / 2, 1.25),
    ('least_squares', (1 + 4) / 2 + (0.25 + 9) / 2, (0.25 + 16) / 2),
    ('wasserstein', -1.25 - 0.5, 1.25),
  ],
)
def test_values_by_hand(kind: str, critic: float, generator: float):
  assert critic_loss(kind, REAL, FAKE) == pytest.approx(critic)
  assert generator_loss(kind, FAKE) == pytest.approx(generator)


@pytest.mark.parametrize(
  ('kind', 'best'),
  [
    # With 3/4 real and 1/4 generated clips: log(p / q), its sign, p.
    ('logistic', np.log(3)),
    ('hinge', 1.0),
    ('least_squares', 0.75),
  ],
)
def test_optimal_logits(kind: str, best: float):
  def loss(logit):
    real = gan_losses.critic(kind, logit, jnp.zeros(1))
    fake = gan_losses.critic(kind, jnp.zeros(1), logit)
    return 0.75 * real + 0.25 * fake

  logits = np.linspace(-3, 3, 601)[:, None]
  found = logits[compiled.call(jax.vmap(loss), logits).argmin(), 0]
  # The zeros above only add a constant.
  assert found == pytest.approx(best, abs=0.01)


def test_value_where_generated_clips_are_distributed_as_real_ones():
  """The best critic has a loss of log 4; a certain one has a larger loss."""
  loss = lambda logit: critic_loss('logistic', logit, logit)
  assert loss(np.zeros(3)) == pytest.approx(np.log(4))
  assert loss(np.ones(3)) > np.log(4) + 0.1
  # The saturating generator has the same loss with the opposite sign.
  minimax = loss(np.ones(3)) + generator_loss('saturating', np.ones(3))
  assert minimax == pytest.approx(LOG(-1))


def test_only_the_saturating_loss_has_no_gradient_for_a_certain_critic():
  grad = jax.grad(gan_losses.generator, argnums=1)
  slope = lambda kind: compiled.call(grad, kind, np.array(-10.0))
  assert abs(slope('saturating')) < 1e-4
  for kind in ('logistic', 'hinge', 'least_squares', 'wasserstein'):
    assert slope(kind) < -0.99  # Towards "real".


def test_relativistic_loss_compares_pairs():
  """Values equal those by hand; a constant in all logits has no effect."""
  critic = critic_loss('relativistic', REAL, FAKE)
  assert critic == pytest.approx((LOG(0.5 - 2) + LOG(-3 + 1)) / 2)
  generator = generator_loss('relativistic', FAKE, REAL)
  assert generator == pytest.approx((LOG(2 - 0.5) + LOG(-1 + 3)) / 2)
  shifted = critic_loss('relativistic', REAL + 5, FAKE + 5)
  assert shifted == pytest.approx(float(critic))
  # Pairs in another order are other pairs.
  assert critic_loss('relativistic', REAL[::-1], FAKE) != critic
  with pytest.raises(ValueError, match='real_logit is None'):
    gan_losses.generator('relativistic', FAKE)
  with pytest.raises(ValueError, match=r'\(1,\) and \(2,\)'):
    gan_losses.critic('relativistic', REAL, FAKE[:1])


def test_logits_of_any_shape_and_dtype():
  patches = np.tile(REAL[:, None, None], (1, 4, 5)).astype(jnp.bfloat16)
  loss = critic_loss('logistic', patches, FAKE)
  assert loss.dtype == jnp.float32
  assert loss == pytest.approx(critic_loss('logistic', REAL, FAKE))


def test_boundary_of_each_kind():
  assert gan_losses.boundary('logistic') == 0
  assert gan_losses.boundary('least_squares') == 0.5
  assert gan_losses.boundary('wasserstein') is None


def test_classification_is_cross_entropy():
  logits = np.log([[0.2, 0.5, 0.3], [0.9, 0.05, 0.05]])
  label_b = np.array([2, 0])
  loss = compiled.call(gan_losses.classification, logits, label_b)
  assert loss == pytest.approx(-(np.log(0.3) + np.log(0.9)) / 2)


def test_misspelt_kind():
  with pytest.raises(ValueError, match="Did you mean 'wasserstein'"):
    gan_losses.critic('waserstein', REAL, FAKE)
