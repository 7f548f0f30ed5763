"""Criteria for long predictions, and predictions that must not meet them.

The predictions are far longer than training clips. The clips are those of
`TwoFutures`, whose motion is defined for a few frames after the fork. Later
frames have no true continuation, but an object that moves on must leave the
frame at a border, with its colour and its sharpness, and nothing else may
change. `long_prediction.py` states the criteria.
"""

from typing import NamedTuple

import numpy as np

from vgen_jax.evaluation.metrics import baselines
from vgen_jax.synthetic import saturation
from vgen_jax.synthetic.two_futures import source as futures_source

WINDOWS = ((1, 8), (9, 32), (33, 100))  # Predicted frames, from 1.


class Constant(futures_source.TwoFutures):
  """Clips of any length in which the disc moves on with constant velocity.

  The first frames of a clip are those of a `TwoFutures` of `length` frames.
  """

  length = 8

  def _path(self, draws_3: np.ndarray, branch: int) -> tuple[np.ndarray, int]:
    short = futures_source.TwoFutures(
      (self.length, *self.clip_shape[1:]), fork=self.fork
    )
    center_t2, fork = short._path(draws_3, branch)
    velocity_2 = center_t2[-1] - center_t2[-2]
    later_t1 = np.arange(1, self.clip_shape[0] - self.length + 1)[:, None]
    later_t2 = center_t2[-1] + later_t1 * velocity_2
    return np.concatenate([center_t2, later_t2]), fork


class Tracks(NamedTuple):
  """The object of each predicted frame.

  Attributes:
    amount_bt: Its saturation, relative to the known frames: 1 for one object.
    center_bt2: Its centre (x, y) in pixels, also where it is not present.
    contrast_bt: Saturation of its most saturated pixel, relative to the known
      frames.
    hue_bt: Angle of its hue to that in the known frames, in degrees.
    background_bt: Mean absolute change of the background, in levels of [0, 1].
    border_bt: Whether its centre is within a radius of the left or right
      border, where no centre is in training.
  """

  amount_bt: np.ndarray
  center_bt2: np.ndarray
  contrast_bt: np.ndarray
  hue_bt: np.ndarray
  background_bt: np.ndarray
  border_bt: np.ndarray

  @property
  def present_bt(self) -> np.ndarray:
    """Whether there is one object."""
    return (self.amount_bt >= 0.5) & (self.amount_bt <= 1.5)


def track(world: futures_source.TwoFutures, video_bthwc: np.ndarray) -> Tracks:
  """Returns the object of each predicted frame.

  Args:
    world: Dataset of the clips.
    video_bthwc: Clips, uint8; those before frame `world.fork` are known.
  """
  fork = world.fork
  mass_bthw = saturation.saturation(video_bthwc)
  regions = saturation.locate(video_bthwc)
  relative = lambda x_bt: x_bt[:, fork:] / x_bt[:, :fork].mean(1, keepdims=True)
  chroma_bt3 = _chroma(video_bthwc, mass_bthw)
  known_b13 = chroma_bt3[:, :fork].mean(1, keepdims=True)
  cosine_bt = (chroma_bt3[:, fork:] * known_b13).sum(-1) / np.maximum(
    np.linalg.norm(known_b13, axis=-1), 1e-9
  )
  grey_bthw = (mass_bthw[:, fork:] == 0) & (mass_bthw[:, fork - 1 : fork] == 0)
  levels_bthwc = video_bthwc.astype(np.float32) / 255
  change_bthw = np.abs(
    levels_bthwc[:, fork:] - levels_bthwc[:, fork - 1 : fork]
  ).mean(-1)
  num_bt = np.maximum(grey_bthw.sum((2, 3)), 1)
  x_bt = regions.center_bt2[:, fork:, 0]
  low, high = world.radius, video_bthwc.shape[3] - 1 - world.radius
  return Tracks(
    relative(regions.mass_bt),
    regions.center_bt2[:, fork:],
    relative(mass_bthw.max((2, 3))),
    np.degrees(np.arccos(cosine_bt.clip(-1, 1))),
    (change_bthw * grey_bthw).sum((2, 3)) / num_bt,
    (x_bt < low) | (x_bt > high),
  )


def numbers(
  world: futures_source.TwoFutures, video_bthwc: np.ndarray
) -> dict[str, dict[str, float]]:
  """Returns the numbers of each window, and of whole clips as 'clips'.

  * `present`, `excess`: fractions of frames with one object, and with more.
  * `speed`: median speed of objects, relative to the dataset.
  * `stalled`: fraction of steps with an object that moves at less than a
    quarter of that speed.
  * `contrast`, `hue`, `background`: means of the fields of `Tracks`.
  * Of whole clips, `leaves`, `fades`, `returns`: fractions of clips in which
    the object vanishes at the left or right border, or elsewhere, and in which
    an object is present after that. `present` and `speed` are those of the
    frames for which the dataset defines a future.

  `speed`, `contrast` and `hue` are NaN if no object is present.

  The arguments are those of `track`.
  """
  tracks = track(world, video_bthwc)
  t = world.clip_shape[0] - world.fork
  found = {
    f'{first}-{last}': _window(world, tracks, first - 1, last)
    for first, last in WINDOWS
    if first <= tracks.amount_bt.shape[1]
  }
  defined = _window(world, tracks, 0, t)
  empty_bt = tracks.amount_bt < 0.5
  was_present_bt = np.logical_or.accumulate(tracks.present_bt, axis=1)
  vanishes_bt = empty_bt & np.pad(was_present_bt, ((0, 0), (1, 0)))[:, :-1]
  vanishes_b, first_b = vanishes_bt.any(1), vanishes_bt.argmax(1)
  before_b = np.maximum(first_b - 1, 0)
  border_b = tracks.border_bt[np.arange(len(before_b)), before_b]
  later_bt = np.logical_or.accumulate(vanishes_bt, axis=1)
  found['clips'] = {
    'present': defined['present'],
    'speed': defined['speed'],
    'leaves': (vanishes_b & border_b).mean(),
    'fades': (vanishes_b & ~border_b).mean(),
    'returns': (later_bt & tracks.present_bt).any(1).mean(),
  }
  return found


