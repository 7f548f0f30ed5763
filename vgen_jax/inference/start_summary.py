"""Lines in the log at the start of a run, about its devices and its model."""

import logging

import flax.linen as nn
import jax
import numpy as np

from vgen_jax.training import hooks
from vgen_jax.training import setup as setup_lib

_log = logging.getLogger(__name__)


class LogStart(hooks.Hook):
  """Logs devices and model before the first checkpoint is read.

  Attributes:
    tasks: Tasks of the model, such as 'generate'; () before `on_setup`.
  """

  def __init__(self):
    self.tasks: tuple[str, ...] = ()

  def on_setup(self, setup: setup_lib.Setup, workdir: str) -> None:
    self.tasks = tuple(setup.model.supported_tasks)
    if jax.process_index() == 0:
      _log.info('Devices: %s.', devices(setup))
      _log.info('Model: %s.', model(setup))


def devices(setup: setup_lib.Setup) -> str:
  """Returns number, kind and use of the devices, in words."""
  mesh = setup.mesh
  kind = mesh.devices.flat[0].device_kind
  axes = ', '.join(f'{name} {n}' for name, n in mesh.shape.items() if n > 1)
  words = [f'{mesh.size} x {kind}' + (f' ({axes})' if axes else '')]
  unused = jax.device_count() - mesh.size
  if unused:
    words.append(f'{unused} more are not used, see config.mesh')
  if jax.process_count() > 1:
    words.append(f'{jax.process_count()} processes')
  return '; '.join([*words, f'JAX {jax.__version__}'])


def model(setup: setup_lib.Setup) -> str:
  """Returns family, networks and numbers of parameters, in words."""
  params = setup.state_shapes().params
  parts = []
  for part, tree in params.items():
    network = getattr(setup.model, part, None)
    name = (
      f' ({type(network).__name__})' if isinstance(network, nn.Module) else ''
    )
    frozen = '' if part in setup.model.players else ', frozen'
    parts.append(f'{part}{name} {_millions(tree)}{frozen}')
  return (
    f'{type(setup.model).__name__} with {_millions(params)} parameters:'
    f' {", ".join(parts)}'
  )


def next_commands(workdir: str, tasks: tuple[str, ...]) -> list[str]:
  """Returns the commands that use a finished run.

  Args:
    workdir: Directory of the run, quoted for a shell.
    tasks: Tasks of its model.
  """
  commands = [f'vgen evaluate --workdir={workdir}']
  if 'generate' in tasks or 'predict' in tasks:
    commands.insert(0, f'vgen sample --workdir={workdir} --num=16')
  return commands


def _millions(tree) -> str:
  number = sum(int(np.prod(x.shape)) for x in jax.tree.leaves(tree))
  return f'{number / 1e6:.2f} M'
