"""The twin of SVG in PyTorch, and its train step on real frames."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from experiments.benchmarks.twins import layers
from experiments.benchmarks.twins import trainer
from experiments.benchmarks.twins import transfer
from vgen_jax.models import svg
from vgen_jax.nn.convolution import pyramids
from vgen_jax.training import setup as setup_lib

Tensor = torch.Tensor


class Recurrent(nn.Module):
  """A dense layer, LSTMs, and one dense layer for each output."""

  def __init__(
    self, in_width: int, width: int, num_layers: int, outputs: tuple[int, ...]
  ):
    super().__init__()
    self.num_layers, self.num_outputs = num_layers, len(outputs)
    self.add_module('in', nn.Linear(in_width, width))
    for i in range(num_layers):
      self.add_module(f'cell_{i}', nn.LSTM(width, width, batch_first=True))
    for i, out in enumerate(outputs):
      self.add_module(f'out_{i}', nn.Linear(width, out))

  def forward(self, x_btd: Tensor) -> list[Tensor]:
    x_btd = self.get_submodule('in')(x_btd)
    for i in range(self.num_layers):
      x_btd, _ = self.get_submodule(f'cell_{i}')(x_btd)
    return [
      self.get_submodule(f'out_{i}')(x_btd) for i in range(self.num_outputs)
    ]


class Encoder(nn.Module):
  """The twin of `frame_coders.Encoder`, for frames."""

  def __init__(self, num_channels: int, widths: list[int], code_width: int):
    super().__init__()
    self.num_layers = len(widths)
    in_widths = [num_channels, *widths]
    for i, width in enumerate(widths):
      stack = layers.down(in_widths[i], [width], (1, 4, 4))
      self.add_module(f'Down_{i}', stack)
    self.Conv3D_0 = nn.Conv2d(widths[-1], code_width, 4)

  def forward(self, x_bchw: Tensor) -> tuple[Tensor, list[Tensor]]:
    skips = []
    for i in range(self.num_layers):
      x_bchw = self.get_submodule(f'Down_{i}')(x_bchw)
      skips.append(x_bchw)
    return torch.tanh(self.Conv3D_0(x_bchw)[:, :, 0, 0]), skips


class Decoder(nn.Module):
  """The twin of `frame_coders.Decoder`, for frames."""

  def __init__(self, num_channels: int, widths: list[int], code_width: int):
    super().__init__()
    self.num_layers = len(widths)
    up = lambda in_width, width, start: layers.up(
      in_width, [width], (1, 4, 4), norm=False, start=start, slope=0.2
    )
    self.Up_0 = up(code_width, widths[-1], (1, 4, 4))
    for i in range(1, len(widths)):
      stack = up(2 * widths[-i], widths[-i - 1], None)
      self.add_module(f'Up_{i}', stack)
    self.ConvTranspose3D_0 = layers.head(2 * widths[0], num_channels, (1, 4, 4))

  def forward(self, code_bg: Tensor, skips: list[Tensor]) -> Tensor:
    x_bchw = self.Up_0(code_bg[:, :, None, None])
    for i in range(1, self.num_layers + 1):
      x_bchw = torch.cat([x_bchw, skips[-i]], 1)
      if i < self.num_layers:
        x_bchw = self.get_submodule(f'Up_{i}')(x_bchw)
    return torch.tanh(self.ConvTranspose3D_0(x_bchw))


class SVG(nn.Module):
  """The twin of `svg.SVG` with a learned prior and without norm.

  All inputs are real frames, so each LSTM runs over the whole clip at once.
  """

  def __init__(self, network: svg.SVG):
    super().__init__()
    transfer.check_fields(
      network,
      ('clip_shape', 'latent_width', 'width', 'code_width', 'hidden_width',
       'num_layers', 'norm', 'kernel_init', 'num_classes'),
    )  # fmt: skip
    transfer.check_value(network, 'norm', ('none',))
    self.network = network
    c, g, d = network.clip_shape[3], network.code_width, network.latent_width
    halvings = pyramids.num_halvings(network.clip_shape, 'SVG')
    widths = [network.width * 2**i for i in range(halvings)]
    self.encoder = Encoder(c, widths, g)
    self.decoder = Decoder(c, widths, g)
    width = network.hidden_width
    self.code_lstm = Recurrent(g + d, width, network.num_layers, (g,))
    self.posterior_lstm = Recurrent(g, width, 1, (d, d))
    self.prior_lstm = Recurrent(g, width, 1, (d, d))

  def forward(self, video_bcthw: Tensor, noise_btd: Tensor, num_context: int):
    """Returns predictions `[b, t - 1, c, h, w]`, posteriors and priors.

    Args:
      video_bcthw: Clips in [-1, 1].
      noise_btd: Noise of the latents from N(0, 1), `[b, t - 1, d]`.
      num_context: Number of known first frames.
    """
    b, _, t = video_bcthw.shape[:3]
    frames_bchw = video_bcthw.transpose(1, 2).flatten(0, 1)
    code_bg, skips = self.encoder(frames_bchw)
    code_btg = code_bg.unflatten(0, (b, t))
    mean_btd, log_var_btd = self.posterior_lstm(code_btg[:, 1:])
    log_var_btd = log_var_btd.clamp(-10, 10)
    prior_mean_btd, prior_log_var_btd = self.prior_lstm(code_btg[:, :-1])
    prior_log_var_btd = prior_log_var_btd.clamp(-10, 10)
    latent_btd = mean_btd + (log_var_btd / 2).exp() * noise_btd
    (next_btg,) = self.code_lstm(torch.cat([code_btg[:, :-1], latent_btd], 2))
    # After the context, skip connections are those of its last frame.
    last = min(num_context, t - 1) - 1
    source_t = torch.arange(t - 1).clamp(max=last)
    held = [x.unflatten(0, (b, t))[:, source_t].flatten(0, 1) for x in skips]
    frames_bchw = self.decoder(torch.tanh(next_btg).flatten(0, 1), held)
    return (
      frames_bchw.unflatten(0, (b, t - 1)),
      (mean_btd, log_var_btd),
      (prior_mean_btd, prior_log_var_btd),
    )


class SVGTrainer(trainer.Trainer):
  """The twin of a run with `stochastic.Stochastic` and SVG."""

  def __init__(
    self, setup: setup_lib.Setup, parts: Mapping[str, nn.Module], params: Any
  ):
    self.model = setup.model
    transfer.check_fields(
      self.model,
      ('clip_shape', 'predictor', 'num_context', 'beta', 'error_weight'),
    )
    super().__init__(setup, parts, params)

  def loss(
    self, player: str, batch: Mapping[str, Tensor], noise: Any
  ) -> tuple[Tensor, dict[str, Tensor]]:
    del player  # There is only one.
    model, video_bcthw = self.model, batch['video']
    b, _, t = video_bcthw.shape[:3]
    if noise is None:
      noise = torch.randn(b, t - 1, model.predictor.latent_width)
    frames_btchw, (mean, log_var), (prior_mean, prior_log_var) = self.parts[
      'predictor'
    ](video_bcthw, noise, model.num_context)
    target_btchw = video_bcthw.transpose(1, 2)[:, 1:]
    error = (t - 1) * (frames_btchw - target_btchw).square().mean()
    log_ratio = log_var - prior_log_var
    square = (mean - prior_mean).square() * (-prior_log_var).exp()
    kl = 0.5 * (log_ratio.exp() + square - 1 - log_ratio).sum((1, 2)).mean()
    loss = model.error_weight * error + model.beta * kl
    return loss, {'error': error, 'kl': kl}
