"""Tests of inference/own_conditions.py: videos and arrays of the user."""

import json
import pathlib
import types

import numpy as np
import pytest

from tests import small_configs
from vgen_jax.cli import main as cli
from vgen_jax.core import faults
from vgen_jax.core import pixels
from vgen_jax.core.types import Schema
from vgen_jax.data.files import video_writers
from vgen_jax.inference import own_conditions
from vgen_jax.inference import runs
from vgen_jax.training import loop

pytestmark = pytest.mark.usefixtures('draws_first_states')

SHAPE = (4, 8, 8, 3)
SCHEMA = Schema(SHAPE, 0, (), 8.0, sizes={'num_segments': 3})


def model(*keys: str, num_known: int = 0):
  return types.SimpleNamespace(condition_keys=keys, num_known=num_known)


def predictor(num_known: int = 2):
  return model('known_video', 'known', num_known=num_known)


@pytest.fixture(scope='module')
def video() -> np.ndarray:
  rng = np.random.default_rng(0)
  return rng.integers(0, 255, SHAPE, np.uint8)


@pytest.fixture(scope='module')
def video_file(tmp_path_factory) -> str:
  """A video of 20 grey frames of 24 x 32 pixels; frame i has level 10 i."""
  path = tmp_path_factory.mktemp('videos') / 'video_file.mp4'
  level = np.arange(20, dtype=np.uint8)[:, None, None, None] * 10
  video_writers.write_mp4(path, np.tile(level, (1, 24, 32, 3)), 10)
  return str(path)


def test_frames_of_a_video_file_are_resized_and_sampled_at_a_rate(video_file):
  every = own_conditions.read_video(video_file, SHAPE)
  assert every.shape == SHAPE
  assert every.dtype == np.uint8
  levels = every.mean(axis=(1, 2, 3))
  np.testing.assert_allclose(levels, [0, 10, 20, 30], atol=3)
  slow = own_conditions.read_video(video_file, SHAPE, frames_per_second=5)
  np.testing.assert_allclose(slow.mean(axis=(1, 2, 3)), [0, 20, 40, 60], atol=3)
  assert len(own_conditions.read_video(video_file, (30, 8, 8, 3))) == 20
  assert len(own_conditions.read_video(video_file, (30, 8, 8, 3), 5)) == 10


def test_only_known_frames_are_given(video):
  given = own_conditions.known_frames(predictor(), video, SHAPE)
  known_t = given['known'].all(axis=(1, 2, 3))
  assert known_t.tolist() == [True, True, False, False]
  np.testing.assert_array_equal(
    given['known_video'][:2], pixels.to_float(video[:2])
  )
  assert not given['known_video'][2:].any()
  # A video that ends after the known frames is enough.
  short = own_conditions.known_frames(predictor(), video[:2], SHAPE)
  np.testing.assert_array_equal(short['known_video'], given['known_video'])


def test_models_without_a_number_accept_any_frames(video):
  ranges = own_conditions.known_ranges('0:1, 3:4')
  given = own_conditions.known_frames(predictor(0), video, SHAPE, ranges)
  known_t = given['known'].all(axis=(1, 2, 3))
  assert known_t.tolist() == [True, False, False, True]


@pytest.mark.parametrize(
  ('model', 'ranges', 'message'),
  [
    (model('label'), [], 'cannot continue a video: its conditions are'),
    (predictor(0), [], 'state which frames of the video are known'),
    (predictor(), [(0, 3)], r'continues exactly 2 known frames, but .*0, 1, 2'),
    (predictor(0), [(0, 5)], 'range 0:5, but clips have 4'),
  ],
)
def test_frames_that_do_not_fit_are_refused(model, ranges, message, video):
  with pytest.raises(ValueError, match=message):
    own_conditions.known_frames(model, video, SHAPE, ranges)


@pytest.mark.parametrize('text', ['2', '2:1', '1:1', '0:2;3:4', '-1:2', ''])
def test_ranges_have_one_form(text):
  with pytest.raises(ValueError, match=r'--known is .*START < STOP'):
    own_conditions.known_ranges(text)


def test_arrays_and_videos_of_files(tmp_path, video_file, video):
  layout = np.ones(SHAPE[:3], np.int64)
  np.save(tmp_path / 'layout.npy', layout)
  np.save(tmp_path / 'small.npy', video)
  files = [f'layout={tmp_path}/layout.npy', f'degraded={tmp_path}/small.npy']
  translator = model('layout', 'degraded', 'reference', 'label')
  found = own_conditions.from_files(
    translator, [*files, f'reference={video_file}'], SCHEMA
  )
  assert found['layout'].dtype == np.int32
  np.testing.assert_array_equal(found['layout'], layout)
  np.testing.assert_array_equal(found['degraded'], pixels.to_float(video))
  assert found['reference'].shape == (1, *SHAPE)
  assert -1 <= found['reference'].min() < found['reference'].max() <= 1
  many = own_conditions.repeated(found, 3)
  assert many['layout'].shape == (3, *layout.shape)


