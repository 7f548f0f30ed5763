"""Tests of metrics/baselines.py."""

import itertools

import numpy as np
import pytest

from vgen_jax.evaluation.metrics import baselines


def test_copy_last_repeats_the_last_frame():
  context = np.random.default_rng(0).random((2, 3, 4, 4, 1))
  future = baselines.copy_last(context, 5)
  assert future.shape == (2, 5, 4, 4, 1)
  assert (future == context[:, -1:]).all()


def waves(num_frames: int) -> np.ndarray:
  """Returns a texture that a linear system of 4 states generates exactly."""
  t = np.arange(num_frames)[:, None]
  x = np.arange(12)[None]
  video = np.sin(0.5 * t + 0.6 * x) + 0.5 * np.cos(1.3 * t - 0.2 * x)
  return video.reshape(num_frames, 3, 4, 1) + 2


def test_dynamic_texture_extrapolates_waves():
  # The error is that of the mean, which would be exact over whole periods.
  video = waves(400)
  texture = baselines.DynamicTexture.fit(video[:377], 4)
  future = texture.extrapolate(23)
  assert np.abs(future - video[377:]).max() < 0.03
  assert (
    np.abs(baselines.copy_last(video[None, :377], 23) - video[377:]).max() > 1
  )
  few = baselines.DynamicTexture.fit(video[:377], 2).extrapolate(23)
  assert np.abs(few - video[377:]).max() > 0.3


def test_dynamic_texture_finds_a_planted_system():
  rng = np.random.default_rng(0)
  angle = 0.7
  transition = 0.95 * np.array(
    [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
  )
  states = [rng.standard_normal(2)]
  for _ in range(2_000):
    states.append(transition @ states[-1] + rng.standard_normal(2))
  observation = np.linalg.qr(rng.standard_normal((12, 2)))[0]
  video = (np.stack(states) @ observation.T).reshape(-1, 3, 4, 1)
  texture = baselines.DynamicTexture.fit(video, 2)
  found = np.linalg.eigvals(texture.transition_dd)
  np.testing.assert_allclose(
    np.sort_complex(found),
    np.sort_complex(np.linalg.eigvals(transition)),
    atol=0.03,
  )
  noise = texture.noise_dd @ texture.noise_dd.T
  np.testing.assert_allclose(np.linalg.eigvalsh(noise), [1, 1], atol=0.1)
  generated = texture.extrapolate(2_000, np.random.default_rng(1))
  assert abs(generated.std() / video.std() - 1) < 0.15
  assert texture.extrapolate(200)[-1].std() < 0.01  # Without noise it decays.


def test_dynamic_texture_refuses_too_many_states():
  with pytest.raises(ValueError, match='num_states is 5; for 6 frames'):
    baselines.DynamicTexture.fit(waves(6), 5)


@pytest.mark.parametrize('num_frames', [1, 2, 4])
def test_loop_is_the_cheapest_of_all_loops(num_frames):
  video = np.random.default_rng(0).random((6, 2, 2, 1))
  texture = baselines.VideoTexture(video, radius=0)
  path, cost = texture.loop(num_frames)
  total_cost = lambda way: sum(
    texture.cost_ij[i, j] for i, j in zip(way, (*way[1:], way[0]), strict=True)
  )
  best = min(map(total_cost, itertools.product(range(5), repeat=num_frames)))
  assert len(path) == num_frames
  np.testing.assert_allclose([cost, total_cost(path)], best, rtol=1e-12)
  start, way = 2, [2]
  way += texture.extrapolate(start, num_frames)[0]
  steps = lambda way: sum(
    texture.cost_ij[i, j] for i, j in itertools.pairwise(way)
  )
  best = min(
    steps((start, *rest))
    for rest in itertools.product(range(5), repeat=num_frames)
  )
  np.testing.assert_allclose(steps(way), best, rtol=1e-12)


def test_a_planted_loop_is_found():
  """Frames are noise, but frame 7 is nearly frame 3: 3, 4, 5, 6 is a loop."""
  video = np.random.default_rng(0).random((12, 4, 4, 1))
  video[7] = video[3] + 0.01
  path, _ = baselines.VideoTexture(video, radius=0).loop(4)
  assert path == [3, 4, 5, 6]


def test_the_radius_keeps_the_direction_of_motion():
  """A pendulum is at each position twice, moving in opposite directions."""
  swing = np.sin(np.arange(26) * 2 * np.pi / 24)
  video = swing[:, None, None, None] * np.ones((1, 2, 2, 1))
  single = baselines.VideoTexture(video, radius=0)
  context = baselines.VideoTexture(video, radius=1)
  # Frames 3 and 9 are similar, but it rises in one and falls in the other.
  assert single.cost_ij[2, 9] < 1e-12
  assert context.cost_ij[2, 9] > 0.1
  assert context.extrapolate(2, 3) == ([3, 4, 5], 0.0)


def test_linear_predicts_batches():
  video = np.stack([waves(60), 2 * waves(60)])
  future = baselines.linear(video, 3, 4)
  assert future.shape == (2, 3, 3, 4, 1)
  np.testing.assert_allclose(future[1], 2 * future[0], atol=1e-6)
