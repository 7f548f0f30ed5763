"""Which files of weights metrics know, and where to find them.

Nothing is downloaded: a metric whose file is absent is not computed, and says
what file that is. No other weights ever stand in for it, random ones least of
all. A file is known by its bytes, not by its name.
"""

from collections.abc import Sequence
import dataclasses
import os
import pathlib
from typing import Any

import numpy as np

from vgen_jax.core import checks
from vgen_jax.pretrained import identity
from vgen_jax.pretrained import torch_files

VARIABLE = 'VGEN_WEIGHTS'
_Identity = identity.Identity


@dataclasses.dataclass(frozen=True)
class Entry:
  """One file of weights.

  Attributes:
    names: Names that it is looked for under, the first being its own.
    identities: What it is known by; any of them will do.
    sources: Where to get it.
    batch_norm_eps: Added to variances by the network that it belongs to; None
      for networks without batch norm.
    license: As far as it is stated where the file comes from.
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

# Files that are taken for those above, by their names in git, and what they
# are.
REFUSED = {
  '73a4fd1d87eb3dbd97f33a9779fa1caa3d28111a': (
    "rgb_imagenet.pt of piergiaj's I3D; published FVD is not of these weights"
  ),
  '256709fa4870b5420323dccd803918b725310e6c': (
    'version 0.0 of LPIPS on alex, which did not standardise pixels'
  ),
  '90f4e134588da7a73a55ed074aa210afde7b35fc': (
    'version 0.0 of LPIPS on vgg, which did not standardise pixels'
  ),
}


@dataclasses.dataclass(frozen=True)
class Weights:
  """What a file holds, and what is known of it.

  Attributes:
    arrays: State dict of PyTorch, of numpy's arrays; read-only.
    sha256: Of the file that was read.
    entry: Of the table above.
  """

  arrays: dict[str, np.ndarray]
  sha256: str
  entry: Entry


class WeightsMissingError(FileNotFoundError):
  """A file of weights that is in none of the folders."""

  def __init__(self, entry: Entry, searched: Sequence[pathlib.Path]):
    self.entry = entry
    self.searched = tuple(map(str, searched))
    known = '; or '.join(map(str, entry.identities))
    super().__init__(
      f'No file {entry.names[0]} ({known}). Get it from'
      f' {" or ".join(entry.sources)} and put it into a folder that'
      f' {VARIABLE} names. Looked for {", ".join(self.searched)}.'
    )

  def report(self) -> dict[str, Any]:
    """Returns what stands in a report in place of the metric's number."""
    return {
      'value': None,
      'status': 'weights-missing',
      'file': self.entry.names[0],
      'identities': [dataclasses.asdict(x) for x in self.entry.identities],
      'sources': list(self.entry.sources),
      'searched': list(self.searched),
    }


def folders() -> tuple[pathlib.Path, ...]:
  """Returns where weights are looked for.

  These are the folders in the environment variable VGEN_WEIGHTS; without it,
  `~/.cache/vgen_jax/weights`, and where PyTorch keeps what it downloads.
  """
  named = os.environ.get(VARIABLE)
  if named:
    return tuple(map(pathlib.Path, named.split(os.pathsep)))
  cache = pathlib.Path.home() / '.cache'
  return (cache / 'vgen_jax/weights', cache / 'torch/hub/checkpoints')


def load(
  key: str, places: Sequence[str | os.PathLike] | None = None
) -> Weights:
  """Returns the weights of a file, once its bytes are known to be right.

  Args:
    key: One of `FILES`.
    places: Folders to look in, in this order; None is `folders()`.

  Raises:
    WeightsMissingError: If it is in none of them.
    identity.WrongFileError: If a file of its name has other bytes.
    ValueError: If no file has the key, or the code in a file has another eps
      than the table.
  """
  if key not in FILES:
    raise ValueError(
      f'There are no weights {key!r}.{checks.hint(key, list(FILES))}'
    )
  entry = FILES[key]
  places = folders() if places is None else map(pathlib.Path, places)
  paths = [place / name for place in places for name in entry.names]
  path = next((path for path in paths if path.is_file()), None)
  if path is None:
    raise WeightsMissingError(entry, paths)
  try:
    file = torch_files.read(path, entry.identities)
  except identity.WrongFileError as error:
    what = REFUSED.get(error.found.git_sha1)
    if what is None:
      raise
    message = f'{path} is {what}. Get {" or ".join(entry.sources)}.'
    raise identity.WrongFileError(message, error.found) from error
  if file.batch_norm_eps not in (None, {entry.batch_norm_eps}):
    raise ValueError(
      f'The code in {path} adds {sorted(file.batch_norm_eps)} to the variances'
      f' of its batch norms; the table says {entry.batch_norm_eps}. A wrong one'
      ' gives another distance: mend the table.'
    )
  return Weights(file.arrays, file.sha256, entry)
