"""Videos of layouts: a segment's class decides its texture, and flow is exact.

`layout` is int32 `[t, h, w]`: 0 is the ground, class k the k-th colour of
`base.COLORS`. Edges are hard, so that each pixel shows one thing; textures are
bound to things, and are grey, so that saturation is that of the class.
"""

import math
from typing import NamedTuple

import numpy as np

from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.synthetic.layouts import correspondence
from vgen_jax.synthetic.world import drawing
from vgen_jax.synthetic.world import source
from vgen_jax.synthetic.world import variant

TEXTURES = ('linear', 'waves')
CLASSES = ('ground', *variant.COLORS)
_RADII = (0.08, 0.1)  # Of an object, in sides of a frame.
_DEPTH = 20  # Of textures, out of 255.


class Truth(NamedTuple):
  """What no pixel says outright about a clip; thing 0 is the ground.

  Attributes:
    instance_thw: Which thing each pixel shows, int32.
    class_n: The class of each thing.
    place_nt2: Of each thing in each frame, (x, y): an object's centre, and a
      point of the ground.
    radius_n: Half of each object's width; 0 for the ground.
    flow: Where pixels come from and go to, and where they are hidden.
  """

  instance_thw: np.ndarray
  class_n: np.ndarray
  place_nt2: np.ndarray
  radius_n: np.ndarray
  flow: correspondence.Correspondence


