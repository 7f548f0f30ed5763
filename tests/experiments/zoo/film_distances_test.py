"""Tests of film_distances.py: real clips are near the floor, cheats are not."""

from types import SimpleNamespace

import numpy as np
import pytest

from experiments.zoo import film_distances
from vgen_jax.core import pixels
from vgen_jax.core import sources
from vgen_jax.synthetic.world import source

SHAPE = (8, 16, 16, 3)


class Videos(sources.HasRandomViews):
  """Clips of World as three videos, of which the last has another class."""

  def __init__(self, labelled: bool):
    self.world = source.World(SHAPE, only={'size': 'large'})
    self.labelled = labelled

  def __len__(self) -> int:
    return 3

  def random_view(self, index: int, rng: np.random.Generator) -> dict:
    clip = {'video': self.world[int(rng.integers(1000))]['video']}
    return clip | ({'label': index // 2} if self.labelled else {})


class FakeRun:
  """A run that generates clips of the data, and records what is requested."""

  def __init__(self, labelled: bool, clip_shape=SHAPE):
    self.config = SimpleNamespace(clip_shape=clip_shape)
    self.source = Videos(labelled)
    self.calls = []

  def condition(self, num_clips: int) -> dict:
    return {'label': np.zeros(num_clips)} if self.source.labelled else {}

  def sample(self, num_clips: int, **kwargs) -> np.ndarray:
    self.calls.append((num_clips, kwargs))
    rng = np.random.default_rng(len(self.calls))
    return np.stack(
      [self.source.random_view(0, rng)['video'] for _ in range(num_clips)]
    )


@pytest.fixture(scope='module')
def real() -> tuple[np.ndarray, np.ndarray]:
  world = source.World(SHAPE, only={'size': 'large'})
  clips = np.stack([world[i]['video'] for i in range(512)])
  return pixels.to_float(clips[:256]), pixels.to_float(clips[256:])


@pytest.mark.parametrize(
  ('name', 'space'),
  [
    ('first frame', 'motion'),
    ('random order', 'motion'),
    ('blurred', 'detail'),
    ('noisy', 'detail'),
    ('mixed', 'detail'),
    ('one clip', 'appearance'),
    ('one clip', 'motion'),
    ('one clip', 'detail'),
  ],
)
def test_cheats_are_farther_than_real_clips(real, name, space):
  first, second = real
  floor = film_distances.distances(second, first)[space]
  cheat = film_distances.cheats(second)[name]
  assert film_distances.distances(cheat, first)[space] > 3 * floor


def test_exchanged_channels_are_noticed(real):
  """In World, all colours are equally frequent, so clips are made red."""
  red = [video * (1, 0.5, 0.5) for video in real]
  floor = film_distances.distances(red[1], red[0])['color']
  cheat = film_distances.cheats(red[1])['channels exchanged']
  assert film_distances.distances(cheat, red[0])['color'] > 3 * floor


def test_equal_clips_have_no_distance(real):
  found = film_distances.distances(real[0], real[0])
  assert list(found) == list(film_distances.SPACES)
  assert max(found.values()) == pytest.approx(0, abs=1e-6)


def test_total_variance_of_projected_clips_is_one(real):
  """Clips that are shifted by their scale have the distance 1."""
  moving, _ = real
  shift = 0.2 * np.sign(moving.mean((1, 2, 3, 4), keepdims=True) + 0.8)
  first = moving + shift
  spread = film_distances.features(first)['appearance']
  _, scale_k, axes_kd = np.linalg.svd(spread - spread.mean(0))
  scale = np.linalg.norm(scale_k[:8]) / np.sqrt(len(first) - 1)
  shift_hwc = axes_kd[0].reshape(4, 4, 3).repeat(4, 0).repeat(4, 1) * scale
  found = film_distances.distances(first + shift_hwc, first)
  assert found['appearance'] == pytest.approx(1, rel=1e-4)
  assert found['motion'] == pytest.approx(0, abs=1e-6)


def test_clips_of_the_classes_of_the_videos_are_generated(monkeypatch, capsys):
  run = FakeRun(labelled=True)
  monkeypatch.setattr(film_distances.runs, 'load', lambda workdir: run)
  film_distances.main(['--workdir=films', '--num=60'])
  assert run.calls == [
    (40, {'label': 0, 'seed': 0}),
    (20, {'label': 1, 'seed': 1}),
  ]
  lines = capsys.readouterr().out.splitlines()
  assert lines[0] == '| 60 clips | appearance | color | motion | detail |'
  names = [line.split(' | ')[0] for line in lines[2:4]]
  assert names == ['| generated', '| floor']
  assert len(lines) == 11


def test_a_model_without_classes(monkeypatch, capsys):
  run = FakeRun(labelled=False)
  monkeypatch.setattr(film_distances.runs, 'load', lambda workdir: run)
  film_distances.main(['--workdir=films', '--num=20'])
  assert run.calls == [(20, {})]
  assert '| generated |' in capsys.readouterr().out


@pytest.mark.parametrize('shape', [(1, 16, 16, 3), (8, 18, 16, 3)])
def test_other_shapes_are_an_error(monkeypatch, shape):
  run = FakeRun(labelled=False, clip_shape=shape)
  monkeypatch.setattr(film_distances.runs, 'load', lambda workdir: run)
  with pytest.raises(ValueError, match='2 frames or more, with sides'):
    film_distances.main(['--workdir=films'])
  assert not run.calls


def test_data_without_random_clips_is_an_error():
  with pytest.raises(TypeError, match='World, without random clips'):
    film_distances.random_clips(source.World(SHAPE), 4, seed=0)


def test_videos_of_one_clip_are_an_error(monkeypatch):
  run = FakeRun(labelled=False)
  clip = run.source.world[0]
  run.source.random_view = lambda index, rng: clip
  monkeypatch.setattr(film_distances.runs, 'load', lambda workdir: run)
  with pytest.raises(ValueError, match='there is no floor'):
    film_distances.main(['--workdir=films'])


def test_gray_or_still_videos_have_no_distance_of_color_or_motion(real):
  gray = np.repeat(real[0].mean(-1, keepdims=True), 3, axis=-1)
  still = np.repeat(real[0][:, :1], 8, axis=1)
  for video, space in ((gray, 'color'), (still, 'motion')):
    found = film_distances.distances(real[0], video)
    assert [name for name in found if np.isnan(found[name])] == [space]
