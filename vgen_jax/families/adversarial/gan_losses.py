"""Losses of critics and generators of a GAN, given the critic's logits.

A positive logit classifies a clip as real. Logits may have any shape; the loss
is their mean, so a critic of patches weighs as much as one of whole clips. All
losses are computed in float32.

| kind          | critic                                    | generator       |
|---------------|-------------------------------------------|-----------------|
| logistic      | softplus(-real) + softplus(fake)          | softplus(-fake) |
| saturating    | the same                                  | -softplus(fake) |
| hinge         | relu(1 - real) + relu(1 + fake)           | -fake           |
| least_squares | (real - 1)^2 + fake^2                     | (fake - 1)^2    |
| wasserstein   | fake - real; needs a Lipschitz constraint | -fake           |

References: `logistic` and `saturating`, Goodfellow et al., "Generative
Adversarial Nets", 2014, https://arxiv.org/abs/1406.2661; `hinge`, Lim and Ye,
"Geometric GAN", 2017, https://arxiv.org/abs/1705.02894; `least_squares`, Mao et
al., "Least Squares Generative Adversarial Networks", 2016,
https://arxiv.org/abs/1611.04076, without its factor 1/2; `wasserstein`,
Arjovsky et al., "Wasserstein GAN", 2017, https://arxiv.org/abs/1701.07875.
"""

import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core.types import Array

KINDS = ('logistic', 'saturating', 'hinge', 'least_squares', 'wasserstein')


def critic(kind: str, real_logit: Array, fake_logit: Array) -> Array:
  """Returns the critic's loss, a scalar.

  Args:
    kind: One of KINDS.
    real_logit: Logits of real clips.
    fake_logit: Logits of generated clips; their shape may differ.

  Raises:
    ValueError: If `kind` is not in KINDS.
  """
  check(kind)
  real, fake = _float(real_logit), _float(fake_logit)
  match kind:
    case 'logistic' | 'saturating':
      return jax.nn.softplus(-real).mean() + jax.nn.softplus(fake).mean()
    case 'hinge':
      return jax.nn.relu(1 - real).mean() + jax.nn.relu(1 + fake).mean()
    case 'least_squares':
      return jnp.square(real - 1).mean() + jnp.square(fake).mean()
    case 'wasserstein':
      return fake.mean() - real.mean()


def generator(kind: str, fake_logit: Array) -> Array:
  """Returns the generator's loss, a scalar; arguments as in `critic`."""
  check(kind)
  fake = _float(fake_logit)
  match kind:
    case 'logistic':
      return jax.nn.softplus(-fake).mean()
    case 'saturating':  # log(1 - D) has no slope where the critic is certain.
      return -jax.nn.softplus(fake).mean()
    case 'hinge' | 'wasserstein':
      return -fake.mean()
    case 'least_squares':
      return jnp.square(fake - 1).mean()


def boundary(kind: str) -> float | None:
  """Returns the logit between "generated" and "real"; None if there is none.

  Wasserstein critics are defined up to a constant, so only differences between
  their logits are meaningful.
  """
  check(kind)
  return {'least_squares': 0.5, 'wasserstein': None}.get(kind, 0.0)


def classification(class_logit_bk: Array, label_b: Array) -> Array:
  """Returns the mean cross-entropy of labels, in nats."""
  log_prob_bk = jax.nn.log_softmax(_float(class_logit_bk))
  return -jnp.take_along_axis(log_prob_bk, label_b[:, None], axis=1).mean()


def check(kind: str) -> None:
  """Raises ValueError if `kind` is not in KINDS."""
  checks.one_of('loss_kind', kind, KINDS)


def _float(x: Array) -> Array:
  return x.astype(jnp.float32)
