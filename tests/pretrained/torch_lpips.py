"""LPIPS in PyTorch, the reference for the tests."""

import torch
from torch import nn

# Layers of torchvision's `features`: (channels in, out, size, stride, padding)
# of a convolution, size of a pooling, or a layer that is compared.
ALEX = [(3, 64, 11, 4, 2), 'relu', 'depth', 3, (64, 192, 5, 1, 2), 'relu']
ALEX += ['depth', 3, (192, 384, 3, 1, 1), 'relu', 'depth']
ALEX += [(384, 256, 3, 1, 1), 'relu', 'depth', (256, 256, 3, 1, 1), 'relu']
ALEX += ['depth']
VGG = []
for count, i, o in ((2, 3, 64), (2, 64, 128), (3, 128, 256), (3, 256, 512)):
  VGG += [*([2] if VGG else []), (i, o, 3, 1, 1), 'relu']
  VGG += [(o, o, 3, 1, 1), 'relu'] * (count - 1) + ['depth']
VGG += [2, *[(512, 512, 3, 1, 1), 'relu'] * 3, 'depth']
TRUNKS = {'alex': ALEX, 'vgg': VGG}


class Lpips(nn.Module):
  """Distance `[b]` of two images `[b, 3, h, w]` in [-1, 1]."""

  def __init__(self, trunk, width=1.0):
    super().__init__()
    self.features, self.lins, self.depths = nn.Sequential(), [], set()
    channels = 3
    for part in TRUNKS[trunk]:
      if part == 'depth':
        self.depths.add(len(self.features) - 1)
        lin = nn.Conv2d(channels, 1, 1, bias=False)
        self.lins.append(lin)
        model = nn.Sequential(nn.Identity(), lin)
        self.add_module(f'lin{len(self.lins) - 1}', nn.Sequential())
        self._modules[f'lin{len(self.lins) - 1}'].model = model
      elif part == 'relu':
        self.features.append(nn.ReLU())
      elif isinstance(part, int):
        self.features.append(nn.MaxPool2d(part, 2))
      else:
        _, o, *rest = part
        o = round(o * width)
        self.features.append(nn.Conv2d(channels, o, *rest))
        channels = o

  def forward(self, a, b):
    column = lambda *values: torch.tensor(values)[None, :, None, None]
    shift, scale = column(-0.030, -0.088, -0.188), column(0.458, 0.448, 0.450)
    a, b, total = (a - shift) / scale, (b - shift) / scale, 0
    lins = iter(self.lins)
    for i, layer in enumerate(self.features):
      a, b = layer(a), layer(b)
      if i in self.depths:
        unit = lambda x: x / (x.norm(dim=1, keepdim=True) + 1e-10)
        gap = (unit(a) - unit(b)) ** 2
        total = total + next(lins)(gap).mean((1, 2, 3))
    return total
