"""Inputs and random parameters of tiny latent predictors, for tests."""

import functools

import flax.linen as nn
import jax
import numpy as np

from tests import arrays
from tests import compiled

SHAPE = (4, 8, 8, 3)
VIDEO = arrays.uniform((2, *SHAPE), 5, low=-1)
NOISE = arrays.normal((2, 3, 2), 6)


def random_variables(module: nn.Module, *args, scale=0.3, **kwargs) -> dict:
  """Returns random variables of a module, none of which is zero.

  Args:
    module: Network.
    *args: Arguments of `module.init` after the key.
    scale: Standard deviation of the variables.
    **kwargs: Keyword arguments of `module.init`.
  """
  shapes = jax.eval_shape(
    lambda: module.init(jax.random.key(0), *args, **kwargs)
  )
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda x: np.float32(scale * rng.standard_normal(x.shape)), shapes
  )


@functools.cache
def applied(module: nn.Module, method: str, **kwargs):
  """Returns a method of a module as a compiled function of variables."""
  return compiled.jit(functools.partial(module.apply, method=method, **kwargs))
