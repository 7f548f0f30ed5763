"""Averages of the parameters over the steps of a run; there may be several.

A spec has one of three forms:

  {'decay': 0.999}                  constant weight of the previous average
  {'decay': 0.999, 'warmup': True}  smaller weight in the first steps, so that
                                    the initialization is forgotten
  {'sigma_rel': 0.1}                width of the average relative to the number
                                    of completed steps
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vgen_jax.core import checks
from vgen_jax.core.types import Array
from vgen_jax.core.types import Params

Specs = Mapping[str, Mapping[str, Any]]  # {name of an average: its spec}

# Relative width of the power law with exponent 0, which is flat.
_MAX_SIGMA_REL = 1 / np.sqrt(12)


def check(specs: Specs) -> None:
  """Raises ValueError if a spec has none of the three forms of this module."""
  for name, spec in specs.items():
    where = f'config.ema.{name}'
    checks.mapping(where, spec, 'decay and warmup, or sigma_rel')
    for key in spec:
      checks.known_key(where, key, ('decay', 'warmup', 'sigma_rel'))
    if ('decay' in spec) == ('sigma_rel' in spec) or (
      'sigma_rel' in spec and 'warmup' in spec
    ):
      raise ValueError(
        f"{where} is {dict(spec)}; it must have 'decay' (with or without"
        " 'warmup') or 'sigma_rel', not both."
      )
    if not isinstance(spec.get('warmup', False), bool):
      raise ValueError(
        f'{where}.warmup is {spec["warmup"]!r:.80}; it must be True or False.'
      )
    for key in ('decay', 'sigma_rel'):
      checks.number(f'{where}.{key}', spec.get(key, 0))
    if not 0 <= spec.get('decay', 0) < 1:
      raise ValueError(
        f'{where}.decay is {spec["decay"]}; it must be in [0, 1).'
      )
    if 'sigma_rel' in spec:
      exponent(spec['sigma_rel'])


def update(
  averages: Mapping[str, Params], params: Params, step: Array, specs: Specs
) -> dict[str, Params]:
  """Returns the averages after a step.

  Args:
    averages: {name: tree like params} before the step.
    params: Parameters after the step.
    step: Number of completed steps, including this one; 1 or more.
    specs: {name: spec} with the same names as `averages`.
  """
  fresh = {}
  for name, average in averages.items():
    past = decay(specs[name], step)
    fresh[name] = jax.tree.map(
      lambda a, x, past=past: (past * a + (1 - past) * x).astype(a.dtype),
      average,
      params,
    )
  return fresh


def decay(spec: Mapping[str, Any], step: Array) -> Array:
  """Returns the weight of the previous average in an update.

  The power law is that of Karras et al., "Analyzing and Improving the Training
  Dynamics of Diffusion Models", 2024, https://arxiv.org/abs/2312.02696: the
  average after step t weights the parameters of step s by s^gamma, so the
  shape of its profile does not depend on the number of steps.

  Args:
    spec: Spec of the average.
    step: Number of the step, 1 or more.
  """
  step = jnp.asarray(step, jnp.float32)
  if 'sigma_rel' in spec:
    gamma = exponent(spec['sigma_rel'])
    return (1 - 1 / step) ** (gamma + 1)
  if spec.get('warmup', False):
    return jnp.minimum(spec['decay'], (1 + step) / (10 + step))
  return jnp.asarray(spec['decay'], jnp.float32)


def exponent(sigma_rel: float) -> float:
  """Returns the exponent gamma of the power law with this relative width.

  The profile s^gamma on [0, t] has the standard deviation `sigma_rel * t`,
  where sigma_rel^2 = (gamma + 1) / ((gamma + 2)^2 (gamma + 3)).

  Args:
    sigma_rel: Relative width in (0, 0.2887), from narrow to flat; usual values
      are 0.05 to 0.15.

  Raises:
    ValueError: If no growing power law has this width.
  """
  if not 0 < sigma_rel < _MAX_SIGMA_REL:
    raise ValueError(
      f'sigma_rel of an average is {sigma_rel}; it must be above 0 and below'
      f' {_MAX_SIGMA_REL:.4f}, the value of the plain mean of all steps.'
    )
  # With g = gamma: g^3 + 7 g^2 + (16 - q) g + (12 - q) = 0, q = sigma_rel^-2.
  q = sigma_rel**-2
  roots = np.roots([1, 7, 16 - q, 12 - q])
  return float(max(roots.real))
