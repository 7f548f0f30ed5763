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
| relativistic  | softplus(fake - real), for each pair      | softplus(real - |
|               |                                           | fake)           |

The relativistic loss compares each generated clip with the real clip at the
same position of the batch, so its generator also needs the real logits.

References: `logistic` and `saturating`, Goodfellow et al., "Generative
Adversarial Nets", 2014, https://arxiv.org/abs/1406.2661; `hinge`, Lim and Ye,
"Geometric GAN", 2017, https://arxiv.org/abs/1705.02894; `least_squares`, Mao et
al., "Least Squares Generative Adversarial Networks", 2016,
https://arxiv.org/abs/1611.04076, without its factor 1/2; `wasserstein`,
Arjovsky et al., "Wasserstein GAN", 2017, https://arxiv.org/abs/1701.07875;
`relativistic`, Jolicoeur-Martineau, "The relativistic discriminator", 2018,
https://arxiv.org/abs/1807.00734, and with R1 and R2 Huang et al., "The GAN is
dead; long live the GAN! A Modern GAN Baseline", 2024,
https://arxiv.org/abs/2501.05441.
"""

import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.core.types import Array
from vgen_jax.core.types import Metrics
from vgen_jax.families.adversarial import critics

KINDS = (
  'logistic', 'saturating', 'hinge', 'least_squares', 'wasserstein',
  'relativistic',
)  # fmt: skip


def critic(kind: str, real_logit: Array, fake_logit: Array) -> Array:
  """Returns the critic's loss, a scalar.

  Args:
    kind: One of KINDS.
    real_logit: Logits of real clips.
    fake_logit: Logits of generated clips; their shape may differ, except for
      'relativistic'.

  Raises:
    ValueError: If `kind` is not in KINDS, or shapes differ that must be equal.
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
    case 'relativistic':
      return jax.nn.softplus(_difference(fake, real)).mean()


def generator(
  kind: str, fake_logit: Array, real_logit: Array | None = None
) -> Array:
  """Returns the generator's loss, a scalar.

  Args:
    kind: One of KINDS.
    fake_logit: Logits of generated clips.
    real_logit: Logits of real clips; only if `needs_real(kind)`.

  Raises:
    ValueError: If `kind` is not in KINDS, or real logits are needed and missing
      or of another shape.
  """
  check(kind)
  fake = _float(fake_logit)
  match kind:
    case 'relativistic':
      if real_logit is None:
        raise ValueError(
          "real_logit is None, but the generator's loss of kind 'relativistic'"
          ' needs it; give the logits of real clips.'
        )
      return jax.nn.softplus(_difference(_float(real_logit), fake)).mean()
    case 'logistic':
      return jax.nn.softplus(-fake).mean()
    case 'saturating':  # Its gradient vanishes if the critic is right.
      return -jax.nn.softplus(fake).mean()
    case 'hinge' | 'wasserstein':
      return -fake.mean()
    case 'least_squares':
      return jnp.square(fake - 1).mean()


def needs_real(kind: str) -> bool:
  """Returns whether the generator's loss depends on real logits, too."""
  check(kind)
  return kind == 'relativistic'


def check_unpaired(kind: str, owner: str) -> None:
  """Checks that a loss can be used without pairs of clips.

  Args:
    kind: One of KINDS.
    owner: What has the critics, for the error.

  Raises:
    ValueError: If the loss compares pairs of real and generated clips.
  """
  if needs_real(kind):
    raise ValueError(
      f'model.loss_kind is {kind!r}, which compares pairs of real and generated'
      f" clips; {owner} needs another loss, such as 'least_squares' or 'hinge'."
    )


def boundary(kind: str) -> float | None:
  """Returns the decision threshold of a critic's logits; None if there is none.

  Wasserstein and relativistic critics are defined up to a constant, so only
  differences between their logits are meaningful.
  """
  check(kind)
  if kind in ('wasserstein', 'relativistic'):
    return None
  return 0.5 if kind == 'least_squares' else 0.0


def logit_terms(kind: str, real_logit: Array, fake_logit: Array) -> Metrics:
  """Returns mean logits and the critic's accuracies, for logs.

  Without a `boundary` there are no accuracies; the difference between the mean
  logits of real and of generated clips, 'gap', is returned instead.
  """
  terms = critics.mean_logits(real_logit, fake_logit)
  limit = boundary(kind)
  if limit is None:
    return terms | {'gap': terms['real_logit'] - terms['fake_logit']}
  return terms | {
    'real_accuracy': (real_logit > limit).mean(),
    'fake_accuracy': (fake_logit < limit).mean(),
  }


def classification(class_logit_bk: Array, label_b: Array) -> Array:
  """Returns the mean cross-entropy of labels, in nats."""
  log_prob_bk = jax.nn.log_softmax(_float(class_logit_bk))
  return -jnp.take_along_axis(log_prob_bk, label_b[:, None], axis=1).mean()


def check(kind: str) -> None:
  """Raises ValueError if `kind` is not in KINDS."""
  checks.one_of('model.loss_kind', kind, KINDS)


def _difference(one: Array, other: Array) -> Array:
  if one.shape != other.shape:
    raise ValueError(
      f'Logits have the shapes {one.shape} and {other.shape}; the relativistic'
      ' loss compares real and generated clips in pairs, so they must be equal.'
      ' Give as many generated as real clips.'
    )
  return one - other


def _float(x: Array) -> Array:
  return x.astype(jnp.float32)
