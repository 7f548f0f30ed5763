"""Generation of clips from layouts, by a trained run."""

import jax
import jax.numpy as jnp
import numpy as np

from vgen_jax.inference import runs
from vgen_jax.nn import translation


def frames(
  run: runs.Run, video_bthwc: np.ndarray, layout_bthw: np.ndarray, **changes
) -> translation.Frame:
  """Returns the frames of a run after the given ones, as arrays of NumPy.

  Args:
    run: Trained run.
    video_bthwc: Clips from 0 to 1, of which the first frames are given.
    layout_bthw: Layouts.
    **changes: Other values of fields of the generator.
  """
  generator = run.model.generator.clone(**changes)
  model = run.model.clone(generator=generator)
  variables = run.state.variables(run.config.sample_from)
  call = jax.jit(
    lambda layout, video: model.apply(
      variables, {'layout': layout}, video, method='frames'
    )
  )
  given = jnp.asarray(2 * video_bthwc - 1)
  return jax.tree.map(np.asarray, call(jnp.asarray(layout_bthw), given))


def whole(
  given_bthwc: np.ndarray, frames_bthwc: np.ndarray, start: int
) -> np.ndarray:
  """Returns clips from 0 to 1, whose first frames are given.

  Args:
    given_bthwc: Clips from 0 to 1, of which the first frames are used.
    frames_bthwc: Later frames, in [-1, 1].
    start: Number of given frames.
  """
  return np.concatenate([given_bthwc[:, :start], to_unit(frames_bthwc)], axis=1)


def to_unit(video: np.ndarray) -> np.ndarray:
  """Returns a video in [-1, 1] as one from 0 to 1."""
  return (video + 1).clip(0, 2) / 2
