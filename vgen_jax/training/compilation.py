"""What a step costs, told at the start."""

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
  """What one step of a run costs.

  Attributes:
    num_params: Parameters, {part: number}.
    flops: Floating-point operations a step, over all devices, that the maths
      asks for; what remat computes twice counts twice.
    memory: Bytes on each device, by kind: 'arguments' (state and batch),
      'temporaries', ...; empty where the compiler does not tell.
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
      f'parameters: {parts}; {self.flops / _GIGA:,.1f} GFLOP a step;'
      f' memory per device: {kinds or "unknown"}'
    )


def compile_step(setup: setup_lib.Setup) -> tuple[Callable, Cost]:
  """Compiles the train step of a run, and tells what it costs."""
  state = setup.state_shapes()
  cut = sharding.of_batch(setup.mesh)
  batch = {
    key: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=cut)
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
