"""I3D and Inception-v3 in PyTorch, the references for the tests.

They were written from the papers and the names in published state dicts,
independently of the JAX code: padding is computed explicitly, and pooling pads
with zeros.
"""

import torch
from torch import nn
from torch.nn import functional

MIXED = {
  'Mixed_3b': (192, 64, 96, 128, 16, 32, 32),
  'Mixed_3c': (256, 128, 128, 192, 32, 96, 64),
  'Mixed_4b': (480, 192, 96, 208, 16, 48, 64),
  'Mixed_4c': (512, 160, 112, 224, 24, 64, 64),
  'Mixed_4d': (512, 128, 128, 256, 24, 64, 64),
  'Mixed_4e': (512, 112, 144, 288, 32, 64, 64),
  'Mixed_4f': (528, 256, 160, 320, 32, 128, 128),
  'Mixed_5b': (832, 256, 160, 320, 32, 128, 128),
  'Mixed_5c': (832, 384, 192, 384, 48, 128, 128),
}


def pad_same(x, sizes, strides):
  """Pads with zeros so that ceil(size / stride) windows fit."""
  pads = []
  for n, k, s in zip(x.shape[2:], sizes, strides, strict=True):
    need = max((-(-n // s) - 1) * s + k - n, 0)
    pads = [need // 2, need - need // 2, *pads]
  return functional.pad(x, pads)


def pool_same(x, sizes, strides):
  return functional.max_pool3d(pad_same(x, sizes, strides), sizes, strides)


class Unit3D(nn.Module):
  def __init__(self, i, o, size, stride, eps):
    super().__init__()
    self.conv3d = nn.Conv3d(i, o, size, stride, bias=False)
    self.bn = nn.BatchNorm3d(o, eps, momentum=None)

  def forward(self, x):
    x = pad_same(x, self.conv3d.kernel_size, self.conv3d.stride)
    return torch.relu(self.bn(self.conv3d(x)))


class Mixed(nn.Module):
  def __init__(self, channels, eps):
    super().__init__()
    i, a, b, c, d, e, f = channels
    self.b0 = Unit3D(i, a, 1, 1, eps)
    self.b1a, self.b1b = Unit3D(i, b, 1, 1, eps), Unit3D(b, c, 3, 1, eps)
    self.b2a, self.b2b = Unit3D(i, d, 1, 1, eps), Unit3D(d, e, 3, 1, eps)
    self.b3b = Unit3D(i, f, 1, 1, eps)

  def forward(self, x):
    pooled = pool_same(x, (3, 3, 3), (1, 1, 1))
    return torch.cat(
      [
        self.b0(x),
        self.b1b(self.b1a(x)),
        self.b2b(self.b2a(x)),
        self.b3b(pooled),
      ],
      1,
    )


class I3D(nn.Module):
  """Logits and pooled features of clips `[b, 3, t, 224, 224]`."""

  def __init__(self, num_classes=400, width=1.0, eps=1e-3):
    super().__init__()
    of = lambda *channels: [round(c * width) for c in channels]
    self.Conv3d_1a_7x7 = Unit3D(3, *of(64), 7, 2, eps)
    self.Conv3d_2b_1x1 = Unit3D(*of(64, 64), 1, 1, eps)
    self.Conv3d_2c_3x3 = Unit3D(*of(64, 192), 3, 1, eps)
    for name, channels in MIXED.items():
      self.add_module(name, Mixed(of(*channels), eps))
    self.logits = nn.Sequential()
    self.logits.conv3d = nn.Conv3d(*of(1024), num_classes, 1)

  def forward(self, x):
    x = pool_same(self.Conv3d_1a_7x7(x), (1, 3, 3), (1, 2, 2))
    x = self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x))
    x = pool_same(x, (1, 3, 3), (1, 2, 2))
    x = pool_same(self.Mixed_3c(self.Mixed_3b(x)), (3, 3, 3), (2, 2, 2))
    for letter in 'bcdef':
      x = getattr(self, f'Mixed_4{letter}')(x)
    x = pool_same(x, (2, 2, 2), (2, 2, 2))
    x = functional.avg_pool3d(self.Mixed_5c(self.Mixed_5b(x)), (2, 7, 7), 1)
    return {
      'logits': self.logits(x)[..., 0, 0].mean(2),
      'pooled': x[..., 0, 0].mean(2),
    }


class Unit(nn.Module):
  def __init__(self, i, o, size, stride, padding):
    super().__init__()
    self.conv = nn.Conv2d(i, o, size, stride, padding, bias=False)
    self.bn = nn.BatchNorm2d(o, 1e-3, momentum=None)

  def forward(self, x):
    return torch.relu(self.bn(self.conv(x)))


class Block(nn.Module):
  """Parallel branches; a branch that splits has a list at its end.

  A unit is (name, channels, size, stride); 'pool' stands for the pooling.
  """

  def __init__(self, i, width, pool, *branches):
    super().__init__()
    self.pool, self.branches, self.out = pool, branches, 0
    for branch in branches:
      self.out += self.build(i, branch, width)

  def build(self, i, branch, width):
    for part in branch:
      if isinstance(part, list):
        return sum(self.build(i, [unit], width) for unit in part)
      if part != 'pool':
        name, o, size, stride = (*part, 1)[:4]
        size = size if isinstance(size, tuple) else (size, size)
        padding = tuple(k // 2 for k in size) if stride == 1 else 0
        o = round(o * width)
        self.add_module(name, Unit(i, o, size, stride, padding))
        i = o
    return i

  def run(self, x, branch):
    for part in branch:
      if isinstance(part, list):
        return torch.cat([self.run(x, [unit]) for unit in part], 1)
      x = self.pool(x) if part == 'pool' else self._modules[part[0]](x)
    return x

  def forward(self, x):
    return torch.cat([self.run(x, branch) for branch in self.branches], 1)


def average(x):
  return functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def largest(x):
  return functional.max_pool2d(x, 3, 1, 1)


def halved(x):
  return functional.max_pool2d(x, 3, 2)


def square(i, width, pooled):
  double = [('branch3x3dbl_1', 64, 1)]
  double += [(f'branch3x3dbl_{n}', 96, 3) for n in (2, 3)]
  return Block(
    *(i, width, average),
    [('branch1x1', 64, 1)],
    [('branch5x5_1', 48, 1), ('branch5x5_2', 64, 5)],
    double,
    ['pool', ('branch_pool', pooled, 1)],
  )


def halve35(i, width):
  return Block(
    *(i, width, halved),
    [('branch3x3', 384, 3, 2)],
    [
      ('branch3x3dbl_1', 64, 1),
      ('branch3x3dbl_2', 96, 3),
      ('branch3x3dbl_3', 96, 3, 2),
    ],
    ['pool'],
  )


def stripes(i, width, c):
  return Block(
    *(i, width, average),
    [('branch1x1', 192, 1)],
    [
      ('branch7x7_1', c, 1),
      ('branch7x7_2', c, (1, 7)),
      ('branch7x7_3', 192, (7, 1)),
    ],
    [
      ('branch7x7dbl_1', c, 1),
      ('branch7x7dbl_2', c, (7, 1)),
      ('branch7x7dbl_3', c, (1, 7)),
      ('branch7x7dbl_4', c, (7, 1)),
      ('branch7x7dbl_5', 192, (1, 7)),
    ],
    ['pool', ('branch_pool', 192, 1)],
  )


def halve17(i, width):
  return Block(
    *(i, width, halved),
    [('branch3x3_1', 192, 1), ('branch3x3_2', 320, 3, 2)],
    [
      ('branch7x7x3_1', 192, 1),
      ('branch7x7x3_2', 192, (1, 7)),
      ('branch7x7x3_3', 192, (7, 1)),
      ('branch7x7x3_4', 192, 3, 2),
    ],
    ['pool'],
  )


def split(i, width, pool):
  fork = lambda name: [(f'{name}a', 384, (1, 3)), (f'{name}b', 384, (3, 1))]
  return Block(
    *(i, width, pool),
    [('branch1x1', 320, 1)],
    [('branch3x3_1', 384, 1), fork('branch3x3_2')],
    [
      ('branch3x3dbl_1', 448, 1),
      ('branch3x3dbl_2', 384, 3),
      fork('branch3x3dbl_3'),
    ],
    ['pool', ('branch_pool', 192, 1)],
  )


class Inception(nn.Module):
  """Logits and pooled features of images `[b, 3, 299, 299]`."""

  def __init__(self, num_classes=1008, width=1.0):
    super().__init__()
    of = lambda *channels: [round(c * width) for c in channels]
    self.Conv2d_1a_3x3 = Unit(3, *of(32), 3, 2, 0)
    self.Conv2d_2a_3x3 = Unit(*of(32, 32), 3, 1, 0)
    self.Conv2d_2b_3x3 = Unit(*of(32, 64), 3, 1, 1)
    self.Conv2d_3b_1x1 = Unit(*of(64, 80), 1, 1, 0)
    self.Conv2d_4a_3x3 = Unit(*of(80, 192), 3, 1, 0)
    (i,) = of(192)
    plan = {'5b': (square, 32), '5c': (square, 64), '5d': (square, 64)}
    plan |= {'6a': (halve35,), '6b': (stripes, 128), '6c': (stripes, 160)}
    plan |= {'6d': (stripes, 160), '6e': (stripes, 192), '7a': (halve17,)}
    plan |= {'7b': (split, average), '7c': (split, largest)}
    self.mixed = [f'Mixed_{name}' for name in plan]
    for name, (kind, *rest) in plan.items():
      block = kind(i, width, *rest)
      self.add_module(f'Mixed_{name}', block)
      i = block.out
    self.fc = nn.Linear(i, num_classes)

  def forward(self, x):
    x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
    x = halved(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(halved(x))))
    for name in self.mixed:
      x = self._modules[name](x)
    x = x.mean((2, 3))
    return {
      'pooled': x,
      'logits': self.fc(x),
      'logits_unbiased': x @ self.fc.weight.T,
    }
