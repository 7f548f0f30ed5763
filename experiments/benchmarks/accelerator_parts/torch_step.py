"""The train step of configs/dit_world.py in PyTorch.

Flow matching with times whose logits are normal, label dropout, clipped
gradients, AdamW, and an average of the parameters.
"""

import torch
from torch import nn

from experiments.benchmarks.accelerator_parts import torch_dit


def compiled(model: torch_dit.VideoDiT, backend: str) -> nn.Module:
  """Returns the model, which torch.compile compiles at its first call.

  Deep models are compiled block by block, because all blocks have the same
  code; to compile the whole model would take minutes.

  Args:
    model: Model to compile.
    backend: Backend of torch.compile: 'inductor', or 'aot_eager', which traces
      the model and its gradient but generates no code.
  """
  if len(model.blocks) <= 12:
    return torch.compile(model, dynamic=False, backend=backend)
  for block in model.blocks:
    block.compile(dynamic=False, backend=backend)
  return model


class TrainStep:
  """Makes steps of flow matching on clips that stay on the device."""

  def __init__(
    self,
    model: torch_dit.VideoDiT,
    forward: nn.Module,
    video: torch.Tensor,
    label_b: torch.Tensor,
  ):
    """Creates the optimizer and the average of the parameters.

    Args:
      model: Model with the parameters.
      forward: The same model, compiled or not.
      video: Clips, float32.
      label_b: Classes of the clips.
    """
    self._forward, self._video, self._label_b = forward, video, label_b
    self._no_label = model.label.num_embeddings - 1
    self._params = list(model.parameters())
    self._average = [p.detach().clone() for p in self._params]
    self._optimizer = torch.optim.AdamW(
      self._params,
      lr=3e-4,
      betas=(0.9, 0.99),
      weight_decay=0.01,
      fused=video.is_cuda,
    )

  def run(self, steps: int) -> float:
    """Makes steps, waits for them, and returns the loss of the last one."""
    for _ in range(steps):
      loss = self._step()
    return float(loss)

  def _step(self) -> torch.Tensor:
    clean, b = self._video, len(self._video)
    noise = torch.randn_like(clean)
    time_b = torch.randn(b, device=clean.device).sigmoid()
    drops_b = torch.rand(b, device=clean.device) < 0.1
    label_b = torch.where(drops_b, self._no_label, self._label_b)
    time = time_b.view(-1, 1, 1, 1, 1)
    out = self._forward(time * clean + (1 - time) * noise, time_b, label_b)
    loss = (out - (clean - noise)).square().mean()
    loss.backward()
    nn.utils.clip_grad_norm_(self._params, 1.0)
    self._optimizer.step()
    self._optimizer.zero_grad(set_to_none=True)
    with torch.no_grad():
      torch._foreach_lerp_(self._average, self._params, 1e-4)
    return loss.detach()
