"""Computes references for the tests of networks with PyTorch.

  python -m tests.pretrained.make_references

needs PyTorch (the extra `parity`) and rewrites `references/`. Run it only if a
network in torch_networks.py was wrong, and give the reason in the commit.

Weights are seeded. The statistics of batch norms are computed on clips: with
arbitrary ones, outputs are nearly equal for all clips, which hides errors.
"""

import sys

import torch
from torch.nn import functional

from tests.pretrained import seeded
from tests.pretrained import torch_lpips
from tests.pretrained import torch_networks

SMALL = 1 / 8
I3D_CLIPS = dict(t=10, h=40, w=56)
IMAGES = dict(t=1, h=60, w=80)
TO_CALIBRATE = (1, 2, 3)  # Seeds of batches.


def video(seed, count, side, t, h, w):
  """Returns clips in [-1, 1], resized by PyTorch; or frames of one clip."""
  clips = torch.from_numpy(seeded.clips(seed, count, t, h, w)).float()
  frames = clips.flatten(0, 1).permute(0, 3, 1, 2)
  frames = functional.interpolate(
    frames, (side, side), mode='bilinear', align_corners=False
  )
  return frames.unflatten(0, (count, t)).transpose(1, 2) / 127.5 - 1


def images(seed, count, **size):
  return video(seed, count, 299, **size)[:, :, 0]


def seed_weights(network):
  state = network.state_dict()
  shapes = {k: tuple(v.shape) for k, v in state.items() if v.ndim}
  made = {k: torch.from_numpy(v) for k, v in seeded.arrays(shapes).items()}
  network.load_state_dict(made, strict=False)


def calibrate(network, batches):
  """Sets the statistics of batch norms, rounded as they are stored."""
  network.train()
  for batch in batches:
    network(batch)
  for name, buffer in network.named_buffers():
    if name.endswith(seeded.STATISTICS):
      buffer.copy_(buffer.half().float())
  network.eval()


def state_of(network):
  return {k: v.numpy() for k, v in network.state_dict().items() if v.ndim}


@torch.no_grad()
def i3d(count=4, **kwargs):
  """Returns a calibrated I3D, and its outputs for the clips of seed 0."""
  network = torch_networks.I3D(**kwargs)
  seed_weights(network)
  calibrate(network, (video(s, 4, 224, **I3D_CLIPS) for s in TO_CALIBRATE))
  return network, network(video(0, count, 224, **I3D_CLIPS))


@torch.no_grad()
def inception(count=6, **kwargs):
  """Returns a calibrated Inception-v3, and its outputs for images."""
  network = torch_networks.Inception(**kwargs)
  seed_weights(network)
  calibrate(network, (images(s, 8, **IMAGES) for s in TO_CALIBRATE))
  return network, network(images(0, count, **IMAGES))


@torch.no_grad()
def lpips(trunk, width):
  """Returns LPIPS with seeded weights, and distances of pairs of images."""
  network = torch_lpips.Lpips(trunk, width)
  seed_weights(network)
  for lin in network.lins:
    lin.weight.abs_()  # As in the published heads.
  clips = torch.from_numpy(seeded.clips(0, 6, 2, 64, 72)).float()
  a, b = (clips / 127.5 - 1).permute(1, 0, 4, 2, 3)
  return network, network(a, b)


def resized():
  frames = torch.from_numpy(seeded.clips(0, 1, 1, 12, 17)[0]).float()
  resize = lambda *size: functional.interpolate(
    frames.permute(0, 3, 1, 2), size, mode='bilinear', align_corners=False
  ).permute(0, 2, 3, 1)[0]
  return {'up': resize(30, 30), 'down': resize(7, 7), 'aspect': resize(24, 34)}


class Scripted(torch_networks.nn.Module):
  """A network small enough to be committed as TorchScript."""

  def __init__(self):
    super().__init__()
    self.stem = torch_networks.Unit(3, 2, 3, 1, 1)
    self.head = torch_networks.nn.Conv2d(2, 2, 1)

  def forward(self, x, flag: bool = True):
    x = self.head(self.stem(x))
    return x * 2 if flag else x


def files():
  """Writes a file of each format that torch_files.py reads."""
  values = torch.arange(24, dtype=torch.float32) / 7
  kinds = ('bfloat16', 'bool', 'float16', 'float64', 'int16', 'int32', 'int64')
  content = {
    'epoch': 3,
    'plain': values.reshape(4, 6),
    'turned': values.reshape(4, 6).T,  # The same storage, other strides.
    'inside': values.reshape(2, 3, 4)[1, :, 1::2],
    'scalar': values[5],
    'none': values[:0],
    'parameter': torch.nn.Parameter(values[:3]),
    'inner': {'list': [values[:2], values[2:4]]},
    **{kind: values.to(getattr(torch, kind)) for kind in kinds},
    'int8': values.to(torch.int8) - 2,
    'uint8': values.to(torch.uint8),
  }
  to = seeded.REFERENCES
  torch.save(content, to / 'zip.pt')
  torch.save(content, to / 'legacy.pth', _use_new_zipfile_serialization=False)
  network = Scripted().eval()
  seed_weights(network)
  torch.jit.save(torch.jit.script(network), to / 'scripted.pt')
  traced = torch.jit.trace(network, torch.zeros(1, 3, 4, 4))
  torch.jit.save(traced, to / 'traced.pt')


def main():
  torch.manual_seed(0)
  seeded.REFERENCES.mkdir(exist_ok=True)
  files()
  for name, make in {
    'i3d_small': lambda: i3d(num_classes=16, width=SMALL),
    'i3d': i3d,
    'inception_small': lambda: inception(num_classes=16, width=SMALL),
    'inception': lambda: inception(4),
  }.items():
    network, outputs = make()
    if 'small' not in name:  # Other outputs are large and redundant.
      outputs.pop('pooled')
      outputs = {'logits': outputs['logits']}
    outputs = {k: v.numpy() for k, v in outputs.items()}
    seeded.save(name, state_of(network), **outputs)
    print(name, sum(x.numel() for x in network.parameters()), file=sys.stderr)
  for trunk in torch_lpips.TRUNKS:
    network, distance = lpips(trunk, SMALL)
    seeded.save(f'lpips_{trunk}', state_of(network), distance=distance.numpy())
  seeded.save('resize', {}, **{k: v.numpy() for k, v in resized().items()})


if __name__ == '__main__':
  main()
