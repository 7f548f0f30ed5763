"""Pairs of a clean clip and what a bad camera made of it, with how it did so.

`video` is the clean clip, the one to draw; `degraded` is uint8 of the same
shape, or of a smaller one, and what a model is given. Colours keep away from
black and white, so that hardly any noise is cut off.
"""

import math
from typing import NamedTuple

import numpy as np

from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.synthetic.layouts import source
from vgen_jax.synthetic.world import variant

KINDS = ('noise', 'blur', 'cast', 'low_resolution')
_CONTRAST = 0.4  # With this, colours are in [63, 193] of 255.
_CAST = 0.1  # The largest change of an entry of the colour matrix.


class Truth(NamedTuple):
  """How a clip was degraded; what does not apply is that of no harm.

  Attributes:
    noise: Standard deviation of white noise; colours are in [0, 1].
    kernel_k: Weights of the blur along x, and along y; frames are continued
      by their edges.
    matrix_33: From clean to degraded (red, green, blue).
    factor: Pixels a side that became one, by their mean.
  """

  noise: float = 0.0
  kernel_k: np.ndarray = np.ones(1)
  matrix_33: np.ndarray = np.eye(3)
  factor: int = 1


class Degraded(variant.SyntheticDataset):
  """Textured objects as in `layouts.Layouts`, and a degraded copy.

  Attributes:
    kind: One of KINDS.
    noise: Least and largest standard deviation; colours are in [0, 1].
    blur: Least and largest standard deviation of the blur, in pixels.
    factor: Of 'low_resolution': pixels a side that become one.
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
    """Describes the world; arguments are the attributes.

    Raises:
      ValueError: If a value is out of its range, or the kind unknown.
    """
    super().__init__(clip_shape, split, num_clips, seed)
    variant.check_known('kind', kind, KINDS)
    variant.check_range('noise[0]', noise[0], 0, noise[1])
    variant.check_range('blur[0]', blur[0], 0.1, blur[1])
    variant.check_range('factor', factor, 1, self.side)
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
    harm_thwc = video_thwc.astype(np.float32)
    if self.kind == 'noise':
      rng = self.rng(index, 2)
      noise_thwc = rng.standard_normal(self.clip_shape, np.float32)
      harm_thwc += 255 * truth.noise * noise_thwc
    elif self.kind == 'blur':
      harm_thwc = _blurred(harm_thwc, truth.kernel_k)
    elif self.kind == 'cast':
      harm_thwc = harm_thwc @ truth.matrix_33.T.astype(np.float32)
    else:
      t, h, w, c = self.clip_shape
      k = self.factor
      harm_thwc = harm_thwc.reshape(t, h // k, k, w // k, k, c).mean((2, 4))
    harm_thwc = variant.finish(np.clip(harm_thwc, 0, 255))
    return {'video': video_thwc, 'degraded': harm_thwc}

  def truth(self, index: int) -> Truth:
    """Returns how clip `index` was degraded."""
    draws = self.rng(index, 1).random(9)
    if self.kind == 'noise':
      return Truth(noise=variant.between(draws[0], *self.noise))
    if self.kind == 'blur':
      return Truth(kernel_k=_gauss(variant.between(draws[0], *self.blur)))
    if self.kind == 'cast':
      change_33 = variant.between(draws, -_CAST, _CAST).reshape(3, 3)
      return Truth(matrix_33=np.eye(3) + change_33)
    return Truth(factor=self.factor)


def _gauss(deviation: float) -> np.ndarray:
  """Returns a Gauss bell that sums to 1, out to three deviations."""
  reach = math.ceil(3 * deviation)
  weight_k = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
  return weight_k / weight_k.sum()


def _blurred(video_thwc: np.ndarray, kernel_k: np.ndarray) -> np.ndarray:
  reach = len(kernel_k) // 2
  for axis in (1, 2):
    size = video_thwc.shape[axis]
    pad = [(0, 0)] * 4
    pad[axis] = (reach, reach)
    wide_thwc = np.pad(video_thwc, pad, mode='edge')
    video_thwc = sum(
      np.float32(weight) * wide_thwc.take(range(i, i + size), axis)
      for i, weight in enumerate(kernel_k)
    )
  return video_thwc
