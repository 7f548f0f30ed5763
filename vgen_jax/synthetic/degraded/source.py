"""Pairs of a clean and a degraded clip, with the degradation known.

`video` is the clean clip, the one to generate; `degraded` is uint8 of the same
or a smaller shape, and the condition. Colours are far from black and white, so
that hardly any noise is clipped.
"""

import math
from typing import NamedTuple

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.synthetic import base
from vgen_jax.synthetic import drawing
from vgen_jax.synthetic.layouts import source

KINDS = ('noise', 'blur', 'cast', 'low_resolution')
_CONTRAST = 0.4  # With this, colours are in [63, 193] of 255.
_CAST = 0.1  # The largest change of an entry of the colour matrix.


class Truth(NamedTuple):
  """Degradation of a clip; fields that do not apply describe no change.

  Attributes:
    noise: Standard deviation of white noise; colours are in [0, 1].
    kernel_k: Weights of the blur along x, and along y; frames are padded with
      their edges.
    matrix_33: Matrix from clean to degraded (red, green, blue).
    factor: Side of the squares of pixels that are averaged.
  """

  noise: float = 0.0
  kernel_k: np.ndarray = np.ones(1)
  matrix_33: np.ndarray = np.eye(3)
  factor: int = 1


class Degraded(base.SyntheticDataset):
  """Textured objects as in `layouts.Layouts`, and a degraded copy.

  Attributes:
    kind: One of KINDS.
    noise: Smallest and largest standard deviation; colours are in [0, 1].
    blur: Smallest and largest standard deviation of the blur, in pixels, 0.1 or
      more.
    factor: Side of the squares of pixels that 'low_resolution' averages; it
      must divide height and width.
  """

  def __init__(
    self,
    clip_shape: ClipShape,
    split: str = 'train',
    num_clips: int = 100_000,
    seed: int = 0,
    kind: str = 'noise',
    noise: tuple[float, float] = (0.02, 0.1),
    blur: tuple[float, float] = (0.6, 1.6),
    factor: int = 2,
  ):
    """Creates the dataset.

    For the arguments see `base.SyntheticDataset` and the attributes of the
    class.

    Raises:
      ValueError: If a value is out of its range, or the kind is unknown.
    """
    super().__init__(clip_shape, split, num_clips, seed)
    checks.one_of('config.data.kind', kind, KINDS)
    checks.in_range('config.data.noise[0]', noise[0], 0, noise[1])
    checks.in_range('config.data.blur[0]', blur[0], 0.1, blur[1])
    checks.in_range('config.data.factor', factor, 1, self.side)
    if kind == 'low_resolution' and (
      clip_shape[1] % factor or clip_shape[2] % factor
    ):
      raise ValueError(
        f'config.data.factor is {factor}; it must divide the height and width'
        f' of config.clip_shape, {tuple(clip_shape)}.'
      )
    self.kind = kind
    self.noise = tuple(noise)
    self.blur = tuple(blur)
    self.factor = factor
    self._clean = source.Layouts(
      clip_shape,
      split,
      num_clips,
      seed,
      num_objects=4,
      texture='waves',
      contrast=_CONTRAST,
    )

  def __getitem__(self, index: int) -> Clip:
    video_thwc = self._clean[index]['video']
    truth = self.truth(index)
    degraded_thwc = video_thwc.astype(np.float32)
    if self.kind == 'noise':
      rng = self.rng(index, 2)
      noise_thwc = rng.standard_normal(self.clip_shape, np.float32)
      degraded_thwc += 255 * truth.noise * noise_thwc
    elif self.kind == 'blur':
      degraded_thwc = _blur(degraded_thwc, truth.kernel_k)
    elif self.kind == 'cast':
      degraded_thwc = degraded_thwc @ truth.matrix_33.T.astype(np.float32)
    else:
      t, h, w, c = self.clip_shape
      k = self.factor
      degraded_thwc = degraded_thwc.reshape(t, h // k, k, w // k, k, c).mean(
        (2, 4)
      )
    degraded_thwc = drawing.to_uint8(np.clip(degraded_thwc, 0, 255))
    return {'video': video_thwc, 'degraded': degraded_thwc}

  def truth(self, index: int) -> Truth:
    """Returns the degradation of clip `index`."""
    draws = self.rng(index, 1).random(9)
    if self.kind == 'noise':
      return Truth(noise=base.interpolate(draws[0], *self.noise))
    if self.kind == 'blur':
      return Truth(kernel_k=_gaussian(base.interpolate(draws[0], *self.blur)))
    if self.kind == 'cast':
      change_33 = base.interpolate(draws, -_CAST, _CAST).reshape(3, 3)
      return Truth(matrix_33=np.eye(3) + change_33)
    return Truth(factor=self.factor)


def _gaussian(deviation: float) -> np.ndarray:
  """Returns Gaussian weights that add up to 1, out to three deviations."""
  reach = math.ceil(3 * deviation)
  weight_k = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
  return weight_k / weight_k.sum()


def _blur(video_thwc: np.ndarray, kernel_k: np.ndarray) -> np.ndarray:
  """Returns a clip blurred along both axes of its frames."""
  reach = len(kernel_k) // 2
  for axis in (1, 2):
    size = video_thwc.shape[axis]
    pad = [(0, 0)] * 4
    pad[axis] = (reach, reach)
    padded_thwc = np.pad(video_thwc, pad, mode='edge')
    video_thwc = sum(
      np.float32(weight) * padded_thwc.take(range(i, i + size), axis)
      for i, weight in enumerate(kernel_k)
    )
  return video_thwc
