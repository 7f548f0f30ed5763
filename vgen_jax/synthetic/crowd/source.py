"""Crowds with anomalies at known frames.

Each object of a crowd moves horizontally at its own height, with constant speed
and colour. In some clips one object reverses, jumps, or changes its colour,
once.
"""

from typing import NamedTuple

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.synthetic import base
from vgen_jax.synthetic import drawing

ANOMALIES = ('reverse', 'teleport', 'color')
_DISTANCES = (0.3, 0.45)  # Covered in a clip, in sides of a frame.
_MIN_JUMP = 0.2  # In sides of a frame.


class Truth(NamedTuple):
  """Ground truth of a clip; n counts its objects.

  Attributes:
    anomaly: One of ANOMALIES, or None.
    anomalous_object: Index of the anomalous object; -1 if there is none.
    anomalous_t: Whether the anomaly is between the previous frame and this one,
      bool.
    center_nt2: Each object's centre in each frame, (x, y), in pixels.
    color_nt3: Each object's colour in each frame, float32 from 0 to 255.
    radius: Half of an object's width, in pixels.
    alpha_nthw: Fraction of each pixel that each object covers, in [0, 1].
  """

  anomaly: str | None
  anomalous_object: int
  anomalous_t: np.ndarray
  center_nt2: np.ndarray
  color_nt3: np.ndarray
  radius: float
  alpha_nthw: np.ndarray


