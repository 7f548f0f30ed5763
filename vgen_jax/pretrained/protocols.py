"""FVD, FID, KID, IS and LPIPS as papers take them: which features, of what.

A number such as FVD means little without how it came about: which weights,
which layer, how frames were resized. This is its protocol, a plain dict that
goes with each number. Papers that say FVD or FID use several; here they are,
under the names of the codes that made them known.
"""

from collections.abc import Mapping, Sequence
import os
from typing import Any

import jax
import jax.numpy as jnp

from vgen_jax.core import checks
from vgen_jax.pretrained import features
from vgen_jax.pretrained import i3d
from vgen_jax.pretrained import inception
from vgen_jax.pretrained import lpips
from vgen_jax.pretrained import torch_names
from vgen_jax.pretrained import weights

Places = Sequence[str | os.PathLike] | None
# Weights, and how frames are resized.
FVD = {
  # Unterthiner et al., 2018, by a port of their weights.
  'original': ('i3d-torchscript', 'bilinear-tf1'),
  # Skorokhodov et al., "StyleGAN-V", 2021; only resizing differs: PyTorch's.
  'stylegan-v': ('i3d-torchscript', 'bilinear-half-pixel'),
  # Yan et al., "VideoGPT", 2021; another port, and the aspect is kept.
  'videogpt': ('i3d-videogpt', 'bilinear-half-pixel-crop'),
  # Ge et al., "On the Content Bias in Frechet Video Distance", 2024.
  'cd-fvd': ('i3d-videogpt', 'bilinear-half-pixel'),
}
# How frames are resized, and what 0 and 255 become.
FID = {
  'torch-fidelity': ('bilinear-tf1', (-1.0, 127 / 128)),
  'pytorch-fid': ('bilinear-half-pixel', (-1.0, 1.0)),
  'clean-fid': ('bicubic-antialias', (-1.0, 127 / 128)),
}
LAYERS = ('pooled', 'logits', 'logits_unbiased', 'probability')


def fvd(
  name: str = 'stylegan-v',
  *,
  frames: int = 16,
  places: Places = None,
  batch_size: int = 8,
) -> features.Features:
  """Returns the features of FVD: 400 logits of I3D, a row a clip.

  Args:
    name: One of `FVD`: whose protocol.
    frames: Length of the clips; 9 or more. Values at other lengths are not
      comparable, so it belongs to the number.
    places: Folders of weights, as in `weights.load`.
    batch_size: Clips at a time.

  Raises:
    ValueError: If there is no such protocol, or frames are too few.
    weights.WeightsMissingError: If the weights are not there.
  """
  key, way = _known('protocol of FVD', name, FVD)
  if frames < i3d.LEAST_FRAMES:
    raise ValueError(
      f'FVD is asked for clips of {frames} frames; I3D needs'
      f' {i3d.LEAST_FRAMES} or more. Compare longer clips, or frames by FID.'
    )
  found = weights.load(key, places)
  network = i3d.I3D(found.entry.batch_norm_eps)
  shape = jax.ShapeDtypeStruct((1, frames, i3d.SIDE, i3d.SIDE, 3), jnp.float32)
  variables = torch_names.fitting(network, i3d.variables(found.arrays), shape)
  protocol = {
    'name': f'fvd-{name}',
    'backbone': 'i3d',
    **_origin(found),
    'layer': 'logits',
    'row': 'clip',
    'frames': frames,
    'resize': way,
    'side': i3d.SIDE,
    'range': (-1.0, 1.0),
  }
  apply = lambda v, video_bthwc: network.apply(v, video_bthwc)['logits']
  return features.Features(apply, variables, protocol, batch_size)


def frames(
  name: str = 'torch-fidelity',
  *,
  layer: str = 'pooled',
  places: Places = None,
  batch_size: int = 32,
) -> features.Features:
  """Returns the features of FID, KID and IS: of Inception, a row a frame.

  Args:
    name: One of `FID`: whose protocol.
    layer: One of `LAYERS`: 'pooled', 2,048 numbers, for FID and KID;
      'probability', the softmax of 'logits_unbiased', for IS.
    places: Folders of weights, as in `weights.load`.
    batch_size: Frames at a time.

  Raises:
    ValueError: If there is no such protocol or layer.
    weights.WeightsMissingError: If the weights are not there.
  """
  way, value_range = _known('protocol of FID', name, FID)
  _known('layer', layer, dict.fromkeys(LAYERS))
  found = weights.load('inception', places)
  network = inception.Inception(batch_norm_eps=found.entry.batch_norm_eps)
  side = inception.SIDE
  shape = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
  arrays = torch_names.variables(found.arrays)
  variables = torch_names.fitting(network, arrays, shape)
  protocol = {
    'name': f'frames-{name}',
    'backbone': 'inception-v3',
    **_origin(found),
    'layer': layer,
    'row': 'frame',
    'resize': way,
    'side': side,
    'range': value_range,
  }

  def apply(v, video_b1hwc):
    layers = network.apply(v, video_b1hwc[:, 0])
    layers['probability'] = jax.nn.softmax(layers['logits_unbiased'])
    return layers[layer]

  return features.Features(apply, variables, protocol, batch_size)


def perceptual(
  trunk: str = 'alex', *, places: Places = None, batch_size: int = 16
) -> features.Distance:
  """Returns LPIPS, version 0.1.

  Args:
    trunk: 'alex', as most papers, or 'vgg'.
    places: Folders of weights, as in `weights.load`.
    batch_size: Frames at a time.

  Raises:
    ValueError: If there is no such trunk.
    weights.WeightsMissingError: If the weights are not there.
  """
  _known('trunk of LPIPS', trunk, dict.fromkeys(lpips.TRUNKS))
  found = weights.load(f'lpips-{trunk}-trunk', places)
  heads = weights.load(f'lpips-{trunk}', places)
  protocol = {
    'name': f'lpips-v0.1-{trunk}',
    'backbone': trunk,
    **_origin(found),
    'heads_sha256': heads.sha256,
    'row': 'frame',
    'resize': None,
    'range': (-1.0, 1.0),
  }
  variables = lpips.variables(trunk, found.arrays, heads.arrays)
  return features.Distance(variables, protocol, batch_size)


def _origin(found: weights.Weights) -> dict[str, Any]:
  """Returns what tells these weights from all others."""
  return {
    'weights': found.entry.names[0],
    'sha256': found.sha256,
    'batch_norm_eps': found.entry.batch_norm_eps,
  }


def _known(kind: str, name: str, known: Mapping[str, Any]) -> Any:
  if name not in known:
    raise ValueError(
      f'There is no {kind} {name!r}.{checks.hint(name, list(known))}'
    )
  return known[name]
