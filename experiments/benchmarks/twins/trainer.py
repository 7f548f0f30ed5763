"""Train steps in PyTorch, with the updates of training/step.py.

Each step does what a step of vgen_jax does: all updates that are due, in the
same order, with Adam, and the moving averages of the parameters. A step here
neither computes accuracies, gradient norms and other metrics for logs, nor
checks for values that are not finite; vgen_jax does both.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from experiments.benchmarks.twins import transfer
from vgen_jax.training import averages
from vgen_jax.training import setup as setup_lib

Tensor = torch.Tensor
Batch = Mapping[str, np.ndarray]


class Trainer:
  """Parameters, optimizers and averages of all players.

  Attributes:
    setup: Setup of the run of vgen_jax.
    parts: {player: network}.
    updates: Updates of a step.
    metrics: Losses and their terms in the last step, {update/name: x}.
  """

  def __init__(
    self, setup: setup_lib.Setup, parts: Mapping[str, nn.Module], params: Any
  ):
    self.setup, self.parts = setup, dict(parts)
    self.updates = setup.model.updates
    self.metrics: dict[str, Tensor] = {}
    self._number = 0  # Of steps made so far.
    self._optimizers, self._averages = {}, {}
    settings = setup.settings
    if settings.accumulate > 1 or settings.guard.spike:
      raise ValueError(
        'The twin in PyTorch has no micro-batches and no limit of gradients;'
        f' config.accumulate is {settings.accumulate}, and config.guard.spike'
        f' {settings.guard.spike}.'
      )
    for update in self.updates:
      if update.with_previous or update.constraint or update.start:
        raise ValueError(
          f'The update {update.name} is simultaneous, has a constraint or'
          ' starts late; its twin in PyTorch does not.'
        )
    for player, part in self.parts.items():
      load(part, params[player])
      self._optimizers[player] = adam(settings.optim, player, part)
      self._averages[player] = {
        name: [p.detach().clone() for p in part.parameters()]
        for name in settings.ema
      }

  def step(self, batch: Batch, noises: Sequence[Any] = ()) -> None:
    """Makes a train step.

    Args:
      batch: Arrays of a batch of the pipeline; pixels are uint8.
      noises: Random numbers of each update, for the comparison with JAX; none
        to sample them.
    """
    inputs = prepare(batch)
    noise_of = iter(noises)
    self.metrics = {}
    for update in self.updates:
      if not update.is_due(self._number):
        continue
      part = self.parts[update.player]
      optimizer = self._optimizers[update.player]
      params = list(part.parameters())
      for group in optimizer.param_groups:
        group['lr'] = self.rate(update.player)
      for i in range(update.times):
        clips = {k: x[i :: update.times] for k, x in inputs.items()}
        loss, terms = getattr(self, update.loss)(
          update.player, clips, next(noise_of, None)
        )
        # Only gradients of the player's own parameters are computed.
        grads = torch.autograd.grad(loss, params, materialize_grads=True)
        for param, grad in zip(params, grads, strict=True):
          # Fused Adam reads gradients in the layout of the parameters.
          param.grad = grad.contiguous()
        optimizer.step()
        for name, value in {**terms, 'loss': loss}.items():
          self.metrics[f'{update.name}/{name}'] = value.detach()
    self._number += 1
    for player, trees in self._averages.items():
      params = [p.detach() for p in self.parts[player].parameters()]
      for name, average in trees.items():
        weight = 1 - decay(self.setup.settings.ema[name], self._number)
        torch._foreach_lerp_(average, params, weight)

  def rate(self, player: str) -> float:
    """Returns the learning rate, which must be constant.

    Raises:
      ValueError: If the schedule is not constant.
    """
    schedule = {
      **self.setup.settings.optim['schedule'],
      **_own(self.setup.settings.optim, player).get('schedule', {}),
    }
    if schedule['name'] != 'constant':
      raise ValueError(
        f'The schedule of {player} is {schedule["name"]!r}; its twin in PyTorch'
        " only has 'constant'."
      )
    return schedule['peak']

  def loss(
    self, player: str, batch: Mapping[str, Tensor], noise: Any
  ) -> tuple[Tensor, dict[str, Tensor]]:
    """Returns the loss of a player, and its terms.

    Args:
      player: Name of the player.
      batch: Tensors of a batch, from `prepare`.
      noise: Random numbers of the update; None to sample them.
    """
    raise NotImplementedError


def prepare(batch: Batch) -> dict[str, Tensor]:
  """Returns the batch as tensors; the video is `[b, c, t, h, w]` in [-1, 1]."""
  tensors = {'video': torch.from_numpy(batch['video'])}
  video_bthwc = tensors['video'].float().div_(127.5).sub_(1)
  tensors['video'] = video_bthwc.permute(0, 4, 1, 2, 3).contiguous()
  if 'label' in batch:
    tensors['label'] = torch.from_numpy(batch['label']).long()
  return tensors


def load(part: nn.Module, params: Any) -> None:
  """Copies the parameters of a Flax network to its twin.

  Raises:
    ValueError: If a parameter is missing, or has another shape.
  """
  arrays = transfer.to_twin(params, part)
  own = dict(part.named_parameters())
  shapes = {name: tuple(x.shape) for name, x in own.items()}
  given = {name: x.shape for name, x in arrays.items()}
  if shapes != given:
    raise ValueError(
      f'The twin {type(part).__name__} has parameters of the shapes'
      f' {shapes}, and the network {given}.'
    )
  with torch.no_grad():
    for name, x in arrays.items():
      own[name].copy_(torch.from_numpy(np.array(x)))


def adam(
  spec: Mapping[str, Any], player: str, part: nn.Module
) -> torch.optim.Optimizer:
  """Returns the optimizer of a player.

  Args:
    spec: Spec `config.optim`.
    player: Name of the player.
    part: Network of the player.

  Raises:
    ValueError: If it is not Adam, or has options that the twin does not read.
  """
  own = {**spec, **_own(spec, player)}
  known = ('name', 'schedule', 'players', 'b1', 'b2')
  if own['name'] != 'adam' or set(own) - set(known):
    raise ValueError(
      f'config.optim of {player} is {own}; its twin in PyTorch has only Adam'
      f' with {", ".join(known)}.'
    )
  betas = own.get('b1', 0.9), own.get('b2', 0.999)
  return torch.optim.Adam(part.parameters(), 1.0, betas, fused=True)


def decay(spec: Mapping[str, Any], number: int) -> float:
  """Returns the weight of the previous average after a number of steps."""
  if 'sigma_rel' in spec:
    gamma = averages.exponent(spec['sigma_rel'])
    return (1 - 1 / number) ** (gamma + 1)
  if spec.get('warmup', False):
    return min(spec['decay'], (1 + number) / (10 + number))
  return spec['decay']


def _own(spec: Mapping[str, Any], player: str) -> Mapping[str, Any]:
  return (spec.get('players') or {}).get(player, {})
