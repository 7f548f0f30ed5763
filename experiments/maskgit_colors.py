"""Why do the colours of MaskGIT's clips drift?

Label smoothing of 0.1, as in the paper, is compared with none, with
configs/maskgit_world.py, 700 steps and 2 seeds. Each run generates 128 clips
from the predicted probabilities, and, if it was trained with smoothing, also
with the smoothing subtracted as in `families/codes/masked.py`; in 32 and in 12
steps. The criterion is the fraction of valid clips (loose tier). `drift` is the
mean change of colour, in levels of 255; a clip with more than 40 is invalid.

  vgen train --config=fsq_world --workdir=runs/fsq_world
  vgen ablate --experiment=maskgit_colors --workdir=runs/colors
"""

from vgen_jax.ablation.sweep import param
from vgen_jax.ablation.sweep import product
from vgen_jax.config import build
from vgen_jax.inference import runs
from vgen_jax.synthetic.world import verifier as verifier_lib

_NUM_CLIPS = 128


def _measure(run: runs.Run) -> dict[str, float]:
  data, shape = run.config.data.to_dict(), run.config.clip_shape
  world = build.source(data, shape, split='validation')
  verifier = verifier_lib.Verifier(world)
  label_b = run.condition(_NUM_CLIPS)['label']
  found = {}
  for name, smoothing in (('unchanged', 0.0), ('subtracted', 0.1)):
    for num_steps in (32, 12):
      overrides = {
        'model.prior.label_smoothing': smoothing,
        'model.prior.num_steps': num_steps,
      }
      video = runs.load(run.workdir, overrides=overrides).sample(_NUM_CLIPS)
      numbers = verifier.report(video, label_b)
      found[f'valid, {name}, {num_steps} steps'] = numbers['validity_loose']
      found[f'drift, {name}, {num_steps} steps'] = numbers['color_drift']
    if not run.config.model.prior.label_smoothing:
      break  # Nothing can be subtracted.
  return found


BASE = 'maskgit_world'
SWEEP = product(
  param('model.prior.label_smoothing', 0.1, 0.0),
  param('num_steps', 700),
  param('seed', 0, 1),
)
ROWS = ('model.prior.label_smoothing',)
VALUE = 'valid, unchanged, 32 steps'
MEASURE = _measure
