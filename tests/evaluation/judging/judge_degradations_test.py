"""The judge's numbers get worse with what gets worse, and in step with it."""

import numpy as np
import pytest
from scipy import ndimage

from vgen_jax.data import drawing
from vgen_jax.data import world as world_lib
from vgen_jax.evaluation.judging import judge as judge_lib

WORLD = world_lib.World((16, 32, 32, 3), split='test')


def blur(video, level):
  return ndimage.gaussian_filter(video, (0, 0, level, level, 0))


def grain(video, level):
  drawn = np.random.default_rng(0).normal(0, level, video.shape)
  return np.clip(video + drawn, 0, 255).astype(np.uint8)


def freeze(video, level):
  return np.concatenate(
    [video[:, :-level], np.repeat(video[:, -level - 1 : -level], level, 1)], 1
  )


def shake(video, level):
  rng, videos = np.random.default_rng(0), []
  for i in range(len(video)):
    truth, factors = WORLD.truth(i), WORLD.factors(i)
    noise_t2 = rng.normal(0, level, truth.center_t2.shape)
    center_t2 = (truth.center_t2 + noise_t2).clip(
      truth.radius, 31 - truth.radius
    )
    color_c = np.array(world_lib.COLORS[factors['color']])
    videos.append(
      drawing.paint(
        factors['shape'], truth.radius, center_t2, color_c, WORLD.clip_shape
      )
    )
  return np.stack(videos)


def vanish(video, level):
  video = video.copy()
  video[:, 2 : 2 + level] = drawing.BACKGROUND
  return video


def fade(video, level):
  """Turns towards another colour over time."""
  part_t111 = np.linspace(0, level, video.shape[1])[:, None, None, None]
  return (video + part_t111 * (video[..., ::-1] - 1.0 * video)).astype(np.uint8)


@pytest.mark.parametrize(
  ('degrade', 'levels', 'number', 'sign'),
  [
    (blur, (0, 0.5, 1, 2, 4), 'iou', -1),
    (grain, (0, 6, 15, 30), 'noise', 1),
    (freeze, (1, 4, 8, 15), 'stalled', 1),
    (shake, (0, 0.3, 0.8, 2), 'path_error', 1),
    (vanish, (0, 1, 2, 5), 'present', -1),
    (fade, (0, 0.1, 0.25, 0.5), 'color_drift', 1),
  ],
)
def test_more_damage_is_seen_as_more(degrade, levels, number, sign):
  video = np.stack([WORLD[i]['video'] for i in range(48)])
  judge = judge_lib.Judge(WORLD)
  reports = [judge.report(degrade(video, level)) for level in levels]
  assert (sign * np.diff([report[number] for report in reports]) > 0).all()
  assert (np.diff([report['valid_strict'] for report in reports]) <= 0).all()
