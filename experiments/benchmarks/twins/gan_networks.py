"""Twins of the networks of VGAN and MoCoGAN in PyTorch.

Each is built from the network of vgen_jax, and raises ValueError if a field is
set that the twin does not have.
"""

import torch
from torch import nn
import torch.nn.functional as F  # noqa: N812

from experiments.benchmarks.twins import layers
from experiments.benchmarks.twins import transfer
from vgen_jax.models import conv_critic
from vgen_jax.models import mocogan
from vgen_jax.models import vgan
from vgen_jax.nn.convolution import pyramids

Tensor = torch.Tensor

_COMMON = ('num_classes', 'width', 'norm', 'kernel_init')


class VGANGenerator(nn.Module):
  """The twin of `vgan.Generator`."""

  def __init__(self, network: vgan.Generator):
    super().__init__()
    transfer.check_fields(
      network, (*_COMMON, 'clip_shape', 'latent_width', 'mask_weight')
    )
    norm = transfer.check_value(network, 'norm', ('batch', 'none')) == 'batch'
    t, _, _, c = network.clip_shape
    levels = pyramids.num_halvings(network.clip_shape, 'VGAN')
    widths = [network.width * 2**i for i in reversed(range(levels))]
    self.network = network
    code = network.latent_width + network.num_classes
    start, whole = (t // 2**levels, 4, 4), (4, 4, 4)
    self.Up_0 = layers.up(code, widths, whole, norm=norm, start=start)
    self.Up_1 = layers.up(code, widths, (1, 4, 4), norm=norm, start=(1, 4, 4))
    self.ConvTranspose3D_0 = layers.head(network.width, c, whole)
    self.ConvTranspose3D_1 = layers.head(network.width, 1, whole)
    self.ConvTranspose3D_2 = layers.head(network.width, c, (1, 4, 4))

  def noise(self, b: int) -> tuple[Tensor, ...]:
    """Returns random latent codes."""
    return (torch.randn(b, self.network.latent_width),)

  def forward(self, noise: tuple[Tensor, ...], one_hot_bk: Tensor):
    """Returns clips `[b, c, t, h, w]`, and the penalty of the mask or 0."""
    code_bd = torch.cat([*noise, one_hot_bk], 1)
    front_bdthw = self.Up_0(code_bd[:, :, None, None, None])
    front_bcthw = torch.tanh(self.ConvTranspose3D_0(front_bdthw))
    mask_b1thw = torch.sigmoid(self.ConvTranspose3D_1(front_bdthw))
    back_bdhw = self.Up_1(code_bd[:, :, None, None])
    back_bchw = torch.tanh(self.ConvTranspose3D_2(back_bdhw))
    video_bcthw = (
      mask_b1thw * front_bcthw + (1 - mask_b1thw) * back_bchw[:, :, None]
    )
    weight = self.network.mask_weight
    return video_bcthw, weight * mask_b1thw.mean() if weight else 0.0


class ConvCritic(nn.Module):
  """The twin of `conv_critic.ConvCritic` for whole clips."""

  def __init__(
    self, network: conv_critic.ConvCritic, clip_shape: tuple[int, ...]
  ):
    super().__init__()
    transfer.check_fields(network, (*_COMMON, 'conditioning'))
    transfer.check_value(network, 'norm', ('none',))
    self.classifies = (
      transfer.check_value(network, 'conditioning', ('none', 'classes'))
      == 'classes'
    )
    t, _, _, c = clip_shape
    levels = pyramids.num_halvings(clip_shape, 'ConvCritic')
    widths = [network.width * 2**i for i in range(levels)]
    self.Down_0 = layers.down(c, widths, (4, 4, 4))
    outputs = 1 + (network.num_classes if self.classifies else 0)
    # Its kernel may have one frame, but its input always has the axis of time.
    self.Conv3D_0 = nn.Conv3d(widths[-1], outputs, (t // 2**levels, 4, 4))

  def frames(self, b: int) -> None:
    """Returns None: the critic takes whole clips."""

  def forward(self, video_bcthw: Tensor, frame_b: None):
    """Returns logits `[b, n]`, and logits of classes or None."""
    y_bothw = self.Conv3D_0(self.Down_0(video_bcthw))
    class_logit_bk = None
    if self.classifies:
      class_logit_bk = y_bothw[:, 1:].mean((2, 3, 4))
    return y_bothw[:, :1].flatten(1), class_logit_bk


class MoCoGANGenerator(layers.Stack):
  """The twin of `mocogan.Generator`."""

  def __init__(self, network: mocogan.Generator):
    super().__init__(0.0)
    transfer.check_fields(
      network, (*_COMMON, 'clip_shape', 'content_width', 'motion_width')
    )
    norm = transfer.check_value(network, 'norm', ('batch', 'none')) == 'batch'
    self.network = network
    motion = network.motion_width
    self.GRUCell_0 = nn.GRU(
      motion + network.num_classes, motion, batch_first=True
    )
    levels = pyramids.num_halvings(network.clip_shape, 'MoCoGAN')
    widths = [
      network.content_width + motion,
      *(network.width * 2**level for level in reversed(range(levels))),
      network.clip_shape[3],
    ]
    for i in range(levels + 1):
      layer = layers.conv(
        (widths[i], widths[i + 1]),
        (4, 4),
        (2, 2) if i else (1, 1),
        (1, 1) if i else (0, 0),
        transposed=True,
        bias=not norm,
      )
      if i < levels:
        self.append(f'ConvTranspose2D_{i}', layer, norm)
      else:
        self.last = f'ConvTranspose2D_{i}'
        self.add_module(self.last, layer)

  def noise(self, b: int) -> tuple[Tensor, ...]:
    """Returns random codes of content, and of the start and noise of motion."""
    network = self.network
    motion = network.motion_width
    return (
      torch.randn(b, network.content_width),
      torch.randn(b, motion),
      torch.randn(b, network.clip_shape[0], motion),
    )

  def forward(self, noise: tuple[Tensor, ...], one_hot_bk: Tensor):
    """Returns clips `[b, c, t, h, w]`, and 0."""
    content_bd, start_bd, noise_btd = noise
    b, t, _ = noise_btd.shape
    over_time = lambda x_bd: x_bd[:, None].expand(-1, t, -1)
    motion_btd, _ = self.GRUCell_0(
      torch.cat([noise_btd, over_time(one_hot_bk)], 2), start_bd[None]
    )
    code_btd = torch.cat([over_time(content_bd), motion_btd], 2)
    x_bdhw = super().forward(code_btd.flatten(0, 1)[:, :, None, None])
    frames_bchw = torch.tanh(self.get_submodule(self.last)(x_bdhw))
    return frames_bchw.unflatten(0, (b, t)).transpose(1, 2), 0.0


class ImageCritic(nn.Module):
  """The twin of `mocogan.ImageCritic`."""

  def __init__(self, network: mocogan.ImageCritic, clip_shape: tuple[int, ...]):
    super().__init__()
    transfer.check_fields(network, ('width', 'norm', 'kernel_init'))
    transfer.check_value(network, 'norm', ('none',))
    self.num_frames = clip_shape[0]
    hidden = min(3, pyramids.num_halvings(clip_shape, 'MoCoGAN') + 1)
    widths = [clip_shape[3], *(network.width * 2**i for i in range(hidden)), 1]
    self.num_layers = len(widths) - 1
    for i in range(self.num_layers):
      layer = layers.conv((widths[i], widths[i + 1]), (4, 4), (2, 2), (1, 1))
      self.add_module(f'Conv2D_{i}', layer)

  def frames(self, b: int) -> Tensor:
    """Returns the number of a random frame of each clip."""
    return torch.randint(self.num_frames, (b,))

  def forward(self, video_bcthw: Tensor, frame_b: Tensor):
    """Returns logits of one frame of each clip, `[b, 1, h, w]`, and None."""
    x_bchw = video_bcthw[torch.arange(len(video_bcthw)), :, frame_b]
    for i in range(self.num_layers):
      x_bchw = F.leaky_relu(x_bchw, 0.2) if i else x_bchw
      x_bchw = self.get_submodule(f'Conv2D_{i}')(x_bchw)
    return x_bchw, None


class VideoCritic(nn.Module):
  """The twin of `mocogan.VideoCritic`."""

  def __init__(self, network: mocogan.VideoCritic, clip_shape: tuple[int, ...]):
    super().__init__()
    transfer.check_fields(network, _COMMON)
    transfer.check_value(network, 'norm', ('none',))
    levels = pyramids.num_halvings(clip_shape, 'MoCoGAN')
    t, in_width = clip_shape[0], clip_shape[3]
    self.num_layers = levels + 1
    for i in range(self.num_layers):
      hidden = i < levels
      side = min(4, t)
      width = network.width * 2**i if hidden else 1 + network.num_classes
      layer = nn.Conv3d(
        in_width,
        width,
        (side, 4, 4),
        (1, 2, 2) if hidden else (1, 1, 1),
        (0, 1, 1) if hidden else (0, 0, 0),
      )
      self.add_module(f'Conv3D_{i}', layer)
      t, in_width = t - side + 1, width

  def frames(self, b: int) -> None:
    """Returns None: the critic takes whole clips."""

  def forward(self, video_bcthw: Tensor, frame_b: None):
    """Returns logits, and logits of classes or None."""
    x_bcthw = video_bcthw
    for i in range(self.num_layers):
      x_bcthw = F.leaky_relu(x_bcthw, 0.2) if i else x_bcthw
      x_bcthw = self.get_submodule(f'Conv3D_{i}')(x_bcthw)
    class_logit_bkthw = x_bcthw[:, 1:]
    has_classes = class_logit_bkthw.shape[1] > 0
    return (
      x_bcthw[:, :1],
      class_logit_bkthw.mean((2, 3, 4)) if has_classes else None,
    )


_TWINS = {
  vgan.Generator: VGANGenerator,
  mocogan.Generator: MoCoGANGenerator,
  conv_critic.ConvCritic: ConvCritic,
  mocogan.ImageCritic: ImageCritic,
  mocogan.VideoCritic: VideoCritic,
}


def twin(network, clip_shape: tuple[int, ...] | None = None) -> nn.Module:
  """Returns the twin of a generator, or of a critic of clips of a shape.

  Raises:
    ValueError: If the network has no twin, or a field with a value that the
      twin does not support.
  """
  kind = type(network)
  if kind not in _TWINS:
    names = ', '.join(known.__name__ for known in _TWINS)
    raise ValueError(
      f'{kind.__name__} has no twin in PyTorch; the twins are those of {names}.'
    )
  return _TWINS[kind](network, *([clip_shape] if clip_shape else []))
