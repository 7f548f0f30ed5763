"""Corruptions that change the order of frames, or the selection of clips.

Each function is called as `(clips, level, rng)` and returns corrupted clips,
uint8 `[b, t, h, w, c]`; the second argument states the strength of the
corruption. registry.py lists the levels and their units.
"""

import numpy as np

from vgen_jax.synthetic.world import drawing
from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world.corruptions import rerendering

Clips, Rng = rerendering.Clips, rerendering.Rng


def shuffle(clips: Clips, fraction: float, rng: Rng) -> np.ndarray:
  """Permutes a random fraction of the frames of each clip cyclically."""
  time_bt = rerendering.frame_indices(clips)
  num_frames = round(fraction * time_bt.shape[1])
  for time_t in time_bt:
    chosen = rng.permutation(len(time_t))[:num_frames]
    time_t[chosen] = np.roll(time_t[chosen], 1)
  return _at_times(clips, time_bt)


def reverse(clips: Clips, fraction: float, rng: Rng) -> np.ndarray:
  """Reverses time in a fraction of the clips."""
  video = clips.video_bthwc
  chosen = rerendering.choose_clips(clips, fraction, rng)
  return np.where(chosen, video[:, ::-1], video)


def freeze(clips: Clips, num_frames: float, rng: Rng) -> np.ndarray:
  """Replaces the last `num_frames` frames by the frame before them."""
  time_bt = rerendering.frame_indices(clips)
  return _at_times(
    clips, np.minimum(time_bt, time_bt[:, -1:] - int(num_frames))
  )


def hold(clips: Clips, num_frames: float, rng: Rng) -> np.ndarray:
  """Replaces `num_frames` consecutive frames by the frame before them."""
  since_bt = frames_since_event(clips, num_frames, rng)
  held_bt = np.where(since_bt <= num_frames, np.maximum(since_bt, 0), 0)
  return _at_times(clips, rerendering.frame_indices(clips) - held_bt)


def pause(clips: Clips, num_frames: float, rng: Rng) -> np.ndarray:
  """Repeats a frame `num_frames` times and delays all later frames."""
  since_bt = frames_since_event(clips, num_frames, rng)
  delay_bt = np.clip(since_bt, 0, int(num_frames))
  return _at_times(clips, rerendering.frame_indices(clips) - delay_bt)


def vanish(clips: Clips, num_frames: float, rng: Rng) -> np.ndarray:
  """Hides the object in `num_frames` consecutive frames."""
  since_bt = frames_since_event(clips, num_frames, rng)
  gone_bt111 = ((since_bt > 0) & (since_bt <= num_frames))[
    ..., None, None, None
  ]
  return np.where(gone_bt111, np.uint8(drawing.BACKGROUND), clips.video_bthwc)


def static(clips: Clips, level: float, rng: Rng) -> np.ndarray:
  """Repeats the first frame; `level` is not used."""
  return _at_times(clips, 0 * rerendering.frame_indices(clips))


def blank(clips: Clips, level: float, rng: Rng) -> np.ndarray:
  """Shows only the background; `level` is not used."""
  return np.full_like(clips.video_bthwc, drawing.BACKGROUND)


def duplicate(clips: Clips, num_clips: float, rng: Rng) -> np.ndarray:
  """Repeats the first `num_clips` clips in place of all others."""
  index_b = np.arange(len(clips.video_bthwc)) % int(num_clips)
  return clips.video_bthwc[index_b]


def collapse(clips: Clips, num_combinations: float, rng: Rng) -> np.ndarray:
  """Shows new clips that repeat the factors of the first `num_combinations`."""
  world = clips.world
  worlds = [
    world_lib.World(
      world.clip_shape, split=world.split, seed=world.seed, only=factors
    )
    for factors in clips.factors[: int(num_combinations)]
  ]
  num_clips = len(clips.factors)
  return np.stack(
    [worlds[i % len(worlds)][i]['video'] for i in range(num_clips)]
  )


def frames_since_event(clips: Clips, num_frames: float, rng: Rng) -> np.ndarray:
  """Returns the number of frames since a random event, int `[b, t]`.

  The numbers are negative before the event.

  Args:
    clips: Clips to corrupt.
    num_frames: Number of frames that must follow the event.
    rng: Generator that chooses the frame of the event in each clip.
  """
  b, t = clips.video_bthwc.shape[:2]
  event_b1 = rng.integers(0, t - int(num_frames), (b, 1))
  return rerendering.frame_indices(clips) - event_b1


def _at_times(clips: Clips, time_bt: np.ndarray) -> np.ndarray:
  return clips.video_bthwc[np.arange(len(time_bt))[:, None], time_bt]
