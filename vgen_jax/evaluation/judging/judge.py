"""Says of a video whether it could be of the made-up world, and what it shows.

Every measure alone can be gamed: a still clip moves along a perfect line, noise
has constant colour, a blurred object keeps its path. So a clip is *valid* only
if all hold, in two tiers: a strict one, which real clips pass and little else,
and a loose one, for models that are still learning: one object of one right
size and colour, in smooth motion at a speed that the world knows.
"""

import dataclasses

import numpy as np

from vgen_jax.data import world as world_lib
from vgen_jax.evaluation.judging import motion
from vgen_jax.evaluation.judging import tracking

_MEANS = ('present', 'iou', 'stalled', 'noise', 'color_error', 'color_drift')
_CHUNK = 8  # Clips at a time, to stay within a processor's cache.


@dataclasses.dataclass(frozen=True)
class Tier:
  """The limits that make a clip valid; each is the worst value that passes.

  Attributes:
    path_error: Root mean square distance to the fitted path, as (pixels, share
      of the frame's side), which add up.
    size_error: Of the area, relative to that of the nearest size.
    area_change: Standard deviation of the area over time, relative.
    speed_error: Relative to the nearest speed.
    angle_error: To the nearest direction, in degrees.
    stalled: Share of steps in which the object stands still.
    iou: Least overlap with the ideal shape, averaged over time.
    better_iou: By how much another shape may overlap better, in any frame.
    stray: Share of what is shown far from the object, in the worst frame.
    noise: Deviation from the background, in levels out of 255.
    color_error: Distance to the nearest colour, in levels, averaged over time.
    color_drift: Largest change of colour over time, in levels.
  """

  path_error: tuple[float, float]
  size_error: float
  area_change: float
  speed_error: float
  angle_error: float
  stalled: float
  iou: float
  better_iou: float
  stray: float
  noise: float
  color_error: float
  color_drift: float


STRICT = Tier(
  path_error=(0.1, 0.01),
  size_error=0.2,
  area_change=0.1,
  speed_error=0.15,
  angle_error=10.0,
  stalled=0.0,
  iou=0.8,
  better_iou=0.05,
  stray=0.02,
  noise=8.0,
  color_error=30.0,
  color_drift=45.0,
)
LOOSE = Tier(
  path_error=(0.1, 0.02),
  size_error=0.4,
  area_change=0.25,
  speed_error=0.35,
  angle_error=23.0,
  stalled=0.2,
  iou=0.65,
  better_iou=1.0,
  stray=0.1,
  noise=20.0,
  color_error=65.0,
  color_drift=90.0,
)


@dataclasses.dataclass(frozen=True)
class Measurements:
  """What a judge sees in each clip; lengths in pixels, colours of 255.

  Attributes:
    factors: {factor: place in `world.factors_kept`}; -1 if nothing moves.
    label_b: Class that the factors make, or -1.
    velocity_b2: (x, y) of the fitted path, in frame 0.
    path_error_b: Root mean square distance of the centre to the fitted path.
    present_b: Share of frames in which an object of the clip's usual size is.
    size_error_b, ..., color_drift_b: What `Tier` limits, under its names.
    color_switch_b: Share of frames whose nearest colour is not the clip's.
  """

  factors: dict[str, np.ndarray]
  label_b: np.ndarray
  velocity_b2: np.ndarray
  path_error_b: np.ndarray
  present_b: np.ndarray
  size_error_b: np.ndarray
  area_change_b: np.ndarray
  speed_error_b: np.ndarray
  angle_error_b: np.ndarray
  stalled_b: np.ndarray
  iou_b: np.ndarray
  better_iou_b: np.ndarray
  stray_b: np.ndarray
  noise_b: np.ndarray
  color_error_b: np.ndarray
  color_drift_b: np.ndarray
  color_switch_b: np.ndarray


