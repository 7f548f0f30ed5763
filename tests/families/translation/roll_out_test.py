"""Tests of families/translation/roll_out.py."""

import jax
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from tests.families.translation import tiny
from vgen_jax.families.translation import roll_out
from vgen_jax.nn import translation

NET = tiny.Translator(tiny.SHAPE)
T = tiny.SHAPE[0]


@pytest.fixture(scope='module')
def params():
  window = translation.Window(
    tiny.LAYOUT[:, :3], tiny.VIDEO[:, :2], np.ones((tiny.B, 2), bool)
  )
  return compiled.init(NET, tiny.KEY, window, (), train=False)


def roll(net, layout, video, given, **options):
  return roll_out.roll_out(net, layout, video, given, (), **options)


def rolled(params, layout=tiny.LAYOUT, video=tiny.VIDEO, given=1, **options):
  """Returns generated frames."""
  return compiled.apply(
    NET, params, layout, video, given, method=roll, **options
  )


def by_loop(params, given, restarts=()):
  """Returns generated frames `[b, t - given, ...]`, frame after frame."""
  frames = list(np.moveaxis(np.asarray(tiny.VIDEO[:, :given]), 1, 0))
  blank = np.zeros_like(tiny.VIDEO[:, 0])
  for t in range(given, T):
    if t in restarts:
      history = list(np.moveaxis(np.asarray(tiny.VIDEO[:, :t]), 1, 0))
    else:
      history = [*frames] if t == given else [*history, frames[-1]]
    previous = ([blank, blank, *history])[-2:]
    layouts = [
      tiny.LAYOUT[:, i] if i >= 0 else np.full_like(tiny.LAYOUT[:, 0], -1)
      for i in (t - 2, t - 1, t)
    ]
    exists = np.broadcast_to(np.array([t >= 2, t >= 1]), (tiny.B, 2))
    window = translation.Window(
      np.stack(layouts, 1), np.stack(previous, 1), exists
    )
    out = compiled.apply(NET, params, window, (), train=False)
    frames.append(np.asarray(out.frame_bhwc))
  return np.stack(frames[given:], axis=1)


@pytest.mark.parametrize('given', [0, 1, 3])
def test_equals_a_loop_over_frames(params, given):
  found = rolled(params, given=given)
  np.testing.assert_allclose(
    found.frame_bhwc, by_loop(params, given), atol=1e-5
  )
  assert found.previous.flow_bhwx.shape == (
    tiny.B, T - given, *tiny.SHAPE[1:3], 2
  )  # fmt: skip
  # Only a first frame of the clip has no previous one.
  masks = np.asarray(found.previous.mask_bhw)
  assert (masks[:, 0] == 1).all() == (given == 0)
  assert (masks[:, 1:] < 1).all()


def test_each_frame_is_made_from_generated_ones(params):
  """Real frames after the given ones have no effect."""
  found = rolled(params)
  other = arrays.add(tiny.VIDEO, np.s_[:, 1:], 0.5)
  assert (rolled(params, video=other).frame_bhwc == found.frame_bhwc).all()
  assert (rolled(params, video=tiny.VIDEO[:, :1]).frame_bhwc
          == found.frame_bhwc).all()  # fmt: skip
  other = arrays.add(tiny.VIDEO, np.s_[:, 0], 0.5)
  changed = rolled(params, video=other).frame_bhwc != found.frame_bhwc
  assert changed.any(axis=(0, 2, 3, 4)).all()


def test_layouts_affect_their_own_and_later_frames(params):
  found = rolled(params).frame_bhwc
  other = arrays.put(tiny.LAYOUT, np.s_[:, 3], (tiny.LAYOUT[:, 3] + 1) % 3)
  changed = np.asarray(rolled(params, layout=other).frame_bhwc != found)
  assert changed.any(axis=(0, 2, 3, 4)).tolist() == [False, False, True, True]


def test_after_a_restart_previous_frames_are_real(params):
  restarts = np.array([False, False, False, True, False])
  found = rolled(params, restarts_t=restarts).frame_bhwc
  expected = by_loop(params, 1, restarts=(3,))
  np.testing.assert_allclose(found, expected, atol=1e-5)
  assert (
    np.abs(found - by_loop(params, 1))[:, 2:].min(axis=(0, 2, 3, 4)).max() > 0
  )


def test_gradients_through_time_can_be_stopped(params):
  def gradient(through_time):
    last = lambda video: rolled(
      params, video=video, through_time=through_time
    ).frame_bhwc[:, -1].sum()  # fmt: skip
    return np.asarray(compiled.jit(jax.grad(last))(tiny.VIDEO))

  assert np.abs(gradient(True)[:, 0]).max() > 1e-4
  assert (gradient(False) == 0).all()


def test_restarts_have_a_period_that_doubles():
  found = compiled.call(
    lambda: [roll_out.restarts(9, 1, 2, n) for n in (0, 1, 2, 1000)]
  )
  starts = [np.flatnonzero(x).tolist() for x in found]
  assert starts == [[1, 3, 5, 7], [1, 5], [1], [1]]
