"""Features computed from a file, against PyTorch.

They need the extra `parity`, and are skipped without it.
"""

import dataclasses

import numpy as np
import pytest

from tests.pretrained import seeded
from vgen_jax.pretrained import identity
from vgen_jax.pretrained import protocols
from vgen_jax.pretrained import weight_files

torch = pytest.importorskip('torch')
from tests.pretrained import make_references  # noqa: E402

pytestmark = [
  pytest.mark.slow,
  pytest.mark.filterwarnings('ignore'),  # TorchScript is deprecated.
]
ENOUGH = 1e-3


def publish(monkeypatch, path, key: str):
  """Makes a file the expected one for a key of the table."""
  with open(path, 'rb') as file:
    found = identity.of(file)
  entry = weight_files.FILES[key]
  entry = dataclasses.replace(entry, names=(path.name,), identities=(found,))
  monkeypatch.setitem(weight_files.FILES, key, entry)


def test_fvd_from_torchscript(monkeypatch, tmp_path):
  network, wanted = make_references.i3d()
  video = make_references.video(0, 1, 224, **make_references.I3D_CLIPS)
  traced = torch.jit.trace(network, video, strict=False)
  torch.jit.save(traced, tmp_path / 'i3d.pt')
  publish(monkeypatch, tmp_path / 'i3d.pt', 'i3d-torchscript')
  clips = seeded.clips(0, 4, **make_references.I3D_CLIPS)
  extract = lambda name: protocols.fvd(
    name, frames=10, folders=[tmp_path], batch_size=4
  ).extract(clips)
  logits = wanted['logits'].numpy()
  assert seeded.error(extract('stylegan-v'), logits) < ENOUGH
  assert seeded.error(extract('original'), logits) > 100 * ENOUGH
  # The stored reference is still the output.
  _, stored = seeded.load('i3d')
  assert seeded.error(stored['logits'], logits) < ENOUGH


def test_fid_from_a_state_dict(monkeypatch, tmp_path):
  network, wanted = make_references.inception(4)
  torch.save(network.state_dict(), tmp_path / 'inception.pth')
  publish(monkeypatch, tmp_path / 'inception.pth', 'inception')
  clips = seeded.clips(0, 4, **make_references.IMAGES)
  extract = lambda name, layer: protocols.frames(
    name, layer=layer, folders=[tmp_path], batch_size=4
  ).extract(clips)
  pooled = wanted['pooled'].numpy()
  assert seeded.error(extract('pytorch-fid', 'pooled'), pooled) < ENOUGH
  for name in ('torch-fidelity', 'clean-fid'):
    assert seeded.error(extract(name, 'pooled'), pooled) > 100 * ENOUGH
  chances = wanted['logits_unbiased'].softmax(1).numpy()
  found = extract('pytorch-fid', 'probability')
  assert seeded.error(found, chances) < 1e-2
  np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize('trunk', ['alex', 'vgg'])
def test_lpips_from_two_files(monkeypatch, tmp_path, trunk):
  network, wanted = make_references.lpips(trunk, 1.0)
  state = network.state_dict()
  heads = {k: v for k, v in state.items() if k.startswith('lin')}
  trunk_only = {k: v for k, v in state.items() if k not in heads}
  for key, part in ((f'{trunk}-trunk', trunk_only), (trunk, heads)):
    path = tmp_path / f'{key}.pth'
    torch.save(part, path, _use_new_zipfile_serialization=key == trunk)
    publish(monkeypatch, path, f'lpips-{key}')
  clips = seeded.clips(0, 6, 2, 64, 72)
  lpips = protocols.perceptual(trunk, folders=[tmp_path])
  found = lpips.by_frame(clips[:, :1], clips[:, 1:])[:, 0]
  assert seeded.error(found, wanted.numpy()) < ENOUGH
