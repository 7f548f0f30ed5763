"""What do the bits of a tokenizer's codes describe?

VideoGPT of configs/videogpt_world.py, 2 seeds, predicts the codes of 256
validation clips. A code shows the object if a pixel of its patch differs from
the background. The criterion is the mean number of bits of the codes that show
it, compared with

* the bits of the other codes, whose patches are the same in all clips;
* the bits of the object's codes after the first frame of codes, when its path
  and its colour are known;
* the probability that a sampled code of those is the right one, by temperature.

  vgen train --config=fsq_world --workdir=runs/fsq_world
  vgen ablate --experiment=code_bits --workdir=runs/code_bits
"""

import jax
import numpy as np

from vgen_jax.ablation.sweep import param
from vgen_jax.config import build
from vgen_jax.core import pixels
from vgen_jax.inference import runs

_NUM_CLIPS = 256
_TEMPERATURES = (1.0, 0.7, 0.5)
_VISIBLE = 0.2  # Smallest difference to the background; the range is 2.


def _measure(run: runs.Run) -> dict[str, float]:
  data, shape = run.config.data.to_dict(), run.config.clip_shape
  world = build.source(data, shape, split='validation')
  clips = [world[i] for i in range(_NUM_CLIPS)]
  video = pixels.to_float(np.stack([clip['video'] for clip in clips]))
  label = np.array([clip['label'] for clip in clips])

  variables = run.state.variables('fast')
  encode = lambda model, x: model.autoencoder.codes(x)
  codes = np.asarray(run.model.apply(variables, video, method=encode))
  logits = run.model.prior.transformer.apply(
    {'params': variables['params']['transformer']},
    codes,
    {'label': label},
    train=False,
  )
  return summary(
    np.asarray(jax.nn.log_softmax(logits)), codes, shows_object(video, codes)
  )


def shows_object(video: np.ndarray, codes: np.ndarray) -> np.ndarray:
  """Returns which codes have pixels of the object, bool `[b, t, h, w]`."""
  background = np.median(video, axis=(1, 2, 3), keepdims=True)
  b, t, h, w = codes.shape
  frames, rows, columns = video.shape[1:4]
  far = np.abs(video - background).max(-1)
  far = far.reshape(b, t, frames // t, h, rows // h, w, columns // w)
  return far.max((2, 4, 6)) > _VISIBLE


def summary(
  log_p: np.ndarray, codes: np.ndarray, shows: np.ndarray
) -> dict[str, float]:
  """Returns mean bits of codes, and probabilities of the right code.

  Args:
    log_p: Log-probabilities of codes, in nats, `[b, t, h, w, k]`.
    codes: Codes of clips, int `[b, t, h, w]`.
    shows: Which of them show the object, bool `[b, t, h, w]`.
  """
  right = lambda x: np.take_along_axis(x, codes[..., None], -1)[..., 0]
  bits = -right(log_p) / np.log(2)
  later = shows.copy()
  later[:, 0] = False
  found = {
    'bits, object': bits[shows].mean(),
    'bits, background': bits[~shows].mean(),
    'bits, object, later frames': bits[later].mean(),
    'fraction of bits for the background': bits[~shows].sum() / bits.sum(),
  }
  for temperature in _TEMPERATURES:
    p = np.exp(log_p / temperature)
    p = right(p / p.sum(-1, keepdims=True))
    found[f'right, temperature {temperature}'] = p[later].mean()
  return {name: float(value) for name, value in found.items()}


BASE = 'videogpt_world'
SWEEP = param('seed', 0, 1)
ROWS = ('model.prior.temperature',)
VALUE = 'bits, object'
MEASURE = _measure