class Layouts(variant.SyntheticDataset):
  """Textured objects over a textured ground, with the layout of each frame.

  Attributes:
    num_objects: Objects in a clip, of a class each as long as there are
      classes; a later one hides an earlier one.
    pans: Whether the camera pans, so that the ground moves as well.
    subpixel: Whether motion is by fractions of pixels, in any direction; if
      not, by whole ones, and warping is exact for any texture.
    texture: One of TEXTURES; bilinear interpolation is exact for 'linear' ones.
    contrast: How colourful objects are, from 0 to 0.8.
    num_segments: Number of classes in `layout`, the ground included.
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
  ):
    """Describes the world; arguments are the attributes.

    Raises:
      ValueError: If a value is out of its range, or a name unknown.
    """
    super().__init__(clip_shape, split, num_clips, seed)
    variant.check_range('num_objects', num_objects, 1, 100)
    variant.check_range('contrast', contrast, 0, 0.8)
    variant.check_known('texture', texture, TEXTURES)
    self.num_objects = num_objects
    self.pans = pans
    self.subpixel = subpixel
    self.texture = texture
    self.contrast = contrast
    self.num_segments = len(CLASSES)

  def __getitem__(self, index: int) -> Clip:
    ground_5, things = self._draw(index)
    place_nt2, instance_thw = self._instances(ground_5, things)
    video_thwc = self._ground(ground_5, place_nt2[0])
    layout_thw = np.zeros(instance_thw.shape, np.int32)
    for n, thing in enumerate(things, start=1):
      where = np.nonzero(instance_thw == n)
      frame, y, x = where
      dx, dy = x - place_nt2[n, frame, 0], y - place_nt2[n, frame, 1]
      shade = self._texture(thing['class'], dx, dy, thing['radius'])
      layout_thw[where] = thing['class']
      video_thwc[where] = self._color(thing['class']) + shade[:, None]
    return {'video': variant.finish(video_thwc), 'layout': layout_thw}

  def truth(self, index: int) -> Truth:
    """Returns what each pixel of clip `index` shows, and how it moves."""
    ground_5, things = self._draw(index)
    place_nt2, instance_thw = self._instances(ground_5, things)
    return Truth(
      instance_thw=instance_thw,
      class_n=np.array([0] + [thing['class'] for thing in things]),
      place_nt2=place_nt2,
      radius_n=np.array([0.0] + [thing['radius'] for thing in things]),
      flow=correspondence.find(instance_thw, place_nt2),
    )

  def _draw(self, index: int) -> tuple[np.ndarray, list[dict]]:
    rng = self.rng(index)
    ground_5 = rng.random(5)
    things = []
    classes = 1 + np.argsort(rng.random(len(variant.COLORS)))
    for n, draws in enumerate(rng.random((self.num_objects, 6))):
      radius = variant.between(draws[0], *_RADII) * self.side
      things.append(
        {
          'class': int(classes[n % len(classes)]),
          'shape': variant.pick(draws[1], variant.SHAPES),
          'radius': radius,
          'center_t2': self._path(draws[2:], radius),
        }
      )
    return ground_5, things

  def _path(self, draws_4: np.ndarray, radius: float) -> np.ndarray:
    """Returns centres `[t, 2]`; a wall turns the object back."""
    t, h, w, _ = self.clip_shape
    velocity_2 = self._velocity(draws_4[:2])
    low_2 = np.full(2, radius)
    high_2 = np.array([w - 1, h - 1]) - radius
    # Starts where there is room for the whole way, if there is such a place.
    way_2 = np.clip((t - 1) * velocity_2, low_2 - high_2, high_2 - low_2)
    first_2 = np.maximum(low_2, low_2 - way_2)
    last_2 = np.minimum(high_2, high_2 - way_2)
    place_2 = first_2 + draws_4[2:] * (last_2 - first_2)
    center = [place_2]
    for _ in range(t - 1):
      next_2 = place_2 + velocity_2
      blocked = (next_2 < low_2 - 1e-6) | (next_2 > high_2 + 1e-6)
      velocity_2 = np.where(blocked, -velocity_2, velocity_2)
      place_2 = place_2 + velocity_2
      center.append(place_2)
    return np.array(center)

  def _velocity(self, draws_2: np.ndarray) -> np.ndarray:
    """Returns pixels per frame, to go more than two widths of any object."""
    speed = 4.5 * _RADII[1] * self.side / (self.clip_shape[0] - 1)
    if self.subpixel:
      speed *= variant.between(draws_2[0], 1, 1.25)
      angle = 2 * math.pi * draws_2[1]
      return speed * np.array([math.cos(angle), math.sin(angle)])
    angle = math.pi / 4 * int(draws_2[1] * 8)
    unit_2 = np.rint([math.cos(angle), math.sin(angle)])
    return math.ceil(speed) * unit_2

  def _instances(
    self, ground_5: np.ndarray, things: list[dict]
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns places `[n, t, 2]`, and which thing each pixel shows."""
    t, h, w, _ = self.clip_shape
    pan_2 = self._velocity(ground_5[:2]) if self.pans else np.zeros(2)
    places = [pan_2 * np.arange(t)[:, None]]
    instance_thw = np.zeros((t, h, w), np.int32)
    for n, thing in enumerate(things, start=1):
      alpha_thw = drawing.coverage(
        thing['shape'], thing['radius'], thing['center_t2'], (h, w)
      )
      instance_thw[alpha_thw >= 0.5] = n
      places.append(thing['center_t2'])
    return np.stack(places), instance_thw

  def _ground(self, ground_5: np.ndarray, place_t2: np.ndarray) -> np.ndarray:
    """Returns the ground of each frame, float32 `[t, h, w, 3]`."""
    _, h, w, _ = self.clip_shape
    angle = 2 * math.pi * ground_5[2]
    x_tw = np.arange(w) - (w - 1) / 2 - place_t2[:, :1]
    y_th = np.arange(h) - (h - 1) / 2 - place_t2[:, 1:]
    along_thw = (
      math.cos(angle) * x_tw[:, None, :] + math.sin(angle) * y_th[:, :, None]
    )
    if self.texture == 'linear':
      shade_thw = along_thw * (1.5 * _DEPTH / max(h, w))
    else:
      length = variant.between(ground_5[3], 0.12, 0.2) * self.side
      turn_thw = along_thw / length + ground_5[4]
      shade_thw = _DEPTH * np.sin(2 * math.pi * turn_thw)
    video_thwc = np.empty(self.clip_shape, np.float32)
    video_thwc[:] = (128 + shade_thw)[..., None]
    return video_thwc

  def _texture(
    self, number: int, dx: np.ndarray, dy: np.ndarray, radius: float
  ) -> np.ndarray:
    """Returns how bright class `number` is at an offset from the centre."""
    angle = 2 * math.pi * number / len(variant.COLORS)
    along = math.cos(angle) * dx + math.sin(angle) * dy
    if self.texture == 'linear':
      return along * (_DEPTH / radius)
    length = (0.1 + 0.02 * number) * self.side
    return _DEPTH * np.sin(2 * math.pi * along / length)

  def _color(self, number: int) -> np.ndarray:
    color_c = np.array(source.COLORS[CLASSES[number]])
    return 128 + self.contrast * (color_c - 128)
