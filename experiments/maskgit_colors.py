"""Do longer training and other samplers make more of MaskGIT's clips valid?

Clips of MaskGIT are invalid because their colours drift. The model of
configs/maskgit_world.py is trained for 1,000, 2,000 and 4,000 steps, with 2
seeds; the learning rate decays to 0 at the last step of each run. Each run
generates 128 clips with each of two samplers, both with the guidance of the
config:

* `config`: the sampler of the config, which samples one code in each step;
* `default`: that of `families.codes.masked.Masked`, with 12 steps, temperature
  1 and a choice temperature of 4.5.

The criterion is the fraction of valid clips (loose tier). Also stated are the
fraction of clips of the requested class; `drift`, the mean change of colour, in
levels of 255, where a clip with more than 40 is invalid; the path error in
pixels; and the entropy of colours as a fraction of its maximum.

  vgen train --config=fsq_world --workdir=runs/fsq_world
  vgen ablate --experiment=maskgit_colors --workdir=runs/colors
"""

from vgen_jax.ablation.sweep import param
from vgen_jax.ablation.sweep import product
from vgen_jax.config import build
from vgen_jax.inference import runs
from vgen_jax.synthetic.world import verifier as verifier_lib

_NUM_CLIPS = 128
_SAMPLERS = {
  'config': {},
  'default': {
    'model.prior.num_steps': 12,
    'model.prior.temperature': 1.0,
    'model.prior.choice_temperature': 4.5,
  },
}


def _measure(run: runs.Run) -> dict[str, float]:
  data, shape = run.config.data.to_dict(), run.config.clip_shape
  world = build.source(data, shape, split='validation')
  verifier = verifier_lib.Verifier(world)
  label_b = run.condition(_NUM_CLIPS)['label']
  found = {}
  for name, overrides in _SAMPLERS.items():
    video = runs.load(run.workdir, overrides=overrides).sample(_NUM_CLIPS)
    numbers = verifier.report(video, label_b)
    found[f'valid, {name}'] = numbers['validity_loose']
    found[f'class, {name}'] = numbers['class_accuracy_all']
    found[f'drift, {name}'] = numbers['color_drift']
    found[f'path error, {name}'] = numbers['path_error']
    found[f'entropy of colours, {name}'] = numbers['entropy_color']
  return found


BASE = 'maskgit_world'
SWEEP = product(param('num_steps', 1_000, 2_000, 4_000), param('seed', 0, 1))
ROWS = ('num_steps',)
VALUE = 'valid, config'
MEASURE = _measure
