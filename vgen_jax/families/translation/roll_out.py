"""Rollouts of networks that translate layouts to video."""

from typing import Any

import jax
import jax.numpy as jnp

from vgen_jax.core import shapes
from vgen_jax.core.types import Array
from vgen_jax.nn import translation
from vgen_jax.nn.convolution import recurrent


def roll_out(
  generator: translation.Translator,
  layout_bthw: Array,
  given_bthwc: Array,
  num_given: int,
  encoded: Any,
  *,
  restarts_t: Array | None = None,
  through_time: bool = True,
  train: bool = False,
) -> translation.Frame:
  """Generates the frames after the first `num_given`, one after another.

  Args:
    generator: Network, bound.
    layout_bthw: Layouts of all t frames, int32.
    given_bthwc: Real frames in [-1, 1]. Only the first `num_given` are read,
      and the others may have any values or be left out; with restarts, all t
      frames are read.
    num_given: Number of first frames that are given, less than t.
    encoded: Result of `generator.encode`.
    restarts_t: Bool `[t]`: the frames at which generation restarts, so that all
      previous frames of these are real. Entries of given frames have no effect.
      None for no restarts.
    through_time: Whether gradients flow to a frame from the frames after it.
    train: Whether dropout is on.

  Returns:
    Generated frames, `[b, t - num_given, ...]`.

  Raises:
    ValueError: If there are too few frames, or their sizes differ.
  """
  b, t, h, w = layout_bthw.shape
  if given_bthwc.shape[1] < num_given or t <= num_given:
    raise ValueError(
      f'The layout has {t} frames and the given video {given_bthwc.shape[1]};'
      f' with model.num_context {num_given}, the layout needs'
      f' {num_given + 1} frames or more, and the video {num_given} or more.'
      ' Give longer ones.'
    )
  if (h, w) != given_bthwc.shape[2:4]:
    raise ValueError(
      f'The layout has shape {layout_bthw.shape} and the video'
      f' {given_bthwc.shape}; their frames must have the same height and width:'
      ' resize one of them.'
    )
  m, c = generator.num_previous, given_bthwc.shape[-1]
  # Window i of a padded array has the m entries before entry i, and, of
  # layouts, entry i itself.
  windows = lambda x, size: jnp.stack(
    [x[:, i : i + t] for i in range(size)], axis=2
  )[:, num_given:]
  layout = jnp.pad(
    layout_bthw, ((0, 0), (m, 0), (0, 0), (0, 0)), constant_values=-1
  )
  num_read = num_given if restarts_t is None else t
  real = given_bthwc[:, :num_read].astype(jnp.float32)
  real = jnp.concatenate(
    [jnp.zeros((b, m, h, w, c)), real, jnp.zeros((b, t - num_read, h, w, c))],
    axis=1,
  )
  starts_t = jnp.zeros(t, bool) if restarts_t is None else restarts_t
  starts_t = starts_t[num_given:].at[0].set(True)
  index_tm = jnp.arange(t)[:, None] + jnp.arange(-m, 0)[None]
  exists_tm = index_tm[num_given:] >= 0

  def cell(network, carry, previous_bmhwc, inputs):
    layout_blhw, exists_bm = inputs
    if not through_time:
      previous_bmhwc = jax.lax.stop_gradient(previous_bmhwc)
    frame = network(
      translation.Window(layout_blhw, previous_bmhwc, exists_bm),
      encoded,
      train=train,
    )
    shapes.check_output('generator', network, frame.frame_bhwc, (b, h, w, c))
    following_bmhwc = jnp.concatenate(
      [previous_bmhwc[:, 1:], frame.frame_bhwc[:, None]], axis=1
    )
    return carry, following_bmhwc, frame

  spread = lambda x: jnp.broadcast_to(x[None], (b, *x.shape))
  _, frames = recurrent.scan_rollout(
    cell,
    generator,
    (),
    windows(real, m),
    spread(starts_t),
    (windows(layout, m + 1), spread(exists_tm)),
  )
  return frames


def restarts(
  num_frames: int, num_given: int, length: int, doublings: int | Array
) -> Array:
  """Returns at which frames of a clip generation restarts, bool `[t]`.

  Args:
    num_frames: Number of frames of the clip, t.
    num_given: Number of given first frames.
    length: Number of frames from one restart to the next, 1 or more.
    doublings: Number of times that the length has been doubled, 0 or more.
  """
  # More than 20 doublings are longer than any clip, and could overflow.
  length = length * 2 ** jnp.minimum(doublings, 20)
  since_t = jnp.arange(num_frames) - num_given
  return (since_t >= 0) & (since_t % length == 0)