def test_files_in_the_home_directory(tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path))
  np.save(tmp_path / 'layout.npy', np.ones(SHAPE[:3], np.int32))
  found = own_conditions.from_files(
    model('layout'), ['layout=~/layout.npy'], SCHEMA
  )
  assert found['layout'].all()


def test_wrong_files_are_refused(tmp_path, video_file, video):
  arrays = {
    'far': np.full(SHAPE[:3], 3), 'small': np.zeros((4, 4, 8), int),
    'real': np.zeros(SHAPE[:3]), 'objects': np.array([{}], object),
    'infinite': np.full((4, 2), np.inf),
  }  # fmt: skip
  for name, array in arrays.items():
    np.save(tmp_path / f'{name}.npy', array)
  (tmp_path / 'text.npy').write_text('no array')
  for text, message in {
    'layout': 'give KEY=FILE',
    f'layuot={tmp_path}/far.npy': "unknown key 'layuot'.* mean 'layout'",
    f'label={tmp_path}/far.npy': "unknown key 'label'",
    f'known_video={video_file}': "unknown key 'known_video'",
    f'layout={video_file}': 'needs an array of int32 numbers',
    f'layout={tmp_path}/far.npy': 'numbers from 3 to 3; those of layout must',
    f'layout={tmp_path}/small.npy': r'has shape \(4, 4, 8\); .*\[4, 8, 8\]',
    f'layout={tmp_path}/real.npy': 'has dtype float64; .* needs int32',
    f'layout={tmp_path}/objects.npy': 'cannot be read as an array',
    f'layout={tmp_path}/text.npy': 'cannot be read as an array',
    f'layout={tmp_path}/none.npy': 'cannot be read as an array',
    f'action={tmp_path}/infinite.npy': 'NaN or infinite',
    f'degraded={tmp_path}/far.npy': 'needs uint8',
  }.items():
    keys = ('layout', 'action', 'degraded', 'label', 'known_video', 'known')
    with pytest.raises(ValueError, match=message):
      own_conditions.from_files(model(*keys), [text], SCHEMA)
  with pytest.raises(faults.ClipError, match=r'none\.mp4'):
    own_conditions.from_files(
      model('degraded'), [f'degraded={tmp_path}/none.mp4'], SCHEMA
    )


@pytest.fixture(scope='module')
def workdir(tmp_path_factory) -> str:
  folder = tmp_path_factory.mktemp('runs') / 'convlstm'
  loop.train(small_configs.predictor(), str(folder), stop_at=2)
  return str(folder)


def test_clips_continue_the_video_of_the_user(workdir, tmp_path, capsys):
  run = runs.load(workdir)
  shape, num_known = run.schema.clip_shape, run.model.num_known
  rng = np.random.default_rng(1)
  levels = rng.integers(50, 200, (2, shape[0] + 3, 1, 1, 3))
  names, clips = [], []
  for i, level in enumerate(levels):
    path = tmp_path / f'video_file{i}.mp4'
    frames = np.broadcast_to(level, (len(level), 32, 32, 3)).astype(np.uint8)
    video_writers.write_mp4(path, frames, 8)
    # The frames that are not known may be any: they are not used.
    known = own_conditions.read_video(str(path), shape)
    other = known.copy()
    other[num_known:] = 255 - other[num_known:]
    one, two = (
      run.sample(2, given=own_conditions.known_frames(run.model, x, shape))
      for x in (known, other)
    )
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one[1, :num_known], known[:num_known])
    clips.append(one)
    flags = [f'--workdir={workdir}', '--num=1', f'--video={path}']
    assert cli.main(['sample', *flags, f'--out={tmp_path}/out', '--npy']) == 0
    printed = capsys.readouterr().out.splitlines()[-1]
    names.append(pathlib.Path(printed.partition('"npy": "')[2].split('"')[0]))
    np.testing.assert_array_equal(np.load(names[-1])[0], one[0])
    made = json.loads(names[-1].with_suffix('.json').read_text())
    assert made['video'] == str(path)
    assert 'condition' not in made
  assert names[0] != names[1]
  assert (clips[0][:, num_known:] != clips[1][:, num_known:]).any()


def test_the_command_names_what_is_wrong(workdir, capsys):
  for flags, message in {
    ('--known=0:2',): '--known is given without --video',
    ('--condition', 'layout=x.npy'): "unknown key 'layout'",
    ('--video=none.mp4',): 'none.mp4',
  }.items():
    assert cli.main(['sample', f'--workdir={workdir}', *flags]) == 1
    assert message in capsys.readouterr().err
