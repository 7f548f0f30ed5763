"""Weights and clips from a seed by NumPy, equal for PyTorch and JAX.

So a reference does not contain weights, but only their names and shapes, the
statistics of batch norms, and the outputs. `RandomState` gives the same numbers
in every version of NumPy.
"""

import json
import pathlib
import zlib

import numpy as np

REFERENCES = pathlib.Path(__file__).parent / 'references'
STATISTICS = ('running_mean', 'running_var')


def arrays(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
  """Returns a state dict: He initialization, scales near 1, small biases."""
  made = {}
  for name, shape in shapes.items():
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    draw = rng.standard_normal(shape)
    if name.endswith('running_var'):
      draw = np.ones(shape)
    elif name.endswith('running_mean'):
      draw = np.zeros(shape)
    elif len(shape) > 1:
      draw *= np.sqrt(2 / np.prod(shape[1:]))
    elif name.endswith('weight'):
      draw = 1 + 0.2 * draw
    else:
      draw *= 0.2
    made[name] = draw.astype(np.float32)
  return made


def clips(seed: int, count: int, t: int, h: int, w: int) -> np.ndarray:
  """Returns uint8 `[b, t, h, w, 3]`: smooth moving shapes with noise."""
  rng = np.random.RandomState(seed)
  y, x = np.mgrid[:h, :w] / max(h, w)
  made = np.zeros((count, t, h, w, 3))
  for video_thwc in made:
    for _ in range(4):
      at, speed = rng.rand(2), 0.06 * rng.randn(2)
      color, size = 1.5 * rng.randn(3), 0.05 + 0.2 * rng.rand()
      for i, frame_hwc in enumerate(video_thwc):
        down, right = at + i * speed
        far = ((y - down) ** 2 + (x - right) ** 2) / size**2
        frame_hwc += np.exp(-far)[..., None] * color
    video_thwc += rng.randn(3) + 0.1 * rng.randn(t, h, w, 3)
  return np.uint8(np.clip(127.5 + 80 * made, 0, 255))


def save(name: str, state: dict[str, np.ndarray], **outputs: np.ndarray):
  """Writes a reference: shapes, statistics as float16, and outputs."""
  statistics = [v for k, v in state.items() if k.endswith(STATISTICS)]
  shapes = {k: v.shape for k, v in state.items()}
  np.savez_compressed(
    REFERENCES / f'{name}.npz',
    shapes=json.dumps(shapes),
    statistics=np.concatenate(statistics or [np.zeros(0)]).astype(np.float16),
    **{k: v.astype(np.float32) for k, v in outputs.items()},
  )


def load(name: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
  """Returns the state dict of a reference, and its outputs."""
  with np.load(REFERENCES / f'{name}.npz') as file:
    outputs = dict(file)
  shapes = json.loads(str(outputs.pop('shapes')))
  rest, state = outputs.pop('statistics').astype(np.float32), {}
  for key, array in arrays(shapes).items():
    if key.endswith(STATISTICS):
      array, rest = rest[: array.size], rest[array.size :]
    state[key] = array
  return state, outputs


def error(found: np.ndarray, wanted: np.ndarray) -> float:
  """Returns the worst error, relative to the spread of samples.

  An error relative to the size of outputs would accept a network with equal
  outputs for all clips. `found` may have fewer samples than `wanted`.
  """
  gap = np.asarray(found) - wanted[: len(found)]
  return float(np.abs(gap).max() / np.std(wanted, 0).mean())
