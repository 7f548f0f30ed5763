"""Computes features of clips with a network, batch by batch.

The preprocessing affects a score as much as the network does, so it is recorded
in a protocol that accompanies the score; see protocols.py.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.pretrained import lpips
from vgen_jax.pretrained import resize


class Features:
  """A network with its weights and its preprocessing.

  Attributes:
    protocol: Settings that must accompany every score of these features, as
      plain values. This class uses 'resize', the method of resizing or None;
      'side', in pixels; 'range', the numbers that pixels 0 and 255 become;
      'row', what a row of features describes, 'clip' or 'frame'; and 'frames',
      if there is this entry, the length that clips must have.
  """

  def __init__(
    self,
    network: Callable[[Any, Array], Array],
    variables: Any,
    protocol: dict[str, Any],
    batch_size: int = 8,
  ):
    """Initializes the features; protocols.py makes the arguments.

    Args:
      network: Pure function from variables and preprocessed clips to `[b, d]`;
        if rows describe frames, it gets clips of one frame.
      variables: Variables of the network.
      protocol: See the attribute of the class.
      batch_size: Clips or frames per batch. Features do not depend on it.
    """
    self.protocol = protocol
    self._variables = jax.device_put(variables)
    self._batch_size = batch_size

    def rows(variables, video_bthwc):
      # The default precision on accelerators is 8 to 11 bits.
      with jax.default_matmul_precision('highest'):
        return network(variables, prepare(video_bthwc, protocol))

    self._rows = jax.jit(rows)

  def extract(self, video_bthwc: np.ndarray) -> np.ndarray:
    """Returns features, float32 `[b, d]`, or `[b * t, d]` with rows of frames.

    Args:
      video_bthwc: Clips, uint8 with 3 channels, or 1, which is repeated.

    Raises:
      ValueError: If there are no clips, or they have another dtype, number of
        channels or length; clips are neither cut nor padded.
    """
    _check(video_bthwc)
    t, h, w, c = shapes.sizes('thwc', video_bthwc=video_bthwc)
    if t != self.protocol.get('frames', t):
      raise ValueError(
        f'Clips have {t} frames; these features need'
        f' {self.protocol["frames"]}, because scores depend on the length. Cut'
        ' the clips, or use features for their length.'
      )
    if self.protocol['row'] == 'frame':
      video_bthwc = video_bthwc.reshape(-1, 1, h, w, c)
    return _in_batches(
      self._rows, self._variables, self._batch_size, video_bthwc
    )


class Distance:
  """LPIPS between clips, frame by frame.

  Attributes:
    protocol: As in `Features`; rows describe frames, and nothing is resized.
  """

  def __init__(
    self, variables: Any, protocol: dict[str, Any], batch_size: int = 16
  ):
    """Initializes the distance; protocols.py makes the arguments.

    Args:
      variables: Variables of `lpips.distance`.
      protocol: See the attribute of the class.
      batch_size: Frames per batch.
    """
    self.protocol = protocol
    self._variables = jax.device_put(variables)
    self._batch_size = batch_size

    def rows(variables, *pair_of_b1hwc):
      frames = [prepare(x, protocol)[:, 0] for x in pair_of_b1hwc]
      with jax.default_matmul_precision('highest'):
        return lpips.distance(variables, protocol['backbone'], *frames)

    self._rows = jax.jit(rows)

  def by_frame(
    self, video_bthwc: np.ndarray, truth_bthwc: np.ndarray
  ) -> np.ndarray:
    """Returns the distance of each frame to the true one, float32 `[b, t]`.

    Args:
      video_bthwc: uint8 clips, as in `Features.extract`.
      truth_bthwc: Their ground truth.

    Raises:
      ValueError: If there are no clips, they have another dtype, or shapes
        differ.
    """
    _check(video_bthwc)
    _check(truth_bthwc)
    b, t, h, w, c = shapes.sizes(
      'bthwc', video_bthwc=video_bthwc, truth_bthwc=truth_bthwc
    )
    flat = [x.reshape(-1, 1, h, w, c) for x in (video_bthwc, truth_bthwc)]
    return _in_batches(
      self._rows, self._variables, self._batch_size, *flat
    ).reshape(b, t)


def prepare(video_bthwc: Array, protocol: dict[str, Any]) -> Array:
  """Returns clips preprocessed for a network, float32 with 3 channels.

  Args:
    video_bthwc: Clips, uint8, with 3 channels or 1.
    protocol: Protocol with 'resize' (None keeps the size), 'side' and 'range'.
  """
  x_bthwc = video_bthwc.astype(jnp.float32)
  if protocol['resize'] is not None:
    x_bthwc = resize.resize(protocol['resize'], x_bthwc, protocol['side'])
    x_bthwc = jnp.clip(x_bthwc, 0, 255)  # Cubic kernels overshoot.
  if x_bthwc.shape[-1] == 1:
    x_bthwc = jnp.repeat(x_bthwc, 3, -1)
  low, high = protocol['range']
  return x_bthwc * ((high - low) / 255) + low


def _check(video_bthwc: np.ndarray) -> None:
  (c,) = shapes.sizes('c', video_bthwc=video_bthwc)
  if video_bthwc.dtype != np.uint8 or c not in (1, 3):
    raise ValueError(
      f'Clips are {video_bthwc.dtype} with {c} channels; features need uint8'
      ' with 3 or 1, as in video files. Convert them with'
      ' core.pixels.to_uint8, or select channels.'
    )


def _in_batches(
  rows: Callable[..., Array],
  variables: Any,
  batch_size: int,
  *videos_bthwc: np.ndarray,
) -> np.ndarray:
  """Returns the rows of all clips, in batches of one size.

  The last batch is padded with zeros, and the rows of the padding are removed.
  """
  found, count = [], len(videos_bthwc[0])
  for start in range(0, count, batch_size):
    batch = [x[start : start + batch_size] for x in videos_bthwc]
    short = batch_size - len(batch[0])
    batch = [np.pad(x, ((0, short), *[(0, 0)] * 4)) for x in batch]
    found.append(np.asarray(rows(variables, *batch))[: batch_size - short])
  if not found:
    raise ValueError('There are no clips; features need 1 or more: give some.')
  return np.concatenate(found)
