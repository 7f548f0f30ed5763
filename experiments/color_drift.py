"""Why do colours drift in clips that are generated from codes?

VideoGPT of configs/videogpt_world.py is trained over tokenizers of
configs/fsq_world.py that were trained for 1,000 or 2,500 steps. Over the second
one it is also trained for half of its steps. Each seed, 0 and 1, is that of
both the tokenizer and VideoGPT. Stated are, for 256 clips each,

* `codes`: validation clips, encoded and decoded;
* `config`: clips sampled as in the config;
* `temperature 1` and `guidance 3`: clips sampled with these values instead of
  0.5 and 1.5.

The criterion is the fraction of valid clips (loose tier). `drift` is the
largest change of colour over time, in levels of 255, averaged over clips; a
clip with more than 40 is invalid. Each row of the table is one run, as seeds
have different tokenizers.

The tokenizers of seed 1 are trained by the same commands with --config.seed=1
and folders whose names end in 1:

  vgen train --config=fsq_world --workdir=runs/short_0 --config.num_steps=1000
  vgen train --config=fsq_world --workdir=runs/long_0
  vgen ablate --experiment=color_drift --workdir=runs/color_drift
"""

import jax
import numpy as np

from vgen_jax.config import build
from vgen_jax.core import pixels
from vgen_jax.inference import runs
from vgen_jax.synthetic.world import verifier as verifier_lib

_NUM_CLIPS = 256
_SAMPLERS = {
  'config': {},
  'temperature 1': {'model.prior.temperature': 1.0},
  'guidance 3': {'model.prior.guidance': 3.0},
}
# Training of the tokenizer, and steps of VideoGPT.
_ARMS = (('short', 2_000), ('long', 2_000), ('long', 1_000))


def _measure(run: runs.Run) -> dict[str, float]:
  data, shape = run.config.data.to_dict(), run.config.clip_shape
  world = build.source(data, shape, split='validation')
  verifier = verifier_lib.Verifier(world)
  video = np.stack([world[i]['video'] for i in range(_NUM_CLIPS)])

  def decoded(model, video_bthwc):
    codes_bthw = model.autoencoder.codes(video_bthwc)
    return model.autoencoder.from_codes(codes_bthw)

  apply = jax.jit(lambda v, x: run.model.apply(v, x, method=decoded))
  video = apply(run.state.variables('fast'), pixels.to_float(video))
  numbers = verifier.report(pixels.to_uint8(np.asarray(video)))
  found = {
    'bits per code': run.validate(_NUM_CLIPS)['transformer/bits_per_code'],
    'valid, codes': numbers['validity_loose'],
    'drift, codes': numbers['color_drift'],
  }
  label_b = run.condition(_NUM_CLIPS)['label']
  for name, overrides in _SAMPLERS.items():
    video = runs.load(run.workdir, overrides=overrides).sample(_NUM_CLIPS)
    numbers = verifier.report(video, label_b)
    found[f'valid, {name}'] = numbers['validity_loose']
    found[f'class, {name}'] = numbers['class_accuracy_all']
    found[f'drift, {name}'] = numbers['color_drift']
    found[f'entropy of colours, {name}'] = numbers['entropy_color']
  return found


BASE = 'videogpt_world'
SWEEP = [
  {
    'frozen.autoencoder': f'runs/{tokenizer}_{seed}',
    'num_steps': num_steps,
    'seed': seed,
  }
  for tokenizer, num_steps in _ARMS
  for seed in (0, 1)
]
ROWS = ('frozen.autoencoder', 'num_steps')
VALUE = 'valid, config'
MEASURE = _measure
