"""Named places, one after the other: what a cut, a caption or a tour is about.

A scene has a sky, a ground and something that crosses the sky, each of its own
colour. A clip shows one scene, or several shots with a hard cut between them.
"""

from typing import NamedTuple

import numpy as np

from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.synthetic.world import variant

# Colours of (sky, ground, what moves).
SCENES = {
  'beach': ((120, 200, 250), (235, 210, 150), (255, 120, 60)),
  'forest': ((150, 190, 160), (30, 100, 40), (110, 60, 30)),
  'desert': ((250, 180, 110), (200, 120, 60), (255, 245, 200)),
  'city': ((110, 115, 130), (60, 60, 66), (250, 220, 80)),
  'mountain': ((90, 140, 220), (235, 240, 245), (40, 60, 110)),
  'meadow': ((160, 220, 255), (110, 200, 70), (250, 250, 120)),
  'sunset': ((230, 90, 100), (90, 40, 90), (255, 220, 100)),
  'night': ((15, 20, 60), (20, 30, 30), (240, 240, 230)),
}
NAMES = tuple(SCENES)
_RADIUS = 0.08  # Of what moves, in sides of a frame.
_WAY = 0.5  # How far it goes in a shot.


class Truth(NamedTuple):
  """What no pixel says outright about a clip.

  Attributes:
    scenes: Name of the scene of each shot, in their order.
    cuts: The first frame of each shot but the first.
    scene_t: Number of the scene of each frame, as in NAMES.
    horizon_t: Where the ground begins, in pixels from the top.
    center_t2: Of what moves, (x, y).
    radius: Half of its width.
  """

  scenes: tuple[str, ...]
  cuts: tuple[int, ...]
  scene_t: np.ndarray
  horizon_t: np.ndarray
  center_t2: np.ndarray
  radius: float


class Scenes(variant.SyntheticDataset):
  """Shots of different places; with one shot a clip, labels tell the place.

  Attributes:
    num_shots: Shots in a clip; no place is shown twice.
    num_scenes: How many of NAMES there are, from the first.
  """

  def __init__(
    self,
    clip_shape: ClipShape,
    split: str = 'train',
    num_clips: int = 100_000,
    seed: int = 0,
    num_shots: int = 1,
    num_scenes: int = len(NAMES),
  ):
    """Describes the world; arguments are the attributes.

    Raises:
      ValueError: If there are fewer places than shots, or frames than for two
        a shot.
    """
    super().__init__(clip_shape, split, num_clips, seed)
    variant.check_range('num_scenes', num_scenes, 1, len(NAMES))
    most = min(num_scenes, clip_shape[0] // 2)
    variant.check_range('num_shots', num_shots, 1, most)
    self.num_shots = num_shots
    self.num_scenes = num_scenes
    self.class_names = NAMES[:num_scenes] if num_shots == 1 else ()

  def __getitem__(self, index: int) -> Clip:
    truth, draws_s4 = self._draw(index)
    t, h, w, _ = self.clip_shape
    video_thwc = np.empty(self.clip_shape, np.float32)
    edges = (0, *truth.cuts, t)
    for shot, scene in enumerate(truth.scenes):
      sky, ground, thing = (np.array(c, np.float32) for c in SCENES[scene])
      frames = slice(edges[shot], edges[shot + 1])
      horizon = truth.horizon_t[edges[shot]]
      # The pixel on the horizon has its share of both.
      ground_h11 = np.clip(np.arange(h) + 0.5 - horizon, 0, 1)[:, None, None]
      shade = 1 + 0.06 * np.cos(6.3 * (np.arange(w) / w + draws_s4[shot, 3]))
      picture_hwc = (sky + ground_h11 * (ground - sky)) * shade[:, None]
      video_thwc[frames] = np.minimum(picture_hwc, 255)
      variant.paint(
        video_thwc[frames],
        'circle',
        truth.radius,
        truth.center_t2[frames],
        thing,
      )
    clip = {'video': variant.finish(video_thwc)}
    if self.num_shots == 1:
      clip['label'] = np.int32(truth.scene_t[0])
    return clip

  def caption(self, index: int) -> str:
    """Returns clip `index` in words: its places, in their order."""
    names = [f'a {name}' for name in self.truth(index).scenes]
    return ', then '.join(names)

  def truth(self, index: int) -> Truth:
    """Returns which places clip `index` shows, and when."""
    return self._draw(index)[0]

  def _draw(self, index: int) -> tuple[Truth, np.ndarray]:
    t, h, w, _ = self.clip_shape
    rng = self.rng(index)
    order = np.argsort(rng.random(self.num_scenes))[: self.num_shots]
    # Each shot has half of an equal share of the frames, or more.
    spare = t - self.num_shots * max(2, t // (2 * self.num_shots))
    extra = np.sort((rng.random(self.num_shots - 1) * (spare + 1)).astype(int))
    shortest = max(2, t // (2 * self.num_shots))
    cuts = extra + shortest * np.arange(1, self.num_shots)
    shot_t = np.searchsorted(cuts, np.arange(t), 'right')
    lengths = np.diff([0, *cuts, t])
    draws_s4 = rng.random((self.num_shots, 4))
    radius = _RADIUS * self.side
    horizon_s = variant.between(draws_s4[:, 0], 0.5, 0.7) * h
    since_t = np.arange(t) - np.array([0, *cuts])[shot_t]
    part_t = since_t / (lengths[shot_t] - 1)
    room = w - 1 - 2 * radius
    way = min(_WAY * self.side, room)
    x_t = radius + draws_s4[shot_t, 1] * (room - way) + part_t * way
    y_s = variant.between(draws_s4[:, 2], radius, 0.5 * h - radius - 1)
    truth = Truth(
      scenes=tuple(NAMES[i] for i in order),
      cuts=tuple(int(cut) for cut in cuts),
      scene_t=order[shot_t],
      horizon_t=horizon_s[shot_t],
      center_t2=np.stack([x_t, y_s[shot_t]], axis=1),
      radius=radius,
    )
    return truth, draws_s4
