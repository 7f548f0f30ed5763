"""Train steps of vgen_jax, one after the other on the same batch."""

from typing import Any

import jax
import numpy as np

from vgen_jax.training import setup as setup_lib


class Run:
  """A run whose steps are made by hand; the step is compiled here.

  Attributes:
    setup: Setup of the run.
    batch: First clips of the data, as arrays of NumPy.
    state: State after the last step.
  """

  def __init__(self, setup: setup_lib.Setup):
    self.setup = setup
    clips = [setup.source[i] for i in range(setup.settings.batch_size)]
    self.batch = {
      key: np.stack([clip[key] for clip in clips]) for key in setup.batch
    }
    self.state = setup.first_state()
    lowered = setup.train_step().lower(self.state, self.batch)
    self._call = lowered.compile()

  def step(self) -> dict[str, Any]:
    """Makes a step, waits for its end and returns its metrics."""
    self.state, metrics = self._call(self.state, self.batch)
    jax.block_until_ready(self.state)
    return metrics
