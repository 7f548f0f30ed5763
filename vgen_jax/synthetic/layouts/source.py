"""Clips with label maps, exact optical flow and exact occlusion.

`layout` is int32 `[t, h, w]`: 0 is the background, class k the k-th colour of
`drawing.COLORS`. Edges are hard, so that each pixel shows one instance.
Textures move with their instances, and are grey, so that they do not change the
saturation of a class.
"""

import math
from typing import NamedTuple

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.synthetic import base
from vgen_jax.synthetic import bounces
from vgen_jax.synthetic import drawing
from vgen_jax.synthetic.layouts import correspondence

TEXTURES = ('linear', 'waves')
CLASSES = ('background', *drawing.COLOR_NAMES)
_RADII = (0.08, 0.1)  # Range of the radius of an object, in sides of a frame.
_CONTRAST = 20  # Amplitude of textures, out of 255.


class Truth(NamedTuple):
  """Ground truth of a clip; instance 0 is the background.

  Attributes:
    instance_thw: Instance that each pixel shows, int32.
    class_n: Class of each instance.
    position_nt2: Position (x, y) of each instance in each frame, in pixels: an
      object's centre, and a fixed point of the background.
    radius_n: Half of each object's width, in pixels; 0 for the background.
    flow: Optical flow and occlusion.
  """

  instance_thw: np.ndarray
  class_n: np.ndarray
  position_nt2: np.ndarray
  radius_n: np.ndarray
  flow: correspondence.Correspondence


class _Object(NamedTuple):
  """One object of a clip, and its centre (x, y) in each frame."""

  class_index: int
  shape: str
  radius: float
  center_t2: np.ndarray


