"""Tests of data/transforms.py."""

import itertools
import pickle

import numpy as np
import pytest

from vgen_jax.config import build
from vgen_jax.core.types import Schema
from vgen_jax.data import colors
from vgen_jax.data import host_shards
from vgen_jax.data import pipeline
from vgen_jax.data import transforms

SHAPE = (20, 8, 12, 3)


class Ramps:
  """Three clips; red is the frame, green the column, blue the row."""

  schema = Schema(SHAPE, num_classes=3, frames_per_second=8.0, audio_bands=1)

  def __len__(self):
    return 3

  def __getitem__(self, index):
    t, y, x = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    return {
      'video': np.stack([10 * t, 10 * x, 10 * y + index], -1).astype(np.uint8),
      'label': np.int32(index),
      'audio': np.arange(SHAPE[0], dtype=np.float32)[:, None],
    }


def make(t: int = 4, side: int = 8, **kwargs) -> transforms.Transformed:
  return transforms.Transformed((t, side, side, 3), Ramps(), **kwargs)


def random_views(source, number: int = 60):
  return [
    source.random_view(0, np.random.default_rng(i)) for i in range(number)
  ]


def frames(clip) -> list[int]:
  return (clip['video'][:, 0, 0, 0] // 10).tolist()


def left(clip) -> int:
  return int(clip['video'][0, 0, :, 1].min() // 10)


def top(clip) -> int:
  return int(clip['video'][0, :, 0, 2].min() // 10)


def rng_of(seed: int) -> np.random.Generator:
  return np.random.default_rng(seed)


def test_a_view_is_the_middle_and_draws_are_from_anywhere():
  clip = make()[2]
  assert frames(clip) == [8, 9, 10, 11]
  assert (left(clip), top(clip), clip['label']) == (2, 0, 2)
  starts = {frames(clip)[0] for clip in random_views(make(t=16))}
  assert starts == set(range(5))
  views = random_views(make(side=6, resize=8))
  assert {left(clip) for clip in views} == set(range(7))
  assert {top(clip) for clip in views} == set(range(3))
  assert {left(x) for x in random_views(make(crops_at_random=False))} == {2}


def test_strides_apply_to_all_entries_with_frames():
  source = make(strides=(2, 5))
  assert source.schema.frames_per_second == 4
  assert frames(source[0]) == [6, 8, 10, 12]
  steps = set()
  for clip in random_views(source):
    step = np.diff(frames(clip))
    assert len(set(step.tolist())) == 1
    steps.add(int(step[0]))
    assert clip['audio'][:, 0].tolist() == frames(clip)
  assert steps == {2, 5}


def test_jitter_shifts_frames_by_part_of_the_stride():
  moved = [frames(x) for x in random_views(make(strides=(4,), time_jitter=0.4))]
  steps = np.diff(moved)
  # Shifts of up to 1.6 round to 2, and keep the order of frames.
  assert set(range(1, 8)) <= set(steps.ravel().tolist()) <= set(range(9))
  assert np.min(moved) >= 0
  assert np.max(moved) <= 19
  still = [frames(x) for x in random_views(make(strides=(4,)))]
  assert set(np.diff(still).ravel().tolist()) == {4}


def test_a_random_view_only_depends_on_its_random_numbers():
  source = make(flips=True, hue=0.5, contrast=0.5, time_jitter=0.5)
  again = pickle.loads(pickle.dumps(source))
  for i in range(5):
    np.testing.assert_array_equal(
      source.random_view(1, rng_of(i))['video'],
      again.random_view(1, rng_of(i))['video'],
    )
  assert len({x['video'].tobytes() for x in random_views(source)}) == 60


def test_the_whole_clip_has_one_view():
  """All frames have the same crop, flip and change of colour."""

  class Still(Ramps):
    def __getitem__(self, index):
      clip = super().__getitem__(index)
      return clip | {'video': np.repeat(clip['video'][5:6], SHAPE[0], 0)}

  changes = dict(brightness=0.5, contrast=0.5, saturation=0.5, hue=0.5)
  source = transforms.Transformed((4, 8, 8, 3), Still(), flips=True, **changes)
  for clip in random_views(source, 20):
    assert (clip['video'] == clip['video'][:1]).all()
  # Changes of colour per frame would be noticed.
  still = Still()[0]['video'][:4]
  flicker = [colors.recolored(still[i : i + 1], 1 + i / 10) for i in range(4)]
  assert any((x != flicker[0]).any() for x in flicker)


def test_half_of_the_views_are_flipped():
  rises = [
    int(x['video'][0, 0, -1, 1]) > int(x['video'][0, 0, 0, 1])
    for x in random_views(make(flips=True), 200)
  ]
  assert 70 < sum(rises) < 130
  assert all(
    x['video'][0, 0, -1, 1] > x['video'][0, 0, 0, 1]
    for x in random_views(make())
  )


def test_resize_takes_the_shorter_side_and_averages():
  video_thwc = Ramps()[0]['video']
  half = transforms.resized(video_thwc, 4)
  want = video_thwc.reshape(20, 4, 2, 6, 2, 3).mean((2, 4))
  assert half.shape == (20, 4, 6, 3)
  np.testing.assert_allclose(half, want, atol=0.51)
  tall = transforms.resized(video_thwc.transpose(0, 2, 1, 3), 4)
  assert tall.shape == (20, 6, 4, 3)


@pytest.mark.parametrize('count', [1, 2, 4])
def test_evaluation_reads_each_window_and_view_once(count):
  source = make(num_windows=2, num_views=3)
  assert len(source) == 3 * 2 * 3
  seen = []
  for h in range(count):
    with pipeline.evaluation_batches(
      source, 4, host=host_shards.Host(h, count)
    ) as batches:
      for batch in batches:
        for i in np.flatnonzero(batch['mask']):
          clip = {k: x[i] for k, x in batch.items()}
          seen.append((int(clip['label']), frames(clip)[0], left(clip)))
  want = itertools.product(range(3), (0, 16), (0, 2, 4))
  assert sorted(seen) == sorted(want)
  assert source[7]['label'] == 7 // 6


def test_a_config_can_nest_sources():
  spec = {
    'name': 'data.transforms.Transformed',
    'source': {
      'name': 'synthetic.world.source.World',
      'clip_shape': (8, 20, 20, 3),
    },
    'strides': (2,),
  }
  source = build.source(spec, (4, 16, 16, 3), split='test')
  assert (
    source.source.split == 'test'
  )  # Arguments of all sources are passed on.
  assert source.schema.clip_shape == (4, 16, 16, 3)
  assert source[0]['video'].shape == (4, 16, 16, 3)
  with pytest.raises(ValueError, match=r'config.data.source.*must be .package'):
    build.source(spec | {'source': {'name': 'wrld.World'}}, (4, 16, 16, 3))
  # A network is not a source.
  with pytest.raises(ValueError, match=r'must be .package'):
    build.source(
      spec | {'source': {'name': 'models.dit.VideoDiT'}}, (4, 16, 16, 3)
    )


@pytest.mark.parametrize(
  ('kwargs', 'message'),
  [
    ({'strides': (7,)}, 'need 22 frames or more'),
    ({'strides': (0,)}, r'strides is \(0,\); it must contain integers'),
    (
      {'resize': 7},
      'resize is 7, so that frames have 7 x 10 pixels; views of 8',
    ),
    ({'hue': 0.6}, 'hue is 0.6; it must be from 0 to 0.5'),
    ({'brightness': 2}, 'brightness is 2; it must be from 0 to 1'),
    ({'num_views': 0}, 'num_views is 0; it must be at least 1'),
  ],
)
def test_errors_name_the_key(kwargs, message):
  with pytest.raises(ValueError, match=message):
    make(**kwargs)
  with pytest.raises(
    IndexError, match='Clip 3 does not exist; indices are from 0 to 2'
  ):
    make()[3]


@pytest.mark.parametrize('key', ['layout', 'degraded', 'reference'])
def test_clips_with_unknown_entries_are_an_error(key):
  class Mapped(Ramps):
    def __getitem__(self, index):
      clip = super().__getitem__(index)
      return clip | {key: clip['video'][..., 0]}

  source = transforms.Transformed((4, 8, 8, 3), Mapped())
  for view in (source.__getitem__, lambda i: source.random_view(i, rng_of(0))):
    with pytest.raises(ValueError, match=f"clips with \\['{key}'\\], which"):
      view(0)


@pytest.mark.parametrize(
  'kwargs', [{'flips': True}, {'strides': (1, 2)}, {'time_jitter': 0.5}]
)
def test_clips_with_actions_have_all_original_frames(kwargs):
  """Actions do not match mirrored or skipped frames."""

  class Steered(Ramps):
    schema = Schema(SHAPE, frames_per_second=8.0, action_width=1)

    def __getitem__(self, index):
      clip = super().__getitem__(index)
      return {'video': clip['video'], 'action': clip['audio']}

  make_steered = lambda **k: transforms.Transformed(
    (4, 8, 8, 3), Steered(), **k
  )
  with pytest.raises(ValueError, match=f'{next(iter(kwargs))}.* with actions'):
    make_steered(**kwargs)
  clip = make_steered().random_view(0, rng_of(0))  # Each frame has its action.
  assert clip['action'][:, 0].tolist() == frames(clip)
