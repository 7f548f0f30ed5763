"""How large may errors of codes and latents be before clips are invalid?

FSQ with 8 x 8 x 8 levels is compared with a Gaussian posterior of 4 channels,
whose noise the decoder learns to tolerate, with the tokenizer and data of
configs/fsq_world.py, 1,000 steps and 2 seeds. 128 validation clips are encoded,
corrupted and decoded. The criterion is the fraction of clips that are valid
(loose tier), for

* noise of several standard deviations on all latents;
* errors in 1, 2 or 4 of the about 20 codes of 64 that show the object: one
  digit off by one, one digit off by two, or a random code.

  vgen ablate --experiment=latent_errors --workdir=runs/errors
"""

import math

import jax
import numpy as np

from vgen_jax.ablation.sweep import param
from vgen_jax.ablation.sweep import product
from vgen_jax.ablation.sweep import zipped
from vgen_jax.config import build
from vgen_jax.core import pixels
from vgen_jax.inference import runs
from vgen_jax.synthetic.world import verifier as verifier_lib

_NUM_CLIPS = 128
_DEVIATIONS = (0.0, 0.1, 0.2, 0.3, 0.5)
_COUNTS = (1, 2, 4)
_VISIBLE = 0.2  # Smallest difference to the background; the range is 2.


def _measure(run: runs.Run) -> dict[str, float]:
  data, shape = run.config.data.to_dict(), run.config.clip_shape
  world = build.source(data, shape, split='validation')
  verifier = verifier_lib.Verifier(world)
  video = np.stack([world[i]['video'] for i in range(_NUM_CLIPS)])
  video = pixels.to_float(video)
  variables = run.state.variables('fast')

  def call(name: str):
    method = lambda model, x: getattr(model.autoencoder, name)(x)
    apply = jax.jit(lambda v, x: run.model.apply(v, x, method=method))
    return lambda x: np.asarray(apply(variables, x))

  def valid(video: np.ndarray) -> float:
    return verifier.report(pixels.to_uint8(video))['validity_loose']

  rng = np.random.default_rng(0)
  latent, decode = call('latents')(video), call('from_latents')
  found = {}
  for deviation in _DEVIATIONS:
    noise = rng.standard_normal(latent.shape).astype(np.float32)
    found[f'noise {deviation}'] = valid(decode(latent + deviation * noise))
  if not run.model.autoencoder.num_codes:
    return found
  codes, from_codes = call('codes')(video), call('from_codes')
  levels = run.model.autoencoder.bottleneck.levels
  visible = _visible(video, codes.shape[1:])
  for by, name in ((1, 'off by 1'), (2, 'off by 2'), (0, 'random')):
    for count in _COUNTS:
      wrong = _with_errors(codes, visible, levels, by, count, rng)
      found[f'{name}, {count}'] = valid(from_codes(wrong))
  return found


def _visible(video: np.ndarray, grid: tuple[int, int, int]) -> np.ndarray:
  """Returns which codes have pixels of the object, bool `[b, t, h, w]`."""
  background = np.median(video, axis=(1, 2, 3), keepdims=True)
  t, h, w = grid
  clips, frames, rows, columns, _ = video.shape
  far = np.abs(video - background).max(-1)
  far = far.reshape(clips, t, frames // t, h, rows // h, w, columns // w)
  return far.max((2, 4, 6)) > _VISIBLE


def _with_errors(codes, visible, levels, by, count, rng) -> np.ndarray:
  """Returns codes with errors in `count` visible codes of each clip."""
  worth = np.array([math.prod(levels[:i]) for i in range(len(levels))])
  digits = codes[..., None] // worth % np.array(levels)
  for clip, visible_thw in enumerate(visible):
    positions = np.argwhere(visible_thw)
    for position in rng.choice(positions, count, replace=False):
      digit = digits[(clip, *position)]  # A view, so assignments are kept.
      if not by:
        digit[:] = rng.integers(0, levels)
        continue
      which = rng.integers(len(levels))
      value = digit[which] + by * rng.choice([-1, 1])
      if not 0 <= value < levels[which]:
        value = 2 * digit[which] - value
      digit[which] = value
  return (digits * worth).sum(-1).astype(np.int32)


BASE = 'fsq_world'
_FSQ = dict(name='nn.bottlenecks.lookup_free.FSQ', levels=(8, 8, 8))
SWEEP = product(
  zipped(
    param(
      'model.autoencoder.bottleneck',
      _FSQ,
      dict(name='nn.bottlenecks.gaussian.Gaussian', width=4),
    ),
    param('model.bottleneck_weight', 1.0, 3e-6),
  ),
  param('num_steps', 1_000),
  param('seed', 0, 1),
)
ROWS = ('model.autoencoder.bottleneck.name',)
VALUE = 'noise 0.3'
MEASURE = _measure