class Layouts(base.SyntheticDataset):
  """Textured objects on a textured background, with the layout of each frame.

  Attributes:
    num_objects: Number of objects in a clip, from 1 to 100. No two of up to 6
      objects have the same class; a later object hides an earlier one.
    pans: Whether the camera pans, so that the background moves, too.
    subpixel: Whether motion is by fractions of pixels, in any direction; if
      not, it is by whole pixels, and warping is exact for any texture.
    texture: One of TEXTURES; bilinear interpolation is exact for 'linear' ones.
    contrast: Saturation of the colours of objects, from 0 (gray) to 0.8.
    flow: Whether clips have `flow`, float32 `[t, h, w, 2]`: the exact optical
      flow (x, y) in pixels from each frame to the one before; 0 in the first.
    num_segments: Number of classes in `layout`, including the background.
  """

  def __init__(
    self,
    clip_shape: ClipShape,
    split: str = 'train',
    num_clips: int = 100_000,
    seed: int = 0,
    num_objects: int = 2,
    pans: bool = False,
    subpixel: bool = False,
    texture: str = 'linear',
    contrast: float = 0.8,
    flow: bool = False,
  ):
    """Creates the dataset.

    For the arguments see `base.SyntheticDataset` and the attributes of the
    class.

    Raises:
      ValueError: If a value is out of its range, or a name is unknown.
    """
    super().__init__(clip_shape, split, num_clips, seed)
    checks.in_range('config.data.num_objects', num_objects, 1, 100)
    checks.in_range('config.data.contrast', contrast, 0, 0.8)
    checks.one_of('config.data.texture', texture, TEXTURES)
    self.num_objects = num_objects
    self.pans = pans
    self.subpixel = subpixel
    self.texture = texture
    self.contrast = contrast
    self.flow = flow
    self.num_segments = len(CLASSES)

  def __getitem__(self, index: int) -> Clip:
    background_5, objects = self._sample(index)
    position_nt2, instance_thw = self._instances(background_5, objects)
    video_thwc = self._background(background_5, position_nt2[0])
    layout_thw = np.zeros(instance_thw.shape, np.int32)
    for n, each in enumerate(objects, start=1):
      where = np.nonzero(instance_thw == n)
      frame, y, x = where
      dx, dy = x - position_nt2[n, frame, 0], y - position_nt2[n, frame, 1]
      shade = self._texture(each.class_index, dx, dy, each.radius)
      layout_thw[where] = each.class_index
      video_thwc[where] = self._color(each.class_index) + shade[:, None]
    clip = {'video': drawing.to_uint8(video_thwc), 'layout': layout_thw}
    if self.flow:
      found = correspondence.find(instance_thw, position_nt2)
      clip['flow'] = found.backward_thw2
    return clip

  def truth(self, index: int) -> Truth:
    """Returns the instance, motion and occlusion of each pixel of a clip."""
    background_5, objects = self._sample(index)
    position_nt2, instance_thw = self._instances(background_5, objects)
    return Truth(
      instance_thw=instance_thw,
      class_n=np.array([0] + [each.class_index for each in objects]),
      position_nt2=position_nt2,
      radius_n=np.array([0.0] + [each.radius for each in objects]),
      flow=correspondence.find(instance_thw, position_nt2),
    )

  def _sample(self, index: int) -> tuple[np.ndarray, list[_Object]]:
    """Returns uniform numbers for the background, and the objects."""
    rng = self.rng(index)
    background_5 = rng.random(5)
    objects = []
    classes = 1 + np.argsort(rng.random(len(drawing.COLOR_NAMES)))
    for n, draws in enumerate(rng.random((self.num_objects, 6))):
      radius = base.interpolate(draws[0], *_RADII) * self.side
      objects.append(
        _Object(
          class_index=int(classes[n % len(classes)]),
          shape=base.choose(draws[1], drawing.SHAPES),
          radius=radius,
          center_t2=self._path(draws[2:], radius),
        )
      )
    return background_5, objects

  def _path(self, draws_4: np.ndarray, radius: float) -> np.ndarray:
    """Returns centres `[t, 2]`; an object reverses at a wall."""
    t = self.clip_shape[0]
    velocity_2 = self._velocity(draws_4[:2])
    low_2, high_2 = bounces.wall_limits(radius, self.clip_shape[1:3])
    # If possible, the start leaves room for the whole path.
    distance_2 = (t - 1) * velocity_2
    distance_2 = np.clip(distance_2, low_2 - high_2, high_2 - low_2)
    position_2 = bounces.sample_start(draws_4[2:], low_2, high_2, distance_2)
    center = [position_2]
    for _ in range(t - 1):
      next_2 = position_2 + velocity_2
      blocked = (next_2 < low_2 - 1e-6) | (next_2 > high_2 + 1e-6)
      velocity_2 = np.where(blocked, -velocity_2, velocity_2)
      position_2 = position_2 + velocity_2
      center.append(position_2)
    return np.array(center)

  def _velocity(self, draws_2: np.ndarray) -> np.ndarray:
    """Returns a velocity (x, y) in pixels per frame.

    In the time of a clip, an object moves by more than two of its widths.
    """
    speed = 4.5 * _RADII[1] * self.side / (self.clip_shape[0] - 1)
    if self.subpixel:
      speed *= base.interpolate(draws_2[0], 1, 1.25)
      angle = 2 * math.pi * draws_2[1]
      return speed * np.array([math.cos(angle), math.sin(angle)])
    angle = math.pi / 4 * int(draws_2[1] * 8)
    unit_2 = np.rint([math.cos(angle), math.sin(angle)])
    return math.ceil(speed) * unit_2

  def _instances(
    self, background_5: np.ndarray, objects: list[_Object]
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns positions `[n, t, 2]`, and the instance of each pixel."""
    t, h, w, _ = self.clip_shape
    pan_2 = self._velocity(background_5[:2]) if self.pans else np.zeros(2)
    positions = [pan_2 * np.arange(t)[:, None]]
    instance_thw = np.zeros((t, h, w), np.int32)
    for n, each in enumerate(objects, start=1):
      alpha_thw = drawing.coverage(
        each.shape, each.radius, each.center_t2, (h, w)
      )
      instance_thw[alpha_thw >= 0.5] = n
      positions.append(each.center_t2)
    return np.stack(positions), instance_thw

  def _background(
    self, background_5: np.ndarray, position_t2: np.ndarray
  ) -> np.ndarray:
    """Returns the background of each frame, float32 `[t, h, w, 3]`."""
    _, h, w, _ = self.clip_shape
    angle = 2 * math.pi * background_5[2]
    x_tw = np.arange(w) - (w - 1) / 2 - position_t2[:, :1]
    y_th = np.arange(h) - (h - 1) / 2 - position_t2[:, 1:]
    along_thw = (
      math.cos(angle) * x_tw[:, None, :] + math.sin(angle) * y_th[:, :, None]
    )
    if self.texture == 'linear':
      shade_thw = along_thw * (1.5 * _CONTRAST / max(h, w))
    else:
      length = base.interpolate(background_5[3], 0.12, 0.2) * self.side
      phase_thw = along_thw / length + background_5[4]
      shade_thw = _CONTRAST * np.sin(2 * math.pi * phase_thw)
    video_thwc = np.empty(self.clip_shape, np.float32)
    video_thwc[:] = (128 + shade_thw)[..., None]
    return video_thwc

  def _texture(
    self, class_index: int, dx: np.ndarray, dy: np.ndarray, radius: float
  ) -> np.ndarray:
    """Returns the texture of a class at an offset from the centre."""
    angle = 2 * math.pi * class_index / len(drawing.COLOR_NAMES)
    along = math.cos(angle) * dx + math.sin(angle) * dy
    if self.texture == 'linear':
      return along * (_CONTRAST / radius)
    length = (0.1 + 0.02 * class_index) * self.side
    return _CONTRAST * np.sin(2 * math.pi * along / length)

  def _color(self, class_index: int) -> np.ndarray:
    color_c = np.array(drawing.COLORS[CLASSES[class_index]])
    return 128 + self.contrast * (color_c - 128)
