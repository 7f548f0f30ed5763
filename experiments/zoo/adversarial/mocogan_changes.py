"""Which change makes MoCoGAN keep its content: norm, penalty, init or rate?

The released code has critics with batch norm and no gradient penalty, weights
drawn from N(0, 0.02^2) and a learning rate of 2e-4. The size `small` of
configs/mocogan_world.py differs in all four settings. Each setting of the
released code is restored alone, and then all four together, for 1,500 steps.
The criterion is the fraction of the variance of colours that the content code
explains (mocogan_codes.py);
`motion` is the fraction of the same clips that show the class of their motion.
The verifier adds the fraction of valid clips (loose tier) and the mean colour
drift of 256 clips.

  vgen ablate --experiment=experiments/zoo/adversarial/mocogan_changes.py \
      --workdir=runs/x
"""

import pathlib

import jax

from vgen_jax.ablation import sweep
from vgen_jax.config import build
from vgen_jax.config import python_files
from vgen_jax.inference import runs
from vgen_jax.synthetic.world import verifier as verifier_lib

_CODES = python_files.run(
  str(pathlib.Path(__file__).with_name('mocogan_codes.py'))
)
_NUM_CLIPS = 256
_RELEASED = {
  'batch norm': {
    'model.critic.image.norm': 'batch',
    'model.critic.video.norm': 'batch',
  },
  'no penalty': {'model.penalty_kind': 'none'},
  'init': {
    'model.generator.kernel_init': 'dcgan',
    'model.critic.image.kernel_init': 'dcgan',
    'model.critic.video.kernel_init': 'dcgan',
  },
  'rate': {'optim.schedule.peak': 2e-4},
}


def _measure(run: runs.Run) -> dict[str, float]:
  world = build.source(
    run.config.data.to_dict(), run.config.clip_shape, split='validation'
  )
  verifier = verifier_lib.Verifier(world)
  video_cmthwc, label_m = _CODES['generate'](run, 16)
  clips = verifier.features(video_cmthwc.reshape(-1, *video_cmthwc.shape[2:]))
  explained, accuracy = _CODES['numbers'](
    clips.tint_b3.reshape(16, 16, 3), clips.label_b.reshape(16, 16), label_m
  )
  label_b = run.condition(_NUM_CLIPS)['label']
  report = verifier.report(run.sample(_NUM_CLIPS), jax.device_get(label_b))
  return {
    'content': explained,
    'motion': accuracy,
    'valid': report['validity_loose'],
    'drift': report['color_drift'],
  }


_EVERYTHING = {k: v for change in _RELEASED.values() for k, v in change.items()}
BASE = 'mocogan_world:small'
SWEEP = sweep.product(
  sweep.param('optim.schedule', {'name': 'constant', 'peak': 1e-3}),
  sweep.chain([{}], *([x] for x in _RELEASED.values()), [_EVERYTHING]),
  sweep.param('num_steps', 1_500),
  sweep.param('seed', 0),
)
ROWS = (
  'model.critic.video.norm',
  'model.penalty_kind',
  'model.generator.kernel_init',
  'optim.schedule.peak',
)
VALUE = 'content'
MEASURE = _measure
