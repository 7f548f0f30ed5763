"""A made-up voice: a hum with overtones, which swells and fades like speech."""

import functools
from typing import NamedTuple

import numpy as np

from vgen_jax.synthetic.world import variant

RATE = 16_000  # Samples per second.
NUM_BANDS = 15
_LOUDEST = 0.3  # Of a wave of envelope 1, its root mean square.
_FLOOR = 1e-4  # Energy that is always there, as log(0) is nothing.


class Voice(NamedTuple):
  """A hum and how loud it is; u counts knots, one a frame and one at each end.

  Attributes:
    loudness_t: Root mean square of the envelope in each frame, in [0, 1].
    knot_u: The envelope in the middle of each frame, and of those around.
    pitch: In hertz.
    overtone_k: Root mean square of each multiple of the pitch, from the first.
    phase_k: Of each, in radians.
    num_samples: Samples in a frame.
  """

  loudness_t: np.ndarray
  knot_u: np.ndarray
  pitch: float
  overtone_k: np.ndarray
  phase_k: np.ndarray
  num_samples: int


def draw(rng: np.random.Generator, num_frames: int, num_samples: int) -> Voice:
  """Returns a voice that speaks for so many frames of so many samples."""
  draws_u = rng.random(num_frames + 2)
  knot_u = np.where(draws_u < 0.3, 0.02, draws_u)  # It pauses, too.
  pitch = variant.between(rng.random(), 110, 240)
  draws_2k = rng.random((2, int(3800 / pitch)))
  overtone_k = variant.between(draws_2k[0], 0.3, 1) / np.arange(
    1, draws_2k.shape[1] + 1
  )
  overtone_k *= _LOUDEST / np.sqrt(np.sum(overtone_k**2))
  gram_33 = _gram(num_samples)
  around_t3 = _around(knot_u)
  energy_t = np.einsum('ti,ij,tj->t', around_t3, gram_33, around_t3)
  return Voice(
    loudness_t=np.sqrt(energy_t),
    knot_u=knot_u,
    pitch=pitch,
    overtone_k=overtone_k,
    phase_k=2 * np.pi * draws_2k[1],
    num_samples=num_samples,
  )


def features(voice: Voice) -> np.ndarray:
  """Returns loudness and log mel energies of each frame, float32 `[t, 16]`.

  They follow from the overtones: they are those of the wave, but for what a
  window of finite length would smear.
  """
  hertz_k = voice.pitch * np.arange(1, len(voice.overtone_k) + 1)
  band_b = voice.overtone_k**2 @ _filters(hertz_k)
  energy_tb = voice.loudness_t[:, None] ** 2 * band_b
  log_tb = np.log(_FLOOR + energy_tb)
  return np.concatenate(
    [voice.loudness_t[:, None], log_tb], axis=1, dtype=np.float32
  )


def sound(voice: Voice) -> tuple[np.ndarray, np.ndarray]:
  """Returns envelope and wave, sample by sample, `[s]` each."""
  envelope_s = (_around(voice.knot_u) @ _blend(voice.num_samples)).ravel()
  turn_s = 2 * np.pi * voice.pitch * np.arange(len(envelope_s)) / RATE
  wave_s = np.zeros(len(envelope_s))
  for k, (overtone, phase) in enumerate(
    zip(voice.overtone_k, voice.phase_k, strict=True), start=1
  ):
    wave_s += overtone * np.sqrt(2) * np.sin(k * turn_s + phase)
  wave_s = np.clip(envelope_s * wave_s, -1, 1)
  return envelope_s, wave_s.astype(np.float32)


def _around(knot_u: np.ndarray) -> np.ndarray:
  """Returns the knots before, in and after each frame, `[t, 3]`."""
  return np.stack([knot_u[:-2], knot_u[1:-1], knot_u[2:]], axis=1)


@functools.lru_cache(maxsize=8)
def _blend(num_samples: int) -> np.ndarray:
  """Returns what samples have of the knots before, in, after `[3, s]`.

  From knot to knot the envelope follows half a wave of a cosine.
  """
  place_s = (np.arange(num_samples) + 0.5) / num_samples - 0.5
  other_s = (1 - np.cos(np.pi * np.abs(place_s))) / 2
  before_s = np.where(place_s < 0, other_s, 0)
  return np.stack([before_s, 1 - other_s, other_s - before_s])


@functools.lru_cache(maxsize=8)
def _gram(num_samples: int) -> np.ndarray:
  """Returns the matrix that turns three knots into a frame's mean square."""
  blend_3s = _blend(num_samples)
  return blend_3s @ blend_3s.T / num_samples


def _filters(hertz_k: np.ndarray) -> np.ndarray:
  """Returns what triangles, equally wide in mel, let pass `[k, bands]`."""
  mel = lambda hertz: 2595 * np.log10(1 + np.asarray(hertz) / 700)
  edges = np.linspace(mel(80), mel(4000), NUM_BANDS + 2)
  width = edges[1] - edges[0]
  return np.maximum(1 - np.abs(mel(hertz_k)[:, None] - edges[1:-1]) / width, 0)
