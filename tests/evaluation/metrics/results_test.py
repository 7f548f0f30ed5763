"""Tests of metrics/results.py: values survive writing and reading."""

import dataclasses
import json
import math
import os

import jax.numpy as jnp
import numpy as np
import pytest

from vgen_jax.evaluation.metrics import curves as curves_lib
from vgen_jax.evaluation.metrics import results


@pytest.fixture
def result():
  return results.Result(
    run='dit',
    workdir='runs/dit',
    step=20,
    date='2026-11-21T13:32:25+00:00',
    config={
      'model.name': 'families.diffusion.denoising.Diffusion',
      'batch_size': 8,
    },
    protocol={'num_generated': 64, 'clip_shape': [8, 16, 16, 3]},
    metrics={
      'valid': results.Value(
        0.5,
        interval=(0.4, 0.6),
        real=1.0,
        better='higher',
        protocol={'tier': 'strict'},
      ),
      'fvd': results.Value(None, status='weights-missing', note='Get it.'),
    },
    curves={
      'PSNR': curves_lib.Curve(
        'frame',
        'dB',
        [0, 1],
        {'model': [30.0, None]},
        {'model': ([29.0, None], [31.0, None])},
      )
    },
    groups={'by colour': {'red': {'value': 0.25, 'num': 16}}},
    clips='20_clips.npz',
  )


def write(folder, result, **clips):
  (folder / 'evaluation').mkdir(exist_ok=True)
  file = folder / 'evaluation' / f'{result.step}.json'
  file.write_text(json.dumps(result.to_json(), allow_nan=False))
  if clips:
    np.savez(folder / 'evaluation' / result.clips, **clips)
  return file


def test_a_written_result_is_read_unchanged(result, tmp_path):
  write(tmp_path, result)
  assert results.read(tmp_path).to_json() == result.to_json()
  assert results.read(tmp_path).metrics == result.metrics


@pytest.mark.parametrize('number', [math.nan, math.inf, np.float32('nan')])
def test_numbers_that_are_not_finite_are_undefined(number):
  value = results.Value(number, interval=(0.0, number), floor=number)
  assert value.value is value.interval is value.floor is None
  assert value.status == 'undefined'
  missing = results.Value(number, status='weights-missing')
  assert missing.status == 'weights-missing'
  curve = curves_lib.Curve('x', 'y', [0], {'a': [number]})
  assert curve.series == {'a': [None]}


def test_finite_numbers_are_unchanged():
  value = results.Value(0.0, interval=(-1.0, 1.0))
  assert (value.value, value.interval, value.status) == (0, (-1, 1), 'ok')


def test_arrays_become_plain_numbers(result):
  found = dataclasses.replace(
    result,
    config={'a': np.float32('inf'), 'b': (np.int64(3), jnp.ones(2))},
    curves={'c': curves_lib.Curve('x', 'y', np.arange(2), {'a': jnp.ones(2)})},
  )
  entry = json.loads(json.dumps(found.to_json(), allow_nan=False))
  assert entry['config'] == {'a': None, 'b': [3, [1.0, 1.0]]}
  assert entry['curves']['c']['series'] == {'a': [1.0, 1.0]}


def test_the_latest_step_is_read_by_default(result, tmp_path):
  for step in (9, 20, 100):
    write(tmp_path, dataclasses.replace(result, step=step))
  (tmp_path / 'evaluation' / 'notes.json').write_text('{}')
  assert results.steps(tmp_path) == [9, 20, 100]
  assert results.read(tmp_path).step == 100
  assert results.read(tmp_path, 9).step == 9
  with pytest.raises(ValueError, match=r'Step 10 .*\[9, 20, 100\] were\.'):
    results.read(tmp_path, 10)


def test_a_run_without_evaluation_is_an_error(tmp_path):
  command = f'vgen evaluate --workdir={tmp_path}'
  with pytest.raises(ValueError, match='has no evaluation') as error:
    results.read(tmp_path)
  assert command in str(error.value)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'stepp': 3}, "unknown key 'stepp'. Did you mean 'step'"),
    (
      {'metrics': {'a': {'valeu': 1}}},
      "a: unknown key 'valeu'. Did you mean 'value'",
    ),
    ({'metrics': {'a': {}}}, "a: key 'value' is missing"),
    ({'metrics': {'a': {'value': 1, 'better': 'hgher'}}}, "mean 'higher'"),
    ({'metrics': {'a': {'value': 1, 'status': 'good'}}}, "'weights-missing'"),
    ({'metrics': [1]}, 'is not a valid evaluation'),
  ],
)
def test_a_broken_file_is_an_error(result, tmp_path, change, message):
  file = write(tmp_path, result)
  file.write_text(json.dumps(result.to_json() | change))
  with pytest.raises(
    ValueError, match=r'20\.json is not a valid evaluation'
  ) as error:
    results.read(tmp_path)
  assert message in str(error.value)


def test_clips_are_read(result, tmp_path):
  assert results.read_clips(tmp_path, result) == {}
  video = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8, 3), np.uint8)
  write(tmp_path, result, generated=video, title=np.array(['up', 'down']))
  clips = results.read_clips(tmp_path, result)
  np.testing.assert_array_equal(clips['generated'], video)
  assert clips['title'].tolist() == ['up', 'down']
  bare = dataclasses.replace(result, clips='')
  assert results.read_clips(tmp_path, bare) == {}


@pytest.mark.parametrize(
  'name', ['../secret.npz', '/{}/secret.npz', 'a/../../secret.npz', '20.json']
)
def test_clips_of_other_folders_are_not_opened(result, tmp_path, name):
  write(tmp_path, result)
  np.savez(tmp_path / 'secret.npz', generated=np.zeros(1))
  named = dataclasses.replace(result, clips=name.format(tmp_path))
  with pytest.raises(ValueError, match=r'it must be the name of a file \.npz'):
    results.read_clips(tmp_path, named)


def test_a_link_or_a_pipe_in_place_of_clips_is_not_opened(result, tmp_path):
  write(tmp_path, result)
  folder = tmp_path / results.FOLDER
  np.savez(tmp_path / 'secret.npz', generated=np.zeros(1))
  (folder / 'link.npz').symlink_to(tmp_path / 'secret.npz')
  os.mkfifo(folder / 'pipe.npz')
  read = lambda name: results.read_clips(
    tmp_path, dataclasses.replace(result, clips=name)
  )
  with pytest.raises(ValueError, match='is a link to another file'):
    read('link.npz')
  assert read('pipe.npz') == {}
  os.mkfifo(folder / '30.json')
  assert results.steps(tmp_path) == [20]


def test_an_interval_is_two_ascending_numbers():
  value = results.Value(1.0, interval=np.array([0.5, 2.0]))
  assert value.interval == (0.5, 2.0)
  for wrong in ((), (1.0,), (2.0, 1.0), (1.0, 2.0, 3.0)):
    with pytest.raises(ValueError, match='interval of a value is'):
      results.Value(1.0, interval=wrong)


def test_protocols_become_plain_values(result):
  value = results.Value(1.0, protocol={'n': np.int64(3)})
  assert type(value.protocol['n']) is int
  result = dataclasses.replace(result, config={'a': np.float32(0.5)})
  assert json.dumps(result.config) == '{"a": 0.5}'
