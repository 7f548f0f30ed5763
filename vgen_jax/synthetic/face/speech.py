"""A synthetic voice: a tone with overtones and a speech-like envelope."""

import functools
from typing import NamedTuple

import numpy as np

from vgen_jax.synthetic import base

RATE = 16_000  # Samples per second.
NUM_BANDS = 15
_MAX_RMS = 0.3  # Root mean square of a wave whose envelope is 1.
_MIN_ENERGY = 1e-4  # Added to energies before the logarithm.


class Voice(NamedTuple):
  """A tone and its envelope, which is interpolated between knots.

  u counts the knots: one in the middle of each frame of the clip, of the frame
  before it and of the frame after it.

  Attributes:
    loudness_t: Root mean square of the envelope in each frame, in [0, 1].
    knot_u: Envelope at the knots, in [0, 1].
    pitch: Fundamental frequency, in hertz.
    overtone_k: Root mean square of each multiple of the pitch, from the first.
    phase_k: Phase of each multiple, in radians.
    num_samples: Samples in a frame.
  """

  loudness_t: np.ndarray
  knot_u: np.ndarray
  pitch: float
  overtone_k: np.ndarray
  phase_k: np.ndarray
  num_samples: int


def sample(
  rng: np.random.Generator, num_frames: int, num_samples: int
) -> Voice:
  """Returns a random voice.

  Args:
    rng: Generator of its random numbers.
    num_frames: Number of frames of the clip.
    num_samples: Samples in a frame.
  """
  draws_u = rng.random(num_frames + 2)
  knot_u = np.where(draws_u < 0.3, 0.02, draws_u)  # Some are pauses.
  pitch = base.interpolate(rng.random(), 110, 240)
  draws_2k = rng.random((2, int(3800 / pitch)))
  overtone_k = base.interpolate(draws_2k[0], 0.3, 1) / np.arange(
    1, draws_2k.shape[1] + 1
  )
  overtone_k *= _MAX_RMS / np.sqrt(np.sum(overtone_k**2))
  gram_33 = _gram(num_samples)
  knot_t3 = _neighbors(knot_u)
  energy_t = np.einsum('ti,ij,tj->t', knot_t3, gram_33, knot_t3)
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

  The energies are computed from the overtones, and equal those of the waveform
  except for the spectral leakage of a finite window.
  """
  hertz_k = voice.pitch * np.arange(1, len(voice.overtone_k) + 1)
  band_b = voice.overtone_k**2 @ _filters(hertz_k)
  energy_tb = voice.loudness_t[:, None] ** 2 * band_b
  log_tb = np.log(_MIN_ENERGY + energy_tb)
  return np.concatenate(
    [voice.loudness_t[:, None], log_tb], axis=1, dtype=np.float32
  )


def sound(voice: Voice) -> tuple[np.ndarray, np.ndarray]:
  """Returns the envelope in [0, 1] and the waveform in [-1, 1], `[s]` each."""
  envelope_s = (
    _neighbors(voice.knot_u) @ _interpolation(voice.num_samples)
  ).ravel()
  phase_s = 2 * np.pi * voice.pitch * np.arange(len(envelope_s)) / RATE
  wave_s = np.zeros(len(envelope_s))
  for k, (overtone, phase) in enumerate(
    zip(voice.overtone_k, voice.phase_k, strict=True), start=1
  ):
    wave_s += overtone * np.sqrt(2) * np.sin(k * phase_s + phase)
  wave_s = np.clip(envelope_s * wave_s, -1, 1)
  return envelope_s, wave_s.astype(np.float32)


def _neighbors(knot_u: np.ndarray) -> np.ndarray:
  """Returns the knots before, in and after each frame, `[t, 3]`."""
  return np.stack([knot_u[:-2], knot_u[1:-1], knot_u[2:]], axis=1)


@functools.lru_cache(maxsize=8)
def _interpolation(num_samples: int) -> np.ndarray:
  """Returns the weights of the previous, own and next knot, `[3, s]`.

  Between knots the envelope follows half a period of a cosine.
  """
  position_s = (np.arange(num_samples) + 0.5) / num_samples - 0.5
  other_s = (1 - np.cos(np.pi * np.abs(position_s))) / 2
  before_s = np.where(position_s < 0, other_s, 0)
  return np.stack([before_s, 1 - other_s, other_s - before_s])


@functools.lru_cache(maxsize=8)
def _gram(num_samples: int) -> np.ndarray:
  """Returns the matrix A, `[3, 3]`, such that k^T A k is a mean square.

  k has the values of the envelope at the previous, own and next knot of a
  frame; the mean square is that of the envelope within the frame.
  """
  weight_3s = _interpolation(num_samples)
  return weight_3s @ weight_3s.T / num_samples


def _filters(hertz_k: np.ndarray) -> np.ndarray:
  """Returns the gains of triangular mel filters, `[k, bands]`."""
  mel = lambda hertz: 2595 * np.log10(1 + np.asarray(hertz) / 700)
  edges = np.linspace(mel(80), mel(4000), NUM_BANDS + 2)
  width = edges[1] - edges[0]
  return np.maximum(1 - np.abs(mel(hertz_k)[:, None] - edges[1:-1]) / width, 0)
