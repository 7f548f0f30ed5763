"""Brings clips to a network, batch by batch, and features back.

How that is done decides a number as much as the network does, so it is written
down in a protocol, which goes with the number; see protocols.py.
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
  """A network, its weights, and how clips are brought to it.

  Attributes:
    protocol: What a number that comes of these features must say of itself:
      plain values, of which 'resize', 'side' and 'range' (what 0 and 255
      become) are obeyed here, and 'row' says what a row is of: 'clip' or
      'frame'. A 'frames' is the only length that clips may have.
  """

  def __init__(
    self,
    network: Callable[[Any, Array], Array],
    variables: Any,
    protocol: dict[str, Any],
    batch_size: int = 8,
  ):
    """Takes what protocols.py puts together.

    Args:
      network: Pure function from variables and resized clips to `[b, d]`; of
        frames it gets clips of one frame each.
      variables: Of the network.
      protocol: See above.
      batch_size: Clips, or frames, at a time. Features do not depend on it.
    """
    self.protocol = protocol
    self._variables = jax.device_put(variables)
    self._batch_size = batch_size

    def rows(variables, video_bthwc):
      # An accelerator's default product has 8 to 11 bits.
      with jax.default_matmul_precision('highest'):
        return network(variables, prepare(video_bthwc, protocol))

    self._rows = jax.jit(rows)

  def extract(self, video_bthwc: np.ndarray) -> np.ndarray:
    """Returns features, float32: a row a clip, or a row a frame, clip by clip.

    Args:
      video_bthwc: uint8, in 3 channels, or 1, which is then taken thrice.

    Raises:
      ValueError: If clips are of another kind or length; frames are neither cut
        off nor made up.
    """
    _check(video_bthwc)
    t, h, w, c = shapes.sizes('thwc', video_bthwc=video_bthwc)
    if t != self.protocol.get('frames', t):
      raise ValueError(
        f'Clips have {t} frames; these features are of'
        f' {self.protocol["frames"]}. The length belongs to the number: cut the'
        ' clips, or ask for features of their length.'
      )
    if self.protocol['row'] == 'frame':
      video_bthwc = video_bthwc.reshape(-1, 1, h, w, c)
    return _in_batches(
      self._rows, self._variables, self._batch_size, video_bthwc
    )


class Distance:
  """LPIPS between clips, frame by frame.

  Attributes:
    protocol: As in `Features`; a row is of a frame, and nothing is resized.
  """

  def __init__(
    self, variables: Any, protocol: dict[str, Any], batch_size: int = 16
  ):
    """Takes what protocols.py puts together; batches are of frames."""
    self.protocol = protocol
    self._variables = jax.device_put(variables)
    self._batch_size = batch_size

    def rows(variables, *pair_of_b1hwc):
      frames = [prepare(x, protocol)[:, 0] for x in pair_of_b1hwc]
      with jax.default_matmul_precision('highest'):
        return lpips.distance(variables, protocol['backbone'], *frames)

    self._rows = jax.jit(rows)

  def measure(
    self, video_bthwc: np.ndarray, truth_bthwc: np.ndarray
  ) -> np.ndarray:
    """Returns the distance of each frame from the true one, float32 `[b, t]`.

    Args:
      video_bthwc: uint8, as in `Features.extract`.
      truth_bthwc: What they should be.

    Raises:
      ValueError: If clips are of another kind, or shapes differ.
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
  """Returns uint8 clips as a network wants them, float32.

  Args:
    video_bthwc: In 3 channels, or 1.
    protocol: Its 'resize' (None leaves the size), 'side' and 'range' count.
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
      f'Clips are {video_bthwc.dtype} in {c} channels; features are taken of'
      ' uint8 in 3 (or 1), as films are: round and clip them first.'
    )


def _in_batches(
  rows: Callable[..., Array],
  variables: Any,
  batch_size: int,
  *videos_bthwc: np.ndarray,
) -> np.ndarray:
  """Returns rows of all clips; the last batch is filled up, then cut again."""
  found, count = [], len(videos_bthwc[0])
  for start in range(0, count, batch_size):
    batch = [x[start : start + batch_size] for x in videos_bthwc]
    short = batch_size - len(batch[0])
    batch = [np.pad(x, ((0, short), *[(0, 0)] * 4)) for x in batch]
    found.append(np.asarray(rows(variables, *batch))[: batch_size - short])
  if not found:
    raise ValueError('There are no clips to take features of.')
  return np.concatenate(found)
