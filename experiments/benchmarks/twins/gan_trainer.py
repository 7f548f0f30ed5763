"""The train step of a GAN in PyTorch, with R1."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
import torch.nn.functional as F  # noqa: N812

from experiments.benchmarks.twins import trainer
from experiments.benchmarks.twins import transfer
from vgen_jax.families.adversarial import gan
from vgen_jax.training import setup as setup_lib

Tensor = torch.Tensor


class GANTrainer(trainer.Trainer):
  """The twin of a run with `gan.GAN`."""

  def __init__(
    self, setup: setup_lib.Setup, parts: Mapping[str, nn.Module], params: Any
  ):
    model = setup.model
    transfer.check_fields(
      model,
      ('clip_shape', 'generator', 'critic', 'num_classes', 'class_weight',
       'penalty_kind', 'penalty_weight', 'penalty_every',
       'num_critic_updates'),
    )  # fmt: skip
    transfer.check_value(model, 'penalty_kind', ('none', 'r1'))
    self.model: gan.GAN = model
    super().__init__(setup, parts, params)

  def loss(
    self, player: str, batch: Mapping[str, Tensor], noise: Any
  ) -> tuple[Tensor, dict[str, Tensor]]:
    generator, video_bcthw = self.parts['generator'], batch['video']
    one_hot_bk = self.one_hot(batch)
    b = len(video_bcthw)
    codes, frames = noise or (generator.noise(b), self._frames(b))
    if player == 'generator':
      fake_bcthw, penalty = generator(codes, one_hot_bk)
      loss = torch.as_tensor(penalty)
      for name, critic in self.parts.items():
        if name != 'generator':
          logit, class_logit_bk = critic(fake_bcthw, frames[name])
          loss = loss + F.softplus(-logit).mean()
          loss = loss + self._class_loss(class_logit_bk, batch)
      return loss, {}
    with torch.no_grad(), unchanged_statistics(generator):
      fake_bcthw, _ = generator(codes, one_hot_bk)
    critic, terms = self.parts[player], {}
    penalized = self.model.penalty_kind != 'none' and (
      self.model.penalty_every == 1
    )
    real_bcthw = video_bcthw.detach().requires_grad_(penalized)
    real_logit, class_logit_bk = critic(real_bcthw, frames[player])
    fake_logit, _ = critic(fake_bcthw, frames[player])
    loss = F.softplus(-real_logit).mean() + F.softplus(fake_logit).mean()
    loss = loss + self._class_loss(class_logit_bk, batch)
    if penalized:
      terms['penalty'] = self._r1(real_logit, real_bcthw)
      loss = loss + terms['penalty']
    return loss, terms

  def penalty(
    self, player: str, batch: Mapping[str, Tensor], noise: Any
  ) -> tuple[Tensor, dict[str, Tensor]]:
    """Returns the penalty of a lazy update, times its period.

    Args:
      player: Name of a critic.
      batch: Tensors of a batch, from `trainer.prepare`.
      noise: Random numbers of the update; None to sample them.
    """
    real_bcthw = batch['video'].detach().requires_grad_()
    _, frames = noise or (None, self._frames(len(real_bcthw)))
    logit, _ = self.parts[player](real_bcthw, frames[player])
    penalty = self._r1(logit, real_bcthw)
    return self.model.penalty_every * penalty, {'penalty': penalty}

  def _r1(self, logit: Tensor, real_bcthw: Tensor) -> Tensor:
    score = logit.flatten(1).mean(1).sum()
    (grad_bcthw,) = torch.autograd.grad(score, real_bcthw, create_graph=True)
    square_b = grad_bcthw.square().sum((1, 2, 3, 4))
    return self.model.penalty_weight * 0.5 * square_b.mean()

  def _class_loss(
    self, class_logit_bk: Tensor | None, batch: Mapping[str, Tensor]
  ) -> Tensor | float:
    if class_logit_bk is None:
      return 0.0
    loss = F.cross_entropy(class_logit_bk, batch['label'])
    return self.model.class_weight * loss

  def one_hot(self, batch: Mapping[str, Tensor]) -> Tensor:
    """Returns the labels of a batch as vectors; of width 0 without classes."""
    if not self.model.num_classes:
      return torch.zeros(len(batch['video']), 0)
    return F.one_hot(batch['label'], self.model.num_classes).float()

  def _frames(self, b: int) -> dict[str, Any]:
    return {
      name: part.frames(b)
      for name, part in self.parts.items()
      if name != 'generator'
    }


class unchanged_statistics:  # noqa: N801
  """A context in which running statistics of batch norm do not change."""

  def __init__(self, module: nn.Module):
    self._layers = [x for x in module.modules() if hasattr(x, 'momentum')]

  def __enter__(self):
    self._momenta = [layer.momentum for layer in self._layers]
    for layer in self._layers:
      layer.momentum = 0.0

  def __exit__(self, *error):
    for layer, momentum in zip(self._layers, self._momenta, strict=True):
      layer.momentum = momentum
