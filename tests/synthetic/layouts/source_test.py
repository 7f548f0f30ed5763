"""Tests of layouts/source.py and correspondence.py by pixels only."""

import numpy as np
import pytest

from vgen_jax.synthetic import drawing as drawing_lib
from vgen_jax.synthetic.layouts import source

SHAPE = (16, 32, 32, 3)
KINDS = (
  {},
  {'pans': True, 'texture': 'waves'},
  {'subpixel': True},
  {'subpixel': True, 'pans': True},
)
each_kind = pytest.mark.parametrize('kind', KINDS, ids=str)


def misaligned(flow_thw2):
  """Flow as interpreted by normalized grids without aligned corners."""
  h, w = flow_thw2.shape[1:3]
  y, x = np.mgrid[:h, :w]
  place = np.stack([x, y], -1)
  size = np.array([w, h])
  return (place + flow_thw2) / (size - 1) * size - 0.5 - place


def clips_of(world, number):
  """Returns videos in [0, 1] and what they show."""
  return [(world[i]['video'] / 255, world.truth(i)) for i in range(number)]


def warp_error(pixel_tools, clips, change, step=-1):
  """Mean and largest error, in [0, 1], of visible moving pixels."""
  errors = []
  for video, truth in clips:
    flow = truth.flow
    field, occluded = (
      (flow.backward_thw2, flow.occluded_before_thw)
      if step < 0
      else (flow.forward_thw2, flow.occluded_after_thw)
    )
    frames = range(1, 16) if step < 0 else range(15)
    moved = change(field)
    for t in frames:
      error_hw = abs(
        pixel_tools.warp(video[t + step], moved[t]) - video[t]
      ).mean(-1)
      things = (truth.instance_thw[t] > 0) | (truth.instance_thw[t + step] > 0)
      errors.append(error_hw[things & ~occluded[t]])
  errors = np.concatenate(errors)
  return errors.mean(), errors.max()


@each_kind
@pytest.mark.parametrize('step', [-1, 1])
def test_warping_by_the_true_flow_reproduces_the_frame(kind, step, pixel_tools):
  clips = clips_of(source.Layouts(SHAPE, **kind), 10)
  _, most = warp_error(pixel_tools, clips, lambda flow: flow, step)
  assert most <= (0.005 if kind.get('subpixel') else 1e-9)


@each_kind
def test_warping_by_a_wrong_flow_gives_large_errors(kind, pixel_tools):
  clips = clips_of(source.Layouts(SHAPE, **kind), 20)
  error = lambda change: warp_error(pixel_tools, clips, change)[0]
  whole = not kind.get('subpixel')
  assert error(lambda flow: -flow) > 0.12
  assert error(lambda flow: flow[..., ::-1]) > (0.08 if whole else 0.05)
  assert error(lambda flow: 0 * flow) > (0.08 if whole else 0.03)
  assert error(misaligned) > (0.02 if whole else 0.006)


@each_kind
def test_occluded_pixels_are_few_and_differ(kind, pixel_tools):
  world = source.Layouts(SHAPE, **kind)
  errors, shares = [], []
  for i in range(10):
    video, flow = world[i]['video'] / 255, world.truth(i).flow
    assert flow.occluded_before_thw[0].all()
    assert flow.occluded_after_thw[-1].all()
    y, x = np.mgrid[:32, :32]
    for t in range(1, 16):
      occluded = flow.occluded_before_thw[t]
      shares.append(occluded.mean())
      source_x = x + flow.backward_thw2[t, ..., 0]
      source_y = y + flow.backward_thw2[t, ..., 1]
      outside = (np.minimum(source_x, source_y) < -1e-3) | (
        np.maximum(source_x, source_y) > 31.001
      )
      assert occluded[outside].all()  # Pixels outside the frame are occluded.
      frame = pixel_tools.warp(video[t - 1], flow.backward_thw2[t])
      errors += abs(frame - video[t]).mean(-1)[occluded & ~outside].tolist()
  # Marking all pixels as occluded would pass the other checks.
  assert np.mean(shares) < (0.15 if 'pans' in kind else 0.05)
  assert np.mean(errors) > 0.1


@pytest.mark.parametrize('texture', source.TEXTURES)
def test_layout_matches_the_pixels(texture, pixel_tools):
  world = source.Layouts(SHAPE, texture=texture)
  seen = set()
  for i in range(30):
    clip, truth = world[i], world.truth(i)
    layout = clip['layout']
    np.testing.assert_array_equal(
      pixel_tools.saturation(clip['video']) > 20, layout > 0
    )
    np.testing.assert_array_equal(layout, truth.class_n[truth.instance_thw])
    # Grey textures do not change hue and saturation of a class.
    for number in np.unique(layout[layout > 0]):
      color_k3 = clip['video'][layout == number].astype(float)
      hue_k3 = color_k3 - color_k3.mean(1, keepdims=True)
      wanted = 0.8 * np.array(
        drawing_lib.COLORS[drawing_lib.COLOR_NAMES[number - 1]]
      )
      assert abs(hue_k3 - (wanted - wanted.mean())).max() < 1
      seen.add(int(number))
  assert seen == set(range(1, world.num_segments))


def test_the_texture_moves_with_the_object():
  # At a fixed offset from the object, the colour is the same in all frames.
  world = source.Layouts(SHAPE, num_objects=1)
  for i in range(10):
    video, truth = world[i]['video'], world.truth(i)
    first = truth.position_nt2[1, 0]
    for t in (5, 15):
      dx, dy = np.rint(truth.position_nt2[1, t] - first).astype(int)
      y, x = np.nonzero(truth.instance_thw[t] == 1)
      np.testing.assert_array_equal(video[t, y, x], video[0, y - dy, x - dx])
    colors = video[0][truth.instance_thw[0] == 1]
    assert np.ptp(colors[:, 0].astype(int)) > 15


def test_subpixel_controls_fractional_motion():
  for subpixel in (False, True):
    world = source.Layouts(SHAPE, subpixel=subpixel, pans=True)
    flow = np.stack([world.truth(i).flow.backward_thw2 for i in range(5)])
    assert (abs(flow - np.rint(flow)).max() > 0.1) == subpixel
    assert abs(flow[:, 1:]).max() >= 0.9


def test_clips_can_have_their_exact_flow():
  world = source.Layouts(SHAPE, flow=True, subpixel=True)
  plain = source.Layouts(SHAPE, subpixel=True)
  for i in range(3):
    clip = world[i]
    expected = plain.truth(i).flow.backward_thw2
    np.testing.assert_array_equal(clip.pop('flow'), expected)
    assert abs(expected).max() > 0.5
    assert clip.keys() == plain[i].keys()
