"""Tests of source.py: anomalies are visible in the labelled frames only."""

import numpy as np

from vgen_jax.synthetic.crowd import source

SHAPE = (16, 32, 32, 3)


def detect_anomalies(pixel_tools, video, num_objects=5) -> np.ndarray:
  """Frames in which the pixels of a lane show an anomaly."""
  detected_t = np.zeros(len(video), bool)
  for lane in np.split(np.arange(video.shape[1] // 5 * 5), num_objects):
    strip = video[:, lane[0] : lane[-1] + 1].astype(float)
    weight = pixel_tools.saturation(strip)
    x_t = pixel_tools.centroid(weight)[:, 0]
    ground = strip.min(-1)[..., None] * (weight[..., None] >= 0)
    color_t3 = (strip - ground).sum((1, 2)) / weight.sum((1, 2))[:, None]
    step_t = np.diff(x_t, prepend=2 * x_t[0] - x_t[1])
    for t in range(2, len(video)):
      jump = min(abs(step_t[t] - step_t[t - 1]), abs(step_t[t] - step_t[t - 2]))
      recolor = abs(color_t3[t] - color_t3[t - 1]).max()
      detected_t[t] |= jump > 0.5 or recolor > 0.4
  return detected_t


def test_anomalies_are_visible_in_labelled_frames_only(pixel_tools):
  # 5 lanes of 8 pixels each, which do not overlap.
  world = source.Crowd((16, 40, 40, 3), anomaly_rate=0.7)
  kinds, wrong = [], 0
  for i in range(60):
    truth = world.truth(i)
    detected_t = detect_anomalies(pixel_tools, world[i]['video'])
    np.testing.assert_array_equal(detected_t, truth.anomalous_t)
    wrong += not np.array_equal(detected_t, np.roll(truth.anomalous_t, 1))
    kinds.append(truth.anomaly)
  happened = sum(kind is not None for kind in kinds)
  assert 0.5 < happened / 60 < 0.9
  assert set(kinds) == {None, *source.ANOMALIES}
  assert wrong == happened  # Labels that are a frame late would not match.


def test_with_rate_0_there_are_no_anomalies(pixel_tools):
  world = source.Crowd((16, 40, 40, 3), anomaly_rate=0.0)
  for i in range(15):
    assert not detect_anomalies(pixel_tools, world[i]['video']).any()
    assert not world.truth(i).anomalous_t.any()
    assert (world.truth(i).anomaly, world.truth(i).anomalous_object) == (
      None,
      -1,
    )


def test_each_anomaly_changes_what_its_name_says():
  for kind in source.ANOMALIES:
    world = source.Crowd(SHAPE, anomalies=(kind,), anomaly_rate=1.0)
    for i in range(30):
      truth = world.truth(i)
      assert truth.anomaly == kind
      frame = int(truth.anomalous_t.argmax())
      assert truth.anomalous_t.sum() == 1
      step_nt = np.diff(truth.center_nt2[..., 0], axis=1)
      before, at, after = step_nt[
        truth.anomalous_object, [frame - 2, frame - 1, frame]
      ]
      recolored = (np.diff(truth.color_nt3, axis=1) != 0).any(-1)
      if kind == 'reverse':
        np.testing.assert_allclose([at, after], -before)
      elif kind == 'teleport':
        assert abs(at) >= 0.2 * 32 - abs(before) - 1e-9
        np.testing.assert_allclose(after, before)
      else:
        np.testing.assert_allclose([at, after], before)
      wanted = np.zeros_like(recolored)
      wanted[truth.anomalous_object, frame - 1] = kind == 'color'
      np.testing.assert_array_equal(recolored, wanted)
      others = np.delete(step_nt, truth.anomalous_object, axis=0)
      np.testing.assert_allclose(others, others[:, :1].repeat(15, 1))
      assert len(np.unique(np.sign(others))) == 1  # All in one direction.


def test_pixels_show_the_truth_within_the_frame():
  for shape, num in ((SHAPE, 5), ((8, 12, 16, 3), 3), ((32, 64, 64, 3), 12)):
    world = source.Crowd(shape, num_objects=num, anomaly_rate=1.0)
    for i in range(12):
      truth, video = world.truth(i), world[i]['video'].astype(float)
      assert (truth.center_nt2 >= truth.radius - 1e-6).all()
      assert (
        truth.center_nt2[..., 0] <= shape[2] - 1 - truth.radius + 1e-6
      ).all()
      for alpha_thw, color_t3 in zip(
        truth.alpha_nthw, truth.color_nt3, strict=True
      ):
        frame = np.nonzero(alpha_thw == 1)[0]
        assert abs(video[alpha_thw == 1] - color_t3[frame]).max(initial=0) <= 1
