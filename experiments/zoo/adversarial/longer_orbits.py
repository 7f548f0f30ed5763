"""Checks that a MoCoGAN continues orbits for twice the length of its clips.

  vgen train --config=mocogan_world:small --workdir=runs/mocogan_orbits \
      --config.num_steps=6000 --config.clip_shape='(8, 16, 16, 3)' \
      --config.data='{"name": "synthetic.orbit.source.Orbit",
                      "periods": (12, 12), "radius": 0.15,
                      "has_labels": True}' \
      --config.optim.schedule.name=wsd \
      --config.optim.schedule.decay_fraction=0.3
  python -m experiments.zoo.adversarial.longer_orbits \
      --workdir=runs/mocogan_orbits --num=256

All orbits of the training data must have the same period, which is longer than
a clip and shorter than two clips, so that generated clips have to continue a
revolution and begin another one.

A clip is valid if an object moves on a circle in all frames: with the period of
the data, at a distance from the centre that occurs in the data, without large
changes of its colour and size, and if the rest of the frame is dark and grey.
Shapes, a brightness or an area that varies by less than a factor of two,
changes between similar colours, and a period that differs by 3 % do not matter,
and clips may be all the same.

The script prints the proportions of clips that are valid as a whole, and of
their first and second halves, the proportion of clips that move in the
requested direction, and that of clips that are valid, as a whole and in both
halves, and move in this direction. MoCoGAN passes if the last one is at least
50 %. For comparison, the script also prints the numbers of real clips, and of
wrong clips that must not pass: those of `longer_clips.py` and `rough_clips.py`,
faint objects, a second white object, spirals, a second half on a smaller orbit,
and orbits with another period or in the other direction.
"""

import numpy as np

from experiments.zoo import arguments
from experiments.zoo.adversarial import longer_clips
from experiments.zoo.adversarial import orbit_criteria
from experiments.zoo.adversarial import rough_clips
from vgen_jax.core.types import ClipShape
from vgen_jax.inference import runs
from vgen_jax.synthetic import drawing
from vgen_jax.synthetic.orbit import source as orbit_lib


def main() -> None:
  args = arguments.parser(__doc__, num=256, least=16).parse_args()
  run = runs.load(args.workdir)
  longer_clips.check_network(run)
  check_data(run.source)
  orbits = longer_orbits(run.source)
  video, label = longer_clips.real_clips(orbits, args.num)
  requested = np.asarray(run.condition(args.num)['label'])
  arms = {
    'generated': (longer_clips.generate(run, args.num), requested),
    'real': (video, label),
    **cheats(orbits, video, label),
  }
  found = {name: orbit_criteria.numbers(*x, orbits) for name, x in arms.items()}
  longer_clips.print_table(found)


def check_data(orbits: object) -> None:
  """Raises ValueError if a run has other data, or unsuitable periods."""
  if not isinstance(orbits, orbit_lib.Orbit):
    raise ValueError(
      f'The run was trained on {type(orbits).__name__}; this check needs Orbit'
      ' (synthetic.orbit.source.Orbit).'
    )
  t = orbits.clip_shape[0]
  if not orbits.class_names:
    raise ValueError(
      'config.data.has_labels of the run is False; this check needs True.'
    )
  low, high = orbits.periods
  if low != high or not t < low < 2 * t:
    raise ValueError(
      f'config.data.periods of the run is {orbits.periods}; this check needs'
      f' two equal numbers from {t + 1} to {2 * t - 1}.'
    )
  radius = orbits.radius * orbits.side
  least = orbit_criteria.LEAST_RADIUS
  if radius < least:
    raise ValueError(
      f'Objects of the run have a radius of {radius:.2f} pixels'
      f' (config.data.radius {orbits.radius}); this check needs at least'
      f' {least}.'
    )


def longer_orbits(orbits: orbit_lib.Orbit) -> orbit_lib.Orbit:
  """Returns a dataset of clips of twice the length, for validation."""
  t, *rest = orbits.clip_shape
  return _with_period(orbits, (2 * t, *rest), orbits.periods[0])


def _with_period(
  orbits: orbit_lib.Orbit, clip_shape: ClipShape, period: int
) -> orbit_lib.Orbit:
  return orbit_lib.Orbit(
    clip_shape,
    'validation',
    periods=(period, period),
    radius=orbits.radius,
    has_labels=True,
  )


def cheats(
  orbits: orbit_lib.Orbit, video_bthwc: np.ndarray, label_b: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """Returns clips that must not pass, and their classes, by name.

  Args:
    orbits: Dataset of longer clips.
    video_bthwc: Its first clips, uint8.
    label_b: Their classes.
  """
  wrong = longer_clips.cheats(video_bthwc, label_b)
  wrong |= rough_clips.cheats(video_bthwc)
  levels = video_bthwc.astype(np.float32)
  faint = orbit_criteria.BACKGROUND + 0.4 * (levels - orbit_criteria.BACKGROUND)
  wrong['faint'] = drawing.to_uint8(faint)
  num, t = levels.shape[:2]
  wrong['spiral'] = redraw(orbits, num, np.linspace(1, 0.5, t))
  smaller_t = np.where(np.arange(t) < t // 2, 1, 0.75)
  wrong['then a smaller orbit'] = redraw(orbits, num, smaller_t)
  white = video_bthwc.copy()
  white[:, :, -3:, -3:] = 255
  wrong['white object'] = white
  period = round(4 / 3 * orbits.periods[0])
  slow = _with_period(orbits, orbits.clip_shape, period)
  return {name: (x, label_b) for name, x in wrong.items()} | {
    'longer period': longer_clips.real_clips(slow, num),
    'other direction': (video_bthwc, 1 - label_b),
  }


def redraw(
  orbits: orbit_lib.Orbit, num: int, scale_t: np.ndarray
) -> np.ndarray:
  """Returns real clips with other distances from the centre, uint8.

  Args:
    orbits: Dataset of the clips.
    num: Number of clips.
    scale_t: Factor of the distance of each frame.
  """
  video_bthwc = np.full(
    (num, *orbits.clip_shape), orbit_criteria.BACKGROUND, dtype=np.float32
  )
  for i, video_thwc in enumerate(video_bthwc):
    truth = orbits.truth(i)
    arm_t2 = truth.center_t2 - truth.middle_2
    drawing.paint(
      video_thwc,
      truth.shape,
      truth.radius,
      truth.middle_2 + scale_t[:, None] * arm_t2,
      np.array(drawing.COLORS[truth.color]),
    )
  return drawing.to_uint8(video_bthwc)


if __name__ == '__main__':
  main()
