"""Table of the files of weights that metrics use, with hashes and sources."""

import dataclasses

from vgen_jax.pretrained import identity

_Identity = identity.Identity


@dataclasses.dataclass(frozen=True)
class Entry:
  """One file of weights.

  Attributes:
    names: File names to search for; the first is the original one.
    identities: Identities of the file; the file must match one of them.
    sources: URLs to download it from.
    batch_norm_eps: Number that the network adds to variances in batch norms;
      None for networks without batch norm.
    license: License, if the source of the file states it.
  """

  names: tuple[str, ...]
  identities: tuple[_Identity, ...]
  sources: tuple[str, ...]
  batch_norm_eps: float | None = None
  license: str = 'not stated'


FILES = {
  'i3d-torchscript': Entry(
    names=('i3d_torchscript.pt',),
    identities=(
      _Identity(
        51_235_320,
        'bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2',
      ),
    ),
    sources=(
      'https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1',
      'https://huggingface.co/flateon/FVD-I3D-torchscript',
    ),
    batch_norm_eps=1e-3,
  ),
  'i3d-videogpt': Entry(
    names=('i3d_pretrained_400.pt',),
    identities=(
      _Identity(git_sha1='a867b87ac3a9097d200598b1d48a1b890d8ec744'),
      _Identity(
        50_939_526,
        '55095f049e706479d48e221adcdb145b2b9dc930ba28b081ed72367ffaa32343',
      ),
    ),
    sources=(
      'https://github.com/songweige/TATS/raw/main/tats/fvd/'
      'i3d_pretrained_400.pt',
      'https://drive.google.com/uc?id=1mQK8KD8G6UWRa5t87SRMm5PVXtlpneJT',
    ),
    batch_norm_eps=1e-5,
  ),
  'inception': Entry(
    names=(
      'pt_inception-2015-12-05-6726825d.pth',
      'weights-inception-2015-12-05-6726825d.pth',
    ),
    identities=(
      _Identity(
        95_628_359,
        '6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2',
      ),
    ),
    sources=(
      'https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/'
      'pt_inception-2015-12-05-6726825d.pth',
      'https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/'
      'weights-inception-2015-12-05-6726825d.pth',
    ),
    batch_norm_eps=1e-3,
    license='Apache-2.0',
  ),
  'lpips-alex-trunk': Entry(
    names=('alexnet-owt-7be5be79.pth',),
    identities=(
      _Identity(
        244_408_911,
        '7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02',
      ),
    ),
    sources=('https://download.pytorch.org/models/alexnet-owt-7be5be79.pth',),
  ),
  'lpips-vgg-trunk': Entry(
    names=('vgg16-397923af.pth',),
    identities=(
      _Identity(
        553_433_881,
        '397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0',
      ),
    ),
    sources=('https://download.pytorch.org/models/vgg16-397923af.pth',),
  ),
  'lpips-alex': Entry(
    names=('lpips-v0.1-alex.pth', 'v0.1/alex.pth', 'alex.pth'),
    identities=(
      _Identity(
        6_009,
        'df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0',
      ),
    ),
    sources=(
      'https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/'
      'weights/v0.1/alex.pth',
    ),
    license='BSD-2-Clause',
  ),
  'lpips-vgg': Entry(
    names=('lpips-v0.1-vgg.pth', 'v0.1/vgg.pth', 'vgg.pth'),
    identities=(
      _Identity(
        7_289,
        'a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868',
      ),
    ),
    sources=(
      'https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/'
      'weights/v0.1/vgg.pth',
    ),
    license='BSD-2-Clause',
  ),
}

# Files that are easily confused with those above: {git blob: description}.
REFUSED = {
  '73a4fd1d87eb3dbd97f33a9779fa1caa3d28111a': (
    "rgb_imagenet.pt of piergiaj's I3D; published FVD is not of these weights"
  ),
  '256709fa4870b5420323dccd803918b725310e6c': (
    'version 0.0 of LPIPS on alex, which did not standardize pixels'
  ),
  '90f4e134588da7a73a55ed074aa210afde7b35fc': (
    'version 0.0 of LPIPS on vgg, which did not standardize pixels'
  ),
}
