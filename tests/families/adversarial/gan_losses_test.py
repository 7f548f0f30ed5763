"""Tests of gan_losses.py: values by hand, and minima."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vgen_jax.families.adversarial import gan_losses

REAL = jnp.array([2.0, -1.0])
FAKE = jnp.array([0.5, -3.0])
LOG = lambda x: float(np.log1p(np.exp(x)))  # softplus


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
  assert gan_losses.critic(kind, REAL, FAKE) == pytest.approx(critic)
  assert gan_losses.generator(kind, FAKE) == pytest.approx(generator)


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

  logits = jnp.linspace(-3, 3, 601)[:, None]
  found = logits[jax.vmap(loss)(logits).argmin(), 0]
  # The zeros above only add a constant.
  assert found == pytest.approx(best, abs=0.01)


def test_value_where_generated_clips_are_distributed_as_real_ones():
  """The best critic has a loss of log 4; a certain one has a larger loss."""
  loss = lambda logit: gan_losses.critic('logistic', logit, logit)
  assert loss(jnp.zeros(3)) == pytest.approx(np.log(4))
  assert loss(jnp.ones(3)) > np.log(4) + 0.1
  # The saturating generator has the same loss with the opposite sign.
  minimax = loss(jnp.ones(3)) + gan_losses.generator('saturating', jnp.ones(3))
  assert minimax == pytest.approx(LOG(-1))


def test_only_the_saturating_loss_has_no_gradient_for_a_certain_critic():
  slope = lambda kind: jax.grad(gan_losses.generator, argnums=1)(
    kind, jnp.array(-10.0)
  )
  assert abs(slope('saturating')) < 1e-4
  for kind in ('logistic', 'hinge', 'least_squares', 'wasserstein'):
    assert slope(kind) < -0.99  # Towards "real".


def test_relativistic_loss_compares_pairs():
  """Values equal those by hand; a constant in all logits has no effect."""
  critic = gan_losses.critic('relativistic', REAL, FAKE)
  assert critic == pytest.approx((LOG(0.5 - 2) + LOG(-3 + 1)) / 2)
  generator = gan_losses.generator('relativistic', FAKE, REAL)
  assert generator == pytest.approx((LOG(2 - 0.5) + LOG(-1 + 3)) / 2)
  shifted = gan_losses.critic('relativistic', REAL + 5, FAKE + 5)
  assert shifted == pytest.approx(float(critic))
  # Pairs in another order are other pairs.
  assert gan_losses.critic('relativistic', REAL[::-1], FAKE) != critic
  with pytest.raises(ValueError, match='real_logit is None'):
    gan_losses.generator('relativistic', FAKE)
  with pytest.raises(ValueError, match=r'\(1,\) and \(2,\)'):
    gan_losses.critic('relativistic', REAL, FAKE[:1])


def test_logits_of_any_shape_and_dtype():
  patches = jnp.tile(REAL[:, None, None], (1, 4, 5)).astype(jnp.bfloat16)
  loss = gan_losses.critic('logistic', patches, FAKE)
  assert loss.dtype == jnp.float32
  assert loss == pytest.approx(gan_losses.critic('logistic', REAL, FAKE))


def test_boundary_of_each_kind():
  assert gan_losses.boundary('logistic') == 0
  assert gan_losses.boundary('least_squares') == 0.5
  assert gan_losses.boundary('wasserstein') is None


def test_classification_is_cross_entropy():
  logits = jnp.log(jnp.array([[0.2, 0.5, 0.3], [0.9, 0.05, 0.05]]))
  loss = gan_losses.classification(logits, jnp.array([2, 0]))
  assert loss == pytest.approx(-(np.log(0.3) + np.log(0.9)) / 2)


def test_misspelt_kind():
  with pytest.raises(ValueError, match="Did you mean 'wasserstein'"):
    gan_losses.critic('waserstein', REAL, FAKE)
