"""Tests of flow_and_critics.py."""

import pathlib

import numpy as np

from experiments.zoo.translation import translated_clips
from vgen_jax.ablation import sweep
from vgen_jax.config import build
from vgen_jax.config import loading as config_lib
from vgen_jax.config import python_files

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
    found.append((sorted(model.critic), has_flow))
  assert found == [
    (['image', 'video'], True),
    (['image'], True),
    (['image', 'video'], False),
  ]
  arms = {sweep.arm(entry, FILE['ROWS']) for entry in FILE['SWEEP']}
  assert len(arms) == 3


def test_whole_clips_begin_with_the_given_frames():
  given = np.full((2, 4, 2, 2, 3), 0.25, np.float32)
  later = np.full((2, 3, 2, 2, 3), -3.0, np.float32)
  whole = translated_clips.whole(given, later, 1)
  np.testing.assert_array_equal(whole[:, :1], 0.25)
  np.testing.assert_array_equal(whole[:, 1:], 0)
