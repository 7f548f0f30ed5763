"""Selection of the frames of a clip: those of a window, or random ones.

Positions in a video are those of data/files/segments.py.
"""

import numpy as np

from vgen_jax.data import clips
from vgen_jax.data.files import segments


def window_start(
  segment: segments.Segment, spec: segments.ClipSpec, window: int
) -> float:
  """Returns the position of the first frame of a window.

  Args:
    segment: Segment that the clip is taken from.
    spec: Which frames make up a clip.
    window: Index of the window, 0 to `segment.num_windows(spec)` - 1.
  """
  interval = spec.frame_interval
  if spec.num_windows is None:
    start = window * interval * spec.num_frames
  else:
    slack = segment.slack(spec.span(interval))
    start = clips.evenly_spaced(slack, spec.num_windows)[window]
  if not spec.is_timed:
    start = int(start)
  return segment.first + start


def random_start(
  segment: segments.Segment, spec: segments.ClipSpec, rng: np.random.Generator
) -> tuple[float, float]:
  """Returns a random position of a first frame, and an interval of frames.

  Args:
    segment: Segment that the clip is taken from.
    spec: Which frames make up a clip. The interval is one of its intervals for
      which the segment is long enough, or else the shortest.
    rng: Generator of random numbers.
  """
  fitting = [x for x in spec.frame_intervals if segment.fits(spec.span(x))]
  interval = fitting[0] if fitting else min(spec.frame_intervals)
  if len(fitting) > 1:
    interval = fitting[rng.integers(len(fitting))]
  slack = segment.slack(spec.span(interval))
  if spec.is_timed:
    start = segment.first + rng.uniform(0, slack)
  else:
    start = segment.first + rng.integers(slack, endpoint=True)
  return start, interval


def positions(
  segment: segments.Segment,
  spec: segments.ClipSpec,
  start: float,
  frame_interval: float,
) -> np.ndarray:
  """Returns the positions of the frames of a clip, float `[t]`.

  Args:
    segment: Segment that the clip is taken from.
    spec: Number of frames, and what to do if the segment is too short.
    start: Position of the first frame.
    frame_interval: Distance between the positions of two frames.
  """
  num, short = spec.num_frames, spec.short
  first, last = segment.first, segment.last
  return clips.positions(start, num, frame_interval, first, last, short)
