"""Tests of flow_and_critics.py."""

import pathlib
import types

import numpy as np
import pytest

from experiments.zoo.translation import translated_clips
from vgen_jax.ablation import sweep
from vgen_jax.config import build
from vgen_jax.config import loading as config_lib
from vgen_jax.config import python_files
from vgen_jax.data import data_report

ROOT = pathlib.Path(__file__).parents[4]
FILE = python_files.run(
  str(ROOT / 'experiments/zoo/translation/flow_and_critics.py')
)


def test_each_part_is_left_out_alone():
  base = config_lib.load(FILE['BASE'])
  found = []
  for entry in FILE['SWEEP']:
    config = config_lib.replace(base, entry)
    data = build.source(config.data.to_dict(), config.clip_shape)
    model = build.model(config.model.to_dict(), data.schema)
    weights = model.flow_weight, model.consistency_weight, model.mask_weight
    has_flow = model.flow_source != 'none'
    assert all(weights) if has_flow else not any(weights)
    data_report.check_asked(config.data.to_dict(), model, data[0])
    found.append((data.pans, sorted(model.critic), has_flow))
    # A moving camera needs two frames, from which its motion is known.
    assert model.num_context == 1 + data.pans
  assert found == [
    (pans, *parts)
    for pans in (False, True)
    for parts in (
      (['image', 'video'], True),
      (['image'], True),
      (['image', 'video'], False),
    )
  ]
  arms = {sweep.arm(entry, FILE['ROWS']) for entry in FILE['SWEEP']}
  assert len(arms) == 6


def test_numbers_are_those_of_the_generated_clips(monkeypatch):
  config = config_lib.load('vid2vid_layouts:smoke')
  measure = FILE['MEASURE']
  monkeypatch.setitem(measure.__globals__, '_NUM_CLIPS', 4)
  options = {k: x for k, x in config.data.items() if k != 'name'}
  clips = measure.__globals__['_CRITERIA']['load'](
    tuple(config.clip_shape), 4, **options
  )
  run = types.SimpleNamespace(
    config=config, model=types.SimpleNamespace(num_context=1)
  )

  def numbers(frames_bthwc):
    previous = types.SimpleNamespace(
      flow_bhwx=clips.flow_bthwx[:, 1:], mask_bhw=clips.hidden_bthw[:, 1:]
    )
    frames = types.SimpleNamespace(
      frame_bhwc=2 * frames_bthwc - 1, previous=previous
    )
    generate = lambda run, video_bthwc, layout_bthw: frames
    monkeypatch.setitem(measure.__globals__['_CLIPS'], 'frames', generate)
    return measure(run)

  real = numbers(clips.video_bthwc[:, 1:])
  assert FILE['VALUE'] in real
  assert real == pytest.approx(
    {
      'color_error': 0, 'iou': 1, 'warp_error': 1, 'flow_error': 0,
      'mask_hidden': 1, 'mask_visible': 0, 'frame_error': 0,
    },
    abs=1e-3,
  )  # fmt: skip
  still = numbers(clips.video_bthwc[:, :1].repeat(3, axis=1))
  assert still['iou'] < 0.8
  assert abs(still['warp_error'] - 1) > 0.2
  error = abs(clips.video_bthwc[:, :1] - clips.video_bthwc[:, 1:]).mean()
  assert still['frame_error'] == pytest.approx(float(error), rel=1e-4)


def test_whole_clips_begin_with_the_given_frames():
  given = np.full((2, 4, 2, 2, 3), 0.25, np.float32)
  later = np.full((2, 3, 2, 2, 3), -3.0, np.float32)
  whole = translated_clips.whole(given, later, 1)
  np.testing.assert_array_equal(whole[:, :1], 0.25)
  np.testing.assert_array_equal(whole[:, 1:], 0)