def failures(found: dict[str, dict[str, float]]) -> list[str]:
  """Returns the names of the criteria that predictions do not meet."""
  clips = found['clips']
  windows = [value for name, value in found.items() if name != 'clips']
  # A window without an object, whose numbers are NaN, has no fault.
  worst = lambda name: np.nanmax([0, *(window[name] for window in windows)])
  least = lambda name: np.nanmin([1, *(window[name] for window in windows)])
  passes = {
    'object': clips['present'] >= 0.95,
    'speed': abs(clips['speed'] - 1) <= 0.25,
    'stalls': worst('stalled') <= 0.1,
    'leaves': clips['leaves'] >= 0.8,
    'fades': clips['fades'] <= 0.1,
    'returns': clips['returns'] <= 0.1,
    'excess': worst('excess') <= 0.05,
    'contrast': least('contrast') >= 0.8,
    'colour': worst('hue') <= 10,
    'background': worst('background') <= 0.02,
  }
  return [name for name, is_met in passes.items() if not is_met]


def cheats(
  world: futures_source.TwoFutures, video_bthwc: np.ndarray
) -> dict[str, np.ndarray]:
  """Returns long predictions that must fail, made from others.

  The arguments are those of `track`.
  """
  fork, t = world.fork, world.clip_shape[0]
  known_bthwc, rest_bthwc = np.split(video_bthwc.astype(float), [fork], axis=1)
  num = rest_bthwc.shape[1]
  median_b11 = np.median(rest_bthwc, axis=(1, 2, 3, 4), keepdims=True)
  rate_t = (np.arange(1, num + 1) / 16).clip(0, 1)[:, None, None, None]
  after = lambda rest: np.concatenate(
    [video_bthwc[:, :fork], np.clip(np.rint(rest), 0, 255).astype(np.uint8)],
    axis=1,
  )
  # Frames that the dataset defines, forwards and backwards in turn.
  last = t - fork - 1
  order_t = last - np.abs(np.arange(num) % (2 * last) - last)
  frozen_bthwc = video_bthwc.copy()
  frozen_bthwc[:, t:] = video_bthwc[:, t - 1 : t]
  fade_t = np.exp(-np.arange(1, num + 1) / 5)[:, None, None, None]
  mirrored_bthwc = rest_bthwc[:, :, :, ::-1]
  is_more = np.ptp(mirrored_bthwc, -1, keepdims=True) > np.ptp(
    rest_bthwc, -1, keepdims=True
  )
  return {
    'last known frame': after(baselines.copy_last(known_bthwc, num)),
    f'frozen after {t} frames': frozen_bthwc,
    'back and forth': after(rest_bthwc[:, order_t]),
    'fading': after(median_b11 + fade_t * (rest_bthwc - median_b11)),
    'colours exchanged gradually': after(
      (1 - rate_t) * rest_bthwc + rate_t * np.roll(rest_bthwc, 1, axis=-1)
    ),
    'second object': after(np.where(is_more, mirrored_bthwc, rest_bthwc)),
    'brighter': after(rest_bthwc + 20 * rate_t),
  }


def _chroma(video_bthwc: np.ndarray, mass_bthw: np.ndarray) -> np.ndarray:
  """Returns unit vectors of the hue of the object, `[b, t, 3]`; 0 if none."""
  color_bt3 = np.einsum('bthw,bthwc->btc', mass_bthw, video_bthwc)
  chroma_bt3 = color_bt3 - color_bt3.mean(-1, keepdims=True)
  return chroma_bt3 / np.maximum(
    np.linalg.norm(chroma_bt3, axis=-1, keepdims=True), 1e-9
  )


def _window(
  world: futures_source.TwoFutures, tracks: Tracks, first: int, last: int
) -> dict[str, float]:
  """Returns the numbers of predicted frames `first` to `last` - 1, from 0."""
  present_bt = tracks.present_bt[:, first:last]
  center_t2 = world.truth(0).center_t2
  true_speed = np.linalg.norm(center_t2[-1] - center_t2[-2])
  step_bt = np.linalg.norm(np.diff(tracks.center_bt2, axis=1), axis=-1)
  both_bt = tracks.present_bt[:, 1:] & tracks.present_bt[:, :-1]
  window = slice(max(first - 1, 0), last - 1)
  both_bt, step_bt = both_bt[:, window], step_bt[:, window] / true_speed
  where = lambda x_bt: _mean(x_bt[:, first:last][present_bt])
  return {
    'present': float(present_bt.mean()),
    'excess': float((tracks.amount_bt[:, first:last] > 1.5).mean()),
    'speed': float(np.median(step_bt[both_bt])) if both_bt.any() else np.nan,
    'stalled': float((both_bt & (step_bt < 0.25)).mean()),
    'contrast': where(tracks.contrast_bt),
    'hue': where(tracks.hue_bt),
    'background': float(tracks.background_bt[:, first:last].mean()),
  }


def _mean(values: np.ndarray) -> float:
  """Returns the mean; NaN if there is no value."""
  return float(values.mean()) if len(values) else np.nan
