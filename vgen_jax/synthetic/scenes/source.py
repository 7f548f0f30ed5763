"""Named scenes, for models of cuts and of captions.

A scene has a sky, a ground and an object that crosses the sky, each in its own
colour. A clip shows one scene, or several shots with hard cuts between them.
"""

from typing import NamedTuple

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core import sources
from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.synthetic import base
from vgen_jax.synthetic import drawing

# Colours of (sky, ground, object).
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
_RADIUS = 0.08  # Radius of the object, in sides of a frame.
_DISTANCE = 0.5  # Covered by the object in a shot, in sides of a frame.


class Truth(NamedTuple):
  """Ground truth of a clip.

  Attributes:
    scenes: Name of the scene of each shot, in order.
    cuts: First frame of each shot except the first.
    scene_t: Index in NAMES of the scene of each frame.
    horizon_t: Distance from the top to the ground, in pixels.
    center_t2: The object's centre in each frame, (x, y), in pixels.
    radius: Half of the object's width, in pixels.
  """

  scenes: tuple[str, ...]
  cuts: tuple[int, ...]
  scene_t: np.ndarray
  horizon_t: np.ndarray
  center_t2: np.ndarray
  radius: float


class Scenes(base.SyntheticDataset, sources.Captioned):
  """Shots of different scenes; with one shot in a clip, the label is the scene.

  Attributes:
    num_shots: Number of shots in a clip; no scene occurs twice.
    num_scenes: Number of scenes that occur, the first of NAMES.
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
    """Creates the dataset.

    For the arguments see `base.SyntheticDataset` and the attributes of the
    class.

    Raises:
      ValueError: If there are more shots than scenes, or fewer than two frames
        for each shot.
    """
    super().__init__(clip_shape, split, num_clips, seed)
    checks.in_range('config.data.num_scenes', num_scenes, 1, len(NAMES))
    max_shots = min(num_scenes, clip_shape[0] // 2)
    checks.in_range('config.data.num_shots', num_shots, 1, max_shots)
    self.num_shots = num_shots
    self.num_scenes = num_scenes
    self.class_names = NAMES[:num_scenes] if num_shots == 1 else ()

  def __getitem__(self, index: int) -> Clip:
    truth, draws_s4 = self._sample(index)
    t, h, w, _ = self.clip_shape
    video_thwc = np.empty(self.clip_shape, np.float32)
    edges = (0, *truth.cuts, t)
    for shot, scene in enumerate(truth.scenes):
      sky, ground, color = (np.array(c, np.float32) for c in SCENES[scene])
      frames = slice(edges[shot], edges[shot + 1])
      horizon = truth.horizon_t[edges[shot]]
      # The pixel on the horizon is a mixture of both.
      ground_h11 = np.clip(np.arange(h) + 0.5 - horizon, 0, 1)[:, None, None]
      shade = 1 + 0.06 * np.cos(6.3 * (np.arange(w) / w + draws_s4[shot, 3]))
      picture_hwc = (sky + ground_h11 * (ground - sky)) * shade[:, None]
      video_thwc[frames] = np.minimum(picture_hwc, 255)
      drawing.paint(
        video_thwc[frames],
        'circle',
        truth.radius,
        truth.center_t2[frames],
        color,
      )
    clip = {'video': drawing.to_uint8(video_thwc)}
    if self.num_shots == 1:
      clip['label'] = np.int32(truth.scene_t[0])
    return clip

  def caption(self, index: int) -> str:
    """Returns a description of clip `index`: its scenes, in order."""
    names = [f'a {name}' for name in self.truth(index).scenes]
    return ', then '.join(names)

  def truth(self, index: int) -> Truth:
    """Returns the scenes of clip `index`, their cuts and motion."""
    return self._sample(index)[0]

  def _sample(self, index: int) -> tuple[Truth, np.ndarray]:
    """Returns the truth, and four uniform numbers of each shot."""
    t, h, w, _ = self.clip_shape
    rng = self.rng(index)
    order = np.argsort(rng.random(self.num_scenes))[: self.num_shots]
    # Each shot is at least half as long as the mean shot.
    min_length = max(2, t // (2 * self.num_shots))
    spare = t - self.num_shots * min_length
    extra = np.sort((rng.random(self.num_shots - 1) * (spare + 1)).astype(int))
    cuts = extra + min_length * np.arange(1, self.num_shots)
    shot_t = np.searchsorted(cuts, np.arange(t), 'right')
    lengths = np.diff([0, *cuts, t])
    draws_s4 = rng.random((self.num_shots, 4))
    radius = _RADIUS * self.side
    horizon_s = base.interpolate(draws_s4[:, 0], 0.5, 0.7) * h
    since_t = np.arange(t) - np.array([0, *cuts])[shot_t]
    progress_t = since_t / (lengths[shot_t] - 1)
    free = w - 1 - 2 * radius
    distance = min(_DISTANCE * self.side, free)
    x_t = (
      radius + draws_s4[shot_t, 1] * (free - distance) + progress_t * distance
    )
    y_s = base.interpolate(draws_s4[:, 2], radius, 0.5 * h - radius - 1)
    truth = Truth(
      scenes=tuple(NAMES[i] for i in order),
      cuts=tuple(int(cut) for cut in cuts),
      scene_t=order[shot_t],
      horizon_t=horizon_s[shot_t],
      center_t2=np.stack([x_t, y_s[shot_t]], axis=1),
      radius=radius,
    )
    return truth, draws_s4
