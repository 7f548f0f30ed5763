"""Compilation of the train step, and its cost in operations and memory."""

from collections.abc import Callable
import dataclasses

import jax
import numpy as np

from vgen_jax.runtime import flops as flops_lib
from vgen_jax.runtime import sharding
from vgen_jax.training import setup as setup_lib

_GIGA = 1e9


@dataclasses.dataclass(frozen=True)
class Cost:
  """Cost of one train step.

  Attributes:
    num_params: {part: number of parameters}.
    flops: Floating-point operations of a step, over all devices, as
      runtime/flops.py counts them; what remat computes twice counts twice.
    memory: Bytes on each device, {use: number}, such as 'arguments' (state and
      batch) and 'temporary'; empty if the compiler does not report them.
  """

  num_params: dict[str, int]
  flops: float
  memory: dict[str, int]

  def __str__(self) -> str:
    parts = ', '.join(
      f'{k} {n / 1e6:.2f} M' for k, n in self.num_params.items()
    )
    kinds = ', '.join(
      f'{k} {n / _GIGA:.2f} GB' for k, n in self.memory.items() if n
    )
    return (
      f'parameters: {parts}; {self.flops / _GIGA:,.1f} GFLOP per step;'
      f' memory per device: {kinds or "unknown"}'
    )


def compile_step(setup: setup_lib.Setup) -> tuple[Callable, Cost]:
  """Returns the compiled train step of a run, and its cost."""
  state = setup.state_shapes()
  sharded = sharding.of_batch(setup.mesh)
  batch = {
    key: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharded)
    for key, x in setup.batch.items()
  }
  traced = setup.train_step().trace(state, batch)
  compiled = traced.lower().compile()
  num_params = {
    part: int(sum(np.prod(x.shape) for x in jax.tree.leaves(tree)))
    for part, tree in state.params.items()
  }
  flops = flops_lib.count_traced(traced)
  return compiled, Cost(num_params, flops, flops_lib.memory(compiled))
