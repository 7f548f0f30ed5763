"""Fake clips of `World`, each of which keeps some rules but is not valid.

Corruptions with several levels are tested in corruptions/registry_test.py.
"""

import functools

import numpy as np
import pytest

from vgen_jax.synthetic.world import drawing
from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world import verifier as verifier_lib
from vgen_jax.synthetic.world.corruptions import registry as corruptions
from vgen_jax.synthetic.world.corruptions import rerendering

WORLDS = {
  'middle': dict(clip_shape=(16, 32, 32, 3), label=tuple(world_lib.FACTORS)),
  'coarse': dict(
    clip_shape=(8, 16, 16, 3),
    label=('color', 'direction'),
    only={'shape': 'circle', 'size': 'large', 'speed': 'quickly'},
  ),
}


@functools.cache
def clips_of(which: str) -> rerendering.Clips:
  """Returns clips that must not be changed."""
  return rerendering.generate(
    world_lib.World(split='test', **WORLDS[which]), 48
  )


def half_and_half(first_bthwc, second_bthwc):
  half = first_bthwc.shape[1] // 2
  return np.concatenate([first_bthwc[:, :half], second_bthwc[:, half:]], 1)


def mean_frame(clips, video):
  return np.repeat(video.mean(1, keepdims=True), video.shape[1], 1).astype(
    np.uint8
  )


def other_colors(clips, video):
  return 255 - video[..., ::-1]


def another_color_in_the_middle(clips, video):
  other_b13 = rerendering.colors(clips, 3)
  return half_and_half(video, rerendering.rerender(clips, color_bt3=other_b13))


def another_clip_in_the_middle(clips, video):
  return half_and_half(video, np.roll(video, 1, axis=0))


def unrelated_frames(clips, video):
  return np.stack(
    [np.roll(video, i, axis=0)[:, i] for i in range(video.shape[1])], 1
  )


def two_objects(clips, video):
  return np.maximum(video, np.roll(video, 1, axis=0))


def much_too_large(clips, video):
  return rerendering.rerender(clips, radius_b1=2.2 * clips.radius_b[:, None])


def a_little_too_large(clips, video):
  return rerendering.rerender(clips, radius_b1=1.2 * clips.radius_b[:, None])


def growing(clips, video):
  grown_t = np.linspace(0.9, 1.1, video.shape[1])
  return rerendering.rerender(
    clips, radius_b1=clips.radius_b[:, None] * grown_t
  )


def too_slow(clips, video):
  center_bt2 = clips.center_bt2
  first_b12 = center_bt2[:, :1]
  return rerendering.rerender(
    clips, center_bt2=0.8 * first_b12 + 0.2 * center_bt2
  )


def a_stain_in_one_frame(clips, video):
  video, k = video.copy(), max(2, video.shape[2] // 12)
  video[:, -1, :k, :k] ^= 128
  return video


def dim_in_one_frame(clips, video):
  video = video.copy()
  video[:, 3] = drawing.BACKGROUND + 0.6 * (
    video[:, 3] - drawing.BACKGROUND * 1.0
  )
  return video


def dark(clips, video):
  return np.uint8(0.5 * video)


FAKES = (
  mean_frame,
  other_colors,
  another_color_in_the_middle,
  another_clip_in_the_middle,
  unrelated_frames,
  two_objects,
  much_too_large,
  a_little_too_large,
  growing,
  too_slow,
  a_stain_in_one_frame,
  dim_in_one_frame,
  dark,
)


@pytest.mark.parametrize(
  'which', [pytest.param('middle', marks=pytest.mark.slow), 'coarse']
)
@pytest.mark.parametrize('fake', FAKES, ids=lambda fake: fake.__name__)
def test_a_fake_is_invalid(which, fake):
  clips = clips_of(which)
  verifier, video = verifier_lib.Verifier(clips.world), clips.video_bthwc
  report = verifier.report(fake(clips, video), factors=clips.factors)
  assert report['validity_loose'] <= 0.05
  assert report['validity_strict'] <= report['validity_loose']


def test_no_single_number_is_enough():
  clips = clips_of('middle')
  verifier = verifier_lib.Verifier(clips.world)
  features = lambda name, level: verifier.features(
    corruptions.corrupt(clips, name, level)
  )
  assert features('static', 1).path_error_b.max() < 1e-3  # A perfect line.
  assert features('static', 1).shape_iou_b.min() > 0.8
  assert features('vanish', 2).path_error_b.max() < 0.01
  assert features('blank', 1).residual_rms_b.max() == 0
  assert features('shuffle', 1).color_drift_b.max() < 2
  assert features('ghost', 0.24).path_error_b.min() < 0.01
  assert np.median(features('jitter', 1.5).stalled_fraction_b) == 0