class Crowd(base.SyntheticDataset):
  """Discs that all move to the left or right, sometimes with an anomaly.

  Attributes:
    num_objects: Number of discs in a clip, at most one for each 4 pixels of
      height.
    anomalies: Members of ANOMALIES that occur, with equal frequency.
    anomaly_rate: Fraction of clips with an anomaly; with 0, a model is trained
      on normal clips only.
  """

  min_frames = 8

  def __init__(
    self,
    clip_shape: ClipShape,
    split: str = 'train',
    num_clips: int = 100_000,
    seed: int = 0,
    num_objects: int = 5,
    anomalies: tuple[str, ...] = ANOMALIES,
    anomaly_rate: float = 0.5,
  ):
    """Creates the dataset.

    For the arguments see `base.SyntheticDataset` and the attributes of the
    class.

    Raises:
      ValueError: If there are too many objects for the height of the frame,
        `anomaly_rate` is not in [0, 1], or a name is unknown.
    """
    super().__init__(clip_shape, split, num_clips, seed)
    # A lane needs 4 pixels, or its object is hidden by its neighbours' edges.
    max_objects = clip_shape[1] // 4
    checks.in_range('config.data.num_objects', num_objects, 1, max_objects)
    checks.in_range('config.data.anomaly_rate', anomaly_rate, 0, 1)
    self.num_objects = num_objects
    self.anomalies = tuple(anomalies)
    self.anomaly_rate = anomaly_rate
    for anomaly in self.anomalies:
      checks.one_of('config.data.anomalies', anomaly, ANOMALIES)
    if anomaly_rate and not self.anomalies:
      raise ValueError(
        f'config.data.anomalies is empty; it must have one of {ANOMALIES}, or'
        ' config.data.anomaly_rate must be 0.'
      )

  @property
  def radius(self) -> float:
    """Half of an object's width, in pixels."""
    return min(0.06 * self.side, 0.4 * self.clip_shape[1] / self.num_objects)

  def __getitem__(self, index: int) -> Clip:
    background_4, _, _, _, centers, colors = self._sample(index)
    video_thwc = drawing.gray_background(background_4, self.clip_shape)
    for center_t2, color_t3 in zip(centers, colors, strict=True):
      drawing.paint(video_thwc, 'circle', self.radius, center_t2, color_t3)
    return {'video': drawing.to_uint8(video_thwc)}

  def truth(self, index: int) -> Truth:
    """Returns the motion of the objects of clip `index`, and its anomaly."""
    _, anomaly, anomalous_object, frame, centers, colors = self._sample(index)
    alphas = [
      drawing.coverage('circle', self.radius, c_t2, self.clip_shape[1:3])
      for c_t2 in centers
    ]
    return Truth(
      anomaly=anomaly,
      anomalous_object=anomalous_object,
      anomalous_t=np.arange(self.clip_shape[0]) == frame,
      center_nt2=np.stack(centers),
      color_nt3=np.stack(colors),
      radius=self.radius,
      alpha_nthw=np.stack(alphas),
    )

  def _sample(self, index: int) -> tuple:
    """Returns the anomaly of a clip, and the motion of its objects.

    The items are uniform numbers for the background, the anomaly, the index of
    the anomalous object, the frame of the anomaly, and each object's path `[t,
    2]` and colours `[t, 3]`.
    """
    t = self.clip_shape[0]
    rng = self.rng(index)
    draws = rng.random(11)
    draws_n2 = rng.random((self.num_objects, 2))
    anomaly, anomalous_object, frame = None, -1, -1
    if draws[4] < self.anomaly_rate:
      anomaly = base.choose(draws[5], self.anomalies)
      anomalous_object = int(draws[6] * self.num_objects)
      # From this frame on, an object that reverses stays within the frame.
      first = -(-t // 4) + 1
      frame = first + int(draws[7] * (3 * t // 4 + 1 - first))
    color_k3 = np.array(list(drawing.COLORS.values()), np.float32)
    color = int(draws[8] * len(color_k3))
    centers, colors = [], []
    for n, draws_2 in enumerate(draws_n2):
      center_t2 = self._path(n, draws_2, leftwards=draws[9] < 0.5)
      color_t = np.full(t, color + n)
      if n == anomalous_object:
        if anomaly == 'color':
          color_t[frame:] += 1 + int(draws[10] * (len(color_k3) - 1))
        else:
          change = self._reverse if anomaly == 'reverse' else self._jump
          center_t2 = change(center_t2, frame, draws[10])
      centers.append(center_t2)
      colors.append(color_k3[color_t % len(color_k3)])
    return draws[:4], anomaly, anomalous_object, frame, centers, colors

  def _path(
    self, lane: int, draws_2: np.ndarray, *, leftwards: bool
  ) -> np.ndarray:
    """Returns the centres `[t, 2]` of an object on its lane."""
    t, h, w, _ = self.clip_shape
    y = (lane + 0.5) * h / self.num_objects - 0.5
    distance = base.interpolate(draws_2[0], *_DISTANCES) * self.side
    # Objects that reverse need half of the distance behind the start.
    low = self.radius + distance / 2
    high = w - 1 - self.radius - distance
    start = base.interpolate(draws_2[1], low, high)
    x_t = start + distance * np.arange(t) / (t - 1)
    if leftwards:
      x_t = w - 1 - x_t
    return np.stack([x_t, np.full(t, y)], axis=1)

  def _reverse(
    self, center_t2: np.ndarray, frame: int, draw: float
  ) -> np.ndarray:
    """Returns the path of an object that turns around in frame `frame` - 1."""
    del draw
    last = frame - 1
    ahead = len(center_t2) - 1 - last
    velocity_2 = center_t2[1] - center_t2[0]
    center_t2 = center_t2.copy()
    steps_k1 = np.arange(1, ahead + 1)[:, None]
    center_t2[frame:] = center_t2[last] - steps_k1 * velocity_2
    return center_t2

  def _jump(self, center_t2: np.ndarray, frame: int, draw: float) -> np.ndarray:
    """Returns the path of an object that jumps before `frame`."""
    x_k = center_t2[frame:, 0]
    low = self.radius - x_k.min()  # Largest jump to the left.
    high = self.clip_shape[2] - 1 - self.radius - x_k.max()
    jump = _MIN_JUMP * self.side
    # Lengths of the intervals of possible jumps.
    left, right = max(-jump - low, 0), max(high - jump, 0)
    position = base.interpolate(draw, 0, left + right)
    shift = low + position
    if position >= left:
      shift = high - (left + right - position)
    return center_t2 + np.where(
      (np.arange(len(center_t2)) >= frame)[:, None], [shift, 0], 0
    )
