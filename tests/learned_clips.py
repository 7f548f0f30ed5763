"""Trainings on World, and limits that generated clips must meet."""

from collections.abc import Mapping
import pathlib
from typing import Any

import numpy as np
from scipy import stats

from experiments.zoo.adversarial import rough_clips
from vgen_jax.config import build
from vgen_jax.config import loading as config_lib
from vgen_jax.inference import hooks
from vgen_jax.inference import runs
from vgen_jax.synthetic.world import source as world_lib
from vgen_jax.synthetic.world import verifier as verifier_lib
from vgen_jax.training import loop

CONFIGS = pathlib.Path(__file__).parents[1] / 'configs'


def train(
  name: str, workdir: pathlib.Path, num_steps: int, **overrides: Any
) -> runs.Run:
  """Returns a run of the size `small` of a config, trained for some steps."""
  config = config_lib.load(f'{CONFIGS / name}.py:small')
  changed = {
    'num_steps': num_steps, 'sample_every': 0, 'evaluate_every': 0,
    'tensorboard': False, 'mesh.data': 1, **overrides,
  }  # fmt: skip
  config = config_lib.replace(config, changed)
  loop.train(config, str(workdir), hooks=hooks.standard())
  return runs.load(str(workdir))


def real_clips(
  name: str, num: int
) -> tuple[world_lib.World, np.ndarray, np.ndarray]:
  """Returns the dataset of a config, its first clips and their labels."""
  config = config_lib.load(f'{CONFIGS / name}.py:small')
  world = build.source(config.data.to_dict(), config.clip_shape)
  clips = [world[i] for i in range(num)]
  return (
    world, *(np.stack([x[key] for x in clips]) for key in ('video', 'label'))
  )  # fmt: skip


def assert_learned(
  limits: Mapping[str, float], run: runs.Run, num: int = 128
) -> None:
  """Asserts that clips of a run meet limits, and that wrong ones do not."""
  label_b = run.condition(num)['label']
  verifier = verifier_lib.Verifier(run.source)
  video_bthwc = run.sample(num)
  assert not failures(limits, verifier, video_bthwc, label_b)
  assert_cheats_fail(limits, verifier, video_bthwc, label_b)


def failures(
  limits: Mapping[str, float],
  verifier: verifier_lib.Verifier,
  video_bthwc: np.ndarray,
  label_b: np.ndarray,
) -> set[str]:
  """Returns the names of the limits that clips do not meet.

  Args:
    limits: Least scores: 'valid', the proportion of valid clips (loose tier);
      'rough', that of roughly valid ones (`rough_clips.py`); 'class', that of
      clips of the requested class; 'colors', the entropy of colours among clips
      of a requested class relative to its maximum, averaged over classes.
    verifier: Verifier of the dataset.
    video_bthwc: Clips, in [-1, 1] or uint8.
    label_b: Requested classes.
  """
  features = verifier.features(video_bthwc)
  color_b = features.factors['color']
  num_colors = len(verifier.world.factors_kept['color'])
  # The colour is -1 if there is no object; without counts the entropy is NaN.
  entropies = [
    np.nan_to_num(stats.entropy(np.bincount(color_b[label_b == label] + 1)[1:]))
    for label in set(label_b)
  ]
  found = {
    'valid': verifier.valid(features, verifier_lib.LOOSE).mean(),
    'rough': verifier.valid(features, rough_clips.ROUGH).mean(),
    'class': (features.label_b == label_b).mean(),
    'colors': np.mean(entropies) / np.log(num_colors),
  }
  print({name: round(float(x), 3) for name, x in found.items()})
  return {name for name, least in limits.items() if found[name] < least}


def assert_cheats_fail(
  limits: Mapping[str, float],
  verifier: verifier_lib.Verifier,
  video_bthwc: np.ndarray,
  label_b: np.ndarray,
) -> None:
  """Asserts that wrong clips fail the limits that they violate.

  Args:
    limits: Least scores, as in `failures`; 'class', 'colors' and one of 'valid'
      and 'rough', or both.
    verifier: Verifier of the dataset.
    video_bthwc: Clips that meet the limits; wrong ones are made from them.
    label_b: Their classes.
  """
  fails = lambda video=video_bthwc, label=label_b: failures(
    limits, verifier, video, label
  )
  motion = {'valid', 'rough'} & limits.keys()
  num_frames = video_bthwc.shape[1]
  still = np.repeat(video_bthwc[:, :1], num_frames, axis=1)
  assert motion | {'class'} <= fails(video=still)
  order = np.random.default_rng(0).permutation(num_frames)
  assert motion <= fails(video=video_bthwc[:, order])
  assert 'class' in fails(video=video_bthwc[:, ::-1])
  assert 'class' in fails(label=np.roll(label_b, 1))
  other = np.roll(video_bthwc, 1, axis=0)
  every_second = np.arange(num_frames) % 2 == 0
  mixed = np.where(every_second[:, None, None, None], video_bthwc, other)
  assert motion <= fails(video=mixed)
  first_b = np.argmax(np.equal.outer(label_b, label_b), axis=1)
  assert 'colors' in fails(video=video_bthwc[first_b])  # One of each class.
