"""Does Muon train a small video diffusion model in fewer steps than AdamW?

Muon at the learning rate of the demo is compared with AdamW at two rates, on
the model and data of the demo, for 300 steps and 3 seeds. The criterion is the
loss of the averaged parameters on 512 validation clips, with the same clips and
noise for all runs.

  vgen ablate --experiment=muon_or_adamw --workdir=runs/muon
"""

from vgen_jax.ablation.sweep import param
from vgen_jax.ablation.sweep import product
from vgen_jax.inference import runs


def _optim(name: str, peak: float, **kwargs: float) -> dict:
  schedule = {'name': 'warmup_cosine', 'peak': peak, 'warmup_steps': 50}
  return {'name': name, 'schedule': schedule, 'clip_norm': 1.0, **kwargs}


def _measure(run: runs.Run) -> dict[str, float]:
  return {'validation/loss': run.validate(512)['denoiser/loss']}


BASE = 'demo'
SWEEP = product(
  param(
    'optim',
    _optim('muon', 0.02, adam_ratio=0.1),
    _optim('adamw', 1e-3, b2=0.99),
    _optim('adamw', 4e-3, b2=0.99),
  ),
  param('num_steps', 300),
  param('seed', 0, 1, 2),
)
ROWS = ('optim.name', 'optim.schedule.peak')
VALUE = 'validation/loss'
MEASURE = _measure
