"""Criteria for clips with attributes, and clips that must not meet them.

`attribute_control.py` states the criteria. Colours and positions are those that
the verifier of `synthetic.world` measures.
"""

from typing import NamedTuple

import numpy as np

from vgen_jax.synthetic import saturation
from vgen_jax.synthetic.world import features as features_lib
from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world import tiers
from vgen_jax.synthetic.world import tracking

FIRST_TURNED = 5  # First frame with the new direction, counted from 0.
_BATCH = 8  # Clips at a time, so that they fit in the cache of a CPU.


class Requested(NamedTuple):
  """Requested attributes of clips, indices in `world.factors_kept`.

  Attributes:
    color_b: Colours.
    direction_b: Directions in the first frames.
    turned_b: Directions from frame `FIRST_TURNED` on; None if they are the same
      in all frames.
  """

  color_b: np.ndarray
  direction_b: np.ndarray
  turned_b: np.ndarray | None = None


def of_labels(world: world_lib.World, label_b: np.ndarray) -> Requested:
  """Returns the attributes of labels of colour and direction."""
  num_directions = len(world.factors_kept['direction'])
  return Requested(label_b // num_directions, label_b % num_directions)


def opposite(world: world_lib.World, direction_b: np.ndarray) -> np.ndarray:
  """Returns the opposite directions; the dataset must have them."""
  kept = world.factors_kept['direction']
  return np.array(
    [
      np.argmin(_units(world) @ _units(world)[direction])
      for direction in range(len(kept))
    ]
  )[direction_b]


def numbers(
  world: world_lib.World, video_bthwc: np.ndarray, requested: Requested
) -> dict[str, float]:
  """Returns how well clips show the requested attributes.

  * `color`, `direction`, `both`: proportions of clips that show them.
  * `content`: average content distance, the mean length of the difference of
    the object's colours in consecutive frames, where channels are from 0 to 1.
  * `entropy`: entropy of the shown directions, in nats.
  * `conditional_entropy`: the same, given the requested direction.
  * `valid`: proportion of clips that are valid (loose).
  * `turned`, if a turn is requested: proportion of clips that move by half of
    the dataset's speed, or more, in the old direction before frame
    `FIRST_TURNED`, and in the new one from there.

  Args:
    world: Dataset of the clips, with one speed.
    video_bthwc: Clips, uint8.
    requested: Requested attributes.
  """
  track = _track(world, video_bthwc)
  features = features_lib.of_track(track, world)
  color_b, shown_b = features.factors['color'], features.factors['direction']
  has_color_b = color_b == requested.color_b
  has_direction_b = shown_b == requested.direction_b
  step_bt3 = np.diff(track.tint_bt3, axis=1) / 255
  found = {
    'color': has_color_b.mean(),
    'direction': has_direction_b.mean(),
    'both': (has_color_b & has_direction_b).mean(),
    'content': np.linalg.norm(step_bt3, axis=-1).mean(),
    'entropy': _entropy(shown_b),
    'conditional_entropy': sum(
      (requested.direction_b == value).mean()
      * _entropy(shown_b[requested.direction_b == value])
      for value in np.unique(requested.direction_b)
    ),
    'valid': tiers.is_valid(features, tiers.LOOSE, world).mean(),
  }
  if requested.turned_b is not None:
    center_bt2 = track.center_bt2
    last = FIRST_TURNED - 1  # The last frame before the turn.
    (speed,) = (world.speed(name) for name in world.factors_kept['speed'])
    units = _units(world)
    before_b = _progress(center_bt2[:, : last + 1], units, requested[1])
    after_b = _progress(center_bt2[:, last:], units, requested.turned_b)
    turned_b = (before_b >= speed / 2) & (after_b >= speed / 2)
    found['turned'] = turned_b.mean()
  return {name: float(x) for name, x in found.items()}


def failures(
  found: dict[str, float],
  first: dict[str, float],
  held_out: dict[str, float],
) -> list[str]:
  """Returns the names of the criteria that generated clips do not meet.

  Args:
    found: Numbers of clips generated from attributes.
    first: Numbers of clips generated from a first frame, with a turn.
    held_out: Numbers of clips with the held-out combination.
  """
  passes = {
    'color': found['color'] >= 0.9,
    'direction': found['direction'] >= 0.8,
    'entropy': found['entropy'] >= 1.2,
    'conditional entropy': found['conditional_entropy'] <= 0.2,
    'content': first['content'] <= 0.05 and first['color'] >= 0.9,
    'turn': first['turned'] >= 0.7,
    'held out': held_out['both'] >= 0.6,
  }
  return [name for name, is_met in passes.items() if not is_met]


def cheats(video_bthwc: np.ndarray) -> dict[str, np.ndarray]:
  """Returns clips that must fail, made from those of a model or of the data."""
  return {
    'clips of other attributes': np.roll(video_bthwc, 1, axis=0),
    'first frame repeated': np.repeat(
      video_bthwc[:, :1], video_bthwc.shape[1], axis=1
    ),
    'channels exchanged': video_bthwc[..., [1, 2, 0]],
    'reversed in time': video_bthwc[:, ::-1],
  }


def _units(world: world_lib.World) -> np.ndarray:
  """Returns the unit vector (x, y) of each direction, `[k, 2]`."""
  every = world_lib.FACTORS['direction']
  kept = world.factors_kept['direction']
  angle_k = np.array([every.index(x) for x in kept]) * np.pi / 4
  return np.stack([np.cos(angle_k), np.sin(angle_k)], axis=-1)


def _progress(
  center_bt2: np.ndarray, unit_k2: np.ndarray, direction_b: np.ndarray
) -> np.ndarray:
  """Returns the mean motion along directions, in pixels per frame, `[b]`."""
  step_b2 = np.diff(center_bt2, axis=1).mean(1)
  return (step_b2 * unit_k2[direction_b]).sum(-1)


def _entropy(value_n: np.ndarray) -> float:
  """Returns the entropy of values, in nats; -1 (none) is also a value."""
  from scipy import stats

  return float(stats.entropy(np.unique(value_n, return_counts=True)[1]))


def _track(world: world_lib.World, video_bthwc: np.ndarray) -> tracking.Track:
  level_bthwc = saturation.to_levels(video_bthwc)
  parts = [
    tracking.track(level_bthwc[i : i + _BATCH], world)
    for i in range(0, len(level_bthwc), _BATCH)
  ]
  return tracking.Track(*map(np.concatenate, zip(*parts, strict=True)))
