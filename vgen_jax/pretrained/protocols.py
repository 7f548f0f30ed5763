"""Protocols of FVD, FID, KID, IS and LPIPS in papers.

Scores such as FVD depend on the weights, the layer and the resizing of frames.
These are recorded in a protocol, a dict of plain values that accompanies each
score. Papers use several protocols under the names FVD and FID; here they are
named after the code that made them known.
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

Folders = Sequence[str | os.PathLike] | None
# {protocol: (weights, method of resizing)}.
FVD = {
  # Unterthiner et al., 2018, with a port of their weights.
  'original': ('i3d-torchscript', 'bilinear-tf1'),
  # Skorokhodov et al., "StyleGAN-V", 2021; with the resizing of PyTorch.
  'stylegan-v': ('i3d-torchscript', 'bilinear-half-pixel'),
  # Yan et al., "VideoGPT", 2021; another port, which keeps the aspect ratio.
  'videogpt': ('i3d-videogpt', 'bilinear-half-pixel-crop'),
  # Ge et al., "On the Content Bias in Frechet Video Distance", 2024.
  'cd-fvd': ('i3d-videogpt', 'bilinear-half-pixel'),
}
# {protocol: (method of resizing, values of 0 and 255)}.
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
  folders: Folders = None,
  batch_size: int = 8,
) -> features.Features:
  """Returns the features of FVD: 400 logits of I3D, one row per clip.

  Args:
    name: Protocol, one of `FVD`.
    frames: Length of the clips, 9 or more. Scores of different lengths are not
      comparable, so the length is part of the protocol.
    folders: Folders of weights, as in `weights.load`.
    batch_size: Clips per batch.

  Raises:
    ValueError: If the protocol is unknown, or `frames` is less than 9.
    weights.WeightsMissingError: If the file of weights is missing.
  """
  key, method = _lookup('protocol of FVD', name, FVD)
  if frames < i3d.MIN_FRAMES:
    raise checks.NotApplicableError(
      f'FVD was requested for clips of {frames} frames; I3D needs'
      f' {i3d.MIN_FRAMES} or more. Use longer clips, or FID of frames.'
    )
  found = weights.load(key, folders)
  network = i3d.I3D(found.entry.batch_norm_eps)
  shape = jax.ShapeDtypeStruct((1, frames, i3d.SIDE, i3d.SIDE, 3), jnp.float32)
  variables = torch_names.check_variables(
    network, i3d.variables(found.arrays), shape
  )
  protocol = {
    'name': f'fvd-{name}',
    'backbone': 'i3d',
    **_origin(found),
    'layer': 'logits',
    'row': 'clip',
    'frames': frames,
    'resize': method,
    'side': i3d.SIDE,
    'range': (-1.0, 1.0),
  }
  apply = lambda v, video_bthwc: network.apply(v, video_bthwc)['logits']
  return features.Features(apply, variables, protocol, batch_size)


def frames(
  name: str = 'torch-fidelity',
  *,
  layer: str = 'pooled',
  folders: Folders = None,
  batch_size: int = 32,
) -> features.Features:
  """Returns the features of FID, KID and IS: Inception, one row per frame.

  Args:
    name: Protocol, one of `FID`.
    layer: One of `LAYERS`: 'pooled', 2,048 numbers, for FID and KID;
      'probability', the softmax of 'logits_unbiased', for IS.
    folders: Folders of weights, as in `weights.load`.
    batch_size: Frames per batch.

  Raises:
    ValueError: If the protocol or the layer is unknown.
    weights.WeightsMissingError: If the file of weights is missing.
  """
  method, value_range = _lookup('protocol of FID', name, FID)
  _lookup('layer', layer, dict.fromkeys(LAYERS))
  found = weights.load('inception', folders)
  network = inception.Inception(batch_norm_eps=found.entry.batch_norm_eps)
  side = inception.SIDE
  shape = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
  arrays = torch_names.variables(found.arrays)
  variables = torch_names.check_variables(network, arrays, shape)
  protocol = {
    'name': f'frames-{name}',
    'backbone': 'inception-v3',
    **_origin(found),
    'layer': layer,
    'row': 'frame',
    'resize': method,
    'side': side,
    'range': value_range,
  }

  def apply(v, video_b1hwc):
    layers = network.apply(v, video_b1hwc[:, 0])
    layers['probability'] = jax.nn.softmax(layers['logits_unbiased'])
    return layers[layer]

  return features.Features(apply, variables, protocol, batch_size)


def perceptual(
  trunk: str = 'alex', *, folders: Folders = None, batch_size: int = 16
) -> features.Distance:
  """Returns LPIPS, version 0.1, as a distance between the frames of clips.

  Args:
    trunk: Classifier that gives the features: 'alex', as in most papers, or
      'vgg'.
    folders: Folders of weights, as in `weights.load`.
    batch_size: Frames per batch.

  Raises:
    ValueError: If the trunk is unknown.
    weights.WeightsMissingError: If a file of weights is missing.
  """
  _lookup('trunk of LPIPS', trunk, dict.fromkeys(lpips.TRUNKS))
  found = weights.load(f'lpips-{trunk}-trunk', folders)
  heads = weights.load(f'lpips-{trunk}', folders)
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
  """Returns the part of a protocol that identifies the weights."""
  return {
    'weights': found.entry.names[0],
    'sha256': found.sha256,
    'batch_norm_eps': found.entry.batch_norm_eps,
  }


def _lookup(kind: str, name: str, known: Mapping[str, Any]) -> Any:
  if name not in known:
    raise ValueError(f'Unknown {kind} {name!r}.{checks.hint(name, known)}')
  return known[name]
