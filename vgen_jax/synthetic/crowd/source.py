"""Crowds in which something may go wrong, at a frame that only truth names.

Each object of a crowd keeps to its lane, its speed and its colour. In some
clips one of them turns back, jumps, or changes colour, once; all else goes on.
"""

from typing import NamedTuple

import numpy as np

from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.synthetic.world import drawing
from vgen_jax.synthetic.world import source
from vgen_jax.synthetic.world import variant

ANOMALIES = ('reverse', 'teleport', 'color')
_WAYS = (0.3, 0.45)  # How far an object goes in a clip, in sides of a frame.
_JUMP = 0.2  # The shortest one, in sides of a frame.


class Truth(NamedTuple):
  """What no pixel says outright about a clip; n counts its objects.

  Attributes:
    anomaly: One of ANOMALIES, or None.
    culprit: The object that is guilty of it; -1 if there is none.
    anomalous_t: Whether something goes wrong between the frame before and this.
    center_nt2: Each object's centre in each frame, (x, y).
    color_nt3: Of each object in each frame, from 0 to 255.
    radius: Half of an object's width.
    alpha_nthw: Share of each pixel that each object covers, in [0, 1].
  """

  anomaly: str | None
  culprit: int
  anomalous_t: np.ndarray
  center_nt2: np.ndarray
  color_nt3: np.ndarray
  radius: float
  alpha_nthw: np.ndarray


class Crowd(variant.SyntheticDataset):
  """Discs on their lanes, all to one side, with an anomaly now and then.

  Attributes:
    num_objects: Discs in a clip.
    anomalies: Which of ANOMALIES occur, equally often.
    share: Of clips with an anomaly; 0 is a crowd to learn from what is normal.
  """

  least = (8, 12)

  def __init__(
    self,
    clip_shape: ClipShape,
    split: str = 'train',
    num_clips: int = 100_000,
    seed: int = 0,
    num_objects: int = 5,
    anomalies: tuple[str, ...] = ANOMALIES,
    share: float = 0.5,
  ):
    """Describes the world; arguments are the attributes.

    Raises:
      ValueError: If the frame has no room for the lanes, or a name is unknown.
    """
    super().__init__(clip_shape, split, num_clips, seed)
    # A lane of less than 4 pixels would show nothing but its neighbours.
    variant.check_range('num_objects', num_objects, 1, clip_shape[1] // 4)
    variant.check_range('share', share, 0, 1)
    self.num_objects = num_objects
    self.anomalies = tuple(anomalies)
    self.share = share
    for anomaly in self.anomalies:
      variant.check_known('anomalies', anomaly, ANOMALIES)
    if share and not self.anomalies:
      raise ValueError(
        f'config.data.anomalies is empty; it must have one of {ANOMALIES}, or'
        ' config.data.share must be 0.'
      )

  @property
  def radius(self) -> float:
    """Half of an object's width, in pixels."""
    return min(0.06 * self.side, 0.4 * self.clip_shape[1] / self.num_objects)

  def __getitem__(self, index: int) -> Clip:
    ground_4, _, _, _, centers, colors = self._draw(index)
    video_thwc = variant.grey_ground(ground_4, self.clip_shape)
    for center_t2, color_t3 in zip(centers, colors, strict=True):
      variant.paint(video_thwc, 'circle', self.radius, center_t2, color_t3)
    return {'video': variant.finish(video_thwc)}

  def truth(self, index: int) -> Truth:
    """Returns who is where in clip `index`, and what goes wrong, and when."""
    _, anomaly, culprit, frame, centers, colors = self._draw(index)
    alphas = [
      drawing.coverage('circle', self.radius, c_t2, self.clip_shape[1:3])
      for c_t2 in centers
    ]
    return Truth(
      anomaly=anomaly,
      culprit=culprit,
      anomalous_t=np.arange(self.clip_shape[0]) == frame,
      center_nt2=np.stack(centers),
      color_nt3=np.stack(colors),
      radius=self.radius,
      alpha_nthw=np.stack(alphas),
    )

  def _draw(self, index: int) -> tuple:
    """Returns draws, anomaly, its culprit and frame, centres and colours."""
    t = self.clip_shape[0]
    rng = self.rng(index)
    draws = rng.random(11)
    draws_n2 = rng.random((self.num_objects, 2))
    anomaly, culprit, frame = None, -1, -1
    if draws[4] < self.share:
      anomaly = variant.pick(draws[5], self.anomalies)
      culprit = int(draws[6] * self.num_objects)
      first = -(-t // 4) + 1  # Later than this, one who turns stays inside.
      frame = first + int(draws[7] * (3 * t // 4 + 1 - first))
    table = np.array(list(source.COLORS.values()), np.float32)
    color = int(draws[8] * len(table))
    centers, colors = [], []
    for n, draws_2 in enumerate(draws_n2):
      center_t2 = self._path(n, draws_2, leftwards=draws[9] < 0.5)
      number_t = np.full(t, color + n)
      if n == culprit:
        if anomaly == 'color':
          number_t[frame:] += 1 + int(draws[10] * (len(table) - 1))
        else:
          change = self._turned if anomaly == 'reverse' else self._jumped
          center_t2 = change(center_t2, frame, draws[10])
      centers.append(center_t2)
      colors.append(table[number_t % len(table)])
    return draws[:4], anomaly, culprit, frame, centers, colors

  def _path(
    self, lane: int, draws_2: np.ndarray, *, leftwards: bool
  ) -> np.ndarray:
    t, h, w, _ = self.clip_shape
    y = (lane + 0.5) * h / self.num_objects - 0.5
    way = variant.between(draws_2[0], *_WAYS) * self.side
    # Half a way is left behind the start, for one who turns back.
    low, high = self.radius + way / 2, w - 1 - self.radius - way
    start = variant.between(draws_2[1], low, high)
    x_t = start + way * np.arange(t) / (t - 1)
    if leftwards:
      x_t = w - 1 - x_t
    return np.stack([x_t, np.full(t, y)], axis=1)

  def _turned(
    self, center_t2: np.ndarray, frame: int, draw: float
  ) -> np.ndarray:
    """Returns the path of one who goes back on reaching frame - 1."""
    del draw
    last = frame - 1
    ahead = len(center_t2) - 1 - last
    velocity_2 = center_t2[1] - center_t2[0]
    center_t2 = center_t2.copy()
    steps_k1 = np.arange(1, ahead + 1)[:, None]
    center_t2[frame:] = center_t2[last] - steps_k1 * velocity_2
    return center_t2

  def _jumped(
    self, center_t2: np.ndarray, frame: int, draw: float
  ) -> np.ndarray:
    """Returns the path of one who is elsewhere from `frame` on."""
    x_k = center_t2[frame:, 0]
    low = self.radius - x_k.min()  # As far to the left as walls allow.
    high = self.clip_shape[2] - 1 - self.radius - x_k.max()
    jump = _JUMP * self.side
    left, right = max(-jump - low, 0), max(high - jump, 0)  # Room to land.
    place = variant.between(draw, 0, left + right)
    shift = low + place if place < left else high - (left + right - place)
    return center_t2 + np.where(
      (np.arange(len(center_t2)) >= frame)[:, None], [shift, 0], 0
    )