class Judge:
  """Measures clips against the laws of one world.

  Attributes:
    world: Whose laws; clips must have its shape.
  """

  def __init__(self, world: world_lib.World):
    self.world = world

  def measure(self, video_bthwc: np.ndarray) -> Measurements:
    """Returns what each clip shows; nothing is assumed of what it should.

    Args:
      video_bthwc: uint8, or floats in [-1, 1]; not-a-number counts as grey.

    Raises:
      ValueError: If clips are of another shape than the world's.
    """
    video_bthwc = np.asarray(video_bthwc)
    if video_bthwc.shape[1:] != self.world.clip_shape or not len(video_bthwc):
      raise ValueError(
        f'Clips have shape {video_bthwc.shape}; the world needs'
        f' {("b", *self.world.clip_shape)}: judge by a world of their shape.'
      )
    if video_bthwc.dtype != np.uint8:
      video_bthwc = np.nan_to_num(video_bthwc.astype(np.float32)).clip(-1, 1)
      video_bthwc = (video_bthwc + 1) * 127.5
    chunks = [
      tracking.track(video_bthwc[i : i + _CHUNK], self.world)
      for i in range(0, len(video_bthwc), _CHUNK)
    ]
    track = tracking.Track(*map(np.concatenate, zip(*chunks, strict=True)))
    return _measurements(track, self.world)

  def valid(self, measured: Measurements, tier: Tier) -> np.ndarray:
    """Returns which clips keep within all limits of a tier, bool `[b]`."""
    side = min(self.world.clip_shape[1:3])
    limit = tier.path_error[0] + tier.path_error[1] * side
    valid_b = measured.path_error_b <= limit
    valid_b &= measured.present_b == 1
    valid_b &= measured.color_switch_b == 0
    valid_b &= measured.iou_b >= tier.iou
    for field in dataclasses.fields(tier):
      if field.name not in ('path_error', 'iou'):
        worst = getattr(tier, field.name)
        valid_b &= getattr(measured, f'{field.name}_b') <= worst
    return valid_b

  def report(
    self, video_bthwc: np.ndarray, label_b: np.ndarray | None = None
  ) -> dict[str, float]:
    """Returns numbers about a set of clips.

    * `valid_loose`, `valid_strict`: shares of clips that are valid.
    * `class_accuracy`: of the loosely valid clips, the share whose class is the
      one asked for; 0 if none is valid.
    * `class_accuracy_all`: the same of all clips, valid or not.
    * `valid_and_right`: share of clips that are loosely valid and of the class
      asked for: the one number to rank models by.
    * `coverage`: combinations of factors among loosely valid clips, relative to
      what as many draws from the world would show; about 1 for the world, near
      0 for a model that always draws the same.
    * `present`, `iou`, `stalled`, `noise`, `color_error`, `color_drift`: means
      of the measurements of that name; `path_error`: the median.

    Args:
      video_bthwc: As in `measure`.
      label_b: Classes asked for, if any; else there are no class numbers.
    """
    measured = self.measure(video_bthwc)
    loose_b = self.valid(measured, LOOSE)
    numbers = {
      'valid_loose': loose_b.mean(),
      'valid_strict': self.valid(measured, STRICT).mean(),
      'coverage': self._coverage(measured, loose_b),
      'path_error': np.median(measured.path_error_b),
    }
    for name in _MEANS:
      numbers[name] = getattr(measured, f'{name}_b').mean()
    if label_b is not None:
      right_b = measured.label_b == np.asarray(label_b)
      numbers['class_accuracy'] = right_b[loose_b].mean() if any(loose_b) else 0
      numbers['class_accuracy_all'] = right_b.mean()
      numbers['valid_and_right'] = (right_b & loose_b).mean()
    return {name: float(number) for name, number in numbers.items()}

  def _coverage(self, measured: Measurements, valid_b: np.ndarray) -> float:
    sizes = [len(values) for values in self.world.factors_kept.values()]
    values = [measured.factors[f][valid_b] for f in self.world.factors_kept]
    seen = len(np.unique(np.ravel_multi_index(values, sizes)))
    cells = self.world.num_combinations
    return seen / (cells * -np.expm1(len(valid_b) * np.log1p(-1 / cells)))


def _measurements(
  track: tracking.Track, world: world_lib.World
) -> Measurements:
  """Returns what a track says of the clip as a whole."""
  usual_b1 = np.percentile(track.area_bt, 75, axis=1, keepdims=True)
  ratio_bt = track.area_bt / np.maximum(usual_b1, 1e-3)
  seen_bt = (ratio_bt > 0.5) & (ratio_bt < 1.6)
  kept_bt = np.where(seen_bt, ratio_bt, 1)
  moves = motion.fit(track, seen_bt, world)
  factors = {
    'shape': track.shape_b,
    'color': track.color_b,
    'size': track.size_b,
    'direction': moves.direction_b,
    'speed': moves.speed_b,
  }
  wanted_b3 = tracking.palette(world)[track.color_b]
  color_error_bt = np.linalg.norm(track.tint_bt3 - wanted_b3[:, None], axis=-1)
  return Measurements(
    factors=factors,
    label_b=_label(factors, world),
    velocity_b2=moves.velocity_b2,
    path_error_b=moves.path_error_b,
    present_b=seen_bt.mean(1),
    size_error_b=np.abs(usual_b1[:, 0] / track.expected_area_b - 1),
    area_change_b=kept_bt.std(1),
    speed_error_b=moves.speed_error_b,
    angle_error_b=moves.angle_error_b,
    stalled_b=moves.stalled_b,
    iou_b=track.iou_bt.mean(1),
    better_iou_b=track.better_iou_bt.max(1),
    stray_b=track.stray_bt.max(1),
    noise_b=track.noise_bt.mean(1),
    color_error_b=color_error_bt.mean(1),
    color_drift_b=np.linalg.norm(np.ptp(track.tint_bt3, axis=1), axis=-1),
    color_switch_b=(track.color_bt != track.color_b[:, None]).mean(1),
  )


def _label(
  factors: dict[str, np.ndarray], world: world_lib.World
) -> np.ndarray:
  """Returns the class that the factors make; -1 if one is unknown."""
  label_b = np.zeros(len(factors['shape']), int)
  known_b = np.full(len(label_b), bool(world.label))
  for factor in world.label:
    label_b = label_b * len(world.factors_kept[factor]) + factors[factor]
    known_b &= factors[factor] >= 0
  return np.where(known_b, label_b, -1)
