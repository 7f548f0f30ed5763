"""Which bottleneck with 512 codes reconstructs clips best?

FSQ with 8 x 8 x 8 levels, LFQ and BSQ with 9 bits, and codebooks of 512 vectors
of 16 numbers that are updated by means (EMAVQ) or by gradients (VQ) are
compared, with the tokenizer and the data of configs/fsq_world.py, but with
Adam, for 600 steps of 32 clips and 2 seeds. The criterion is the PSNR of 512
validation clips, reconstructed by the averaged parameters. The fraction of
codes in use and their perplexity are measured as well.

  vgen ablate --experiment=bottlenecks --workdir=runs/bottlenecks
"""

from vgen_jax.ablation.sweep import param
from vgen_jax.ablation.sweep import product
from vgen_jax.inference import runs

_NUMBERS = ('psnr', 'recent_usage', 'recent_perplexity')


def _measure(run: runs.Run) -> dict[str, float]:
  measured = run.validate(512)
  return {f'validation/{x}': measured[f'autoencoder/{x}'] for x in _NUMBERS}


BASE = 'fsq_world'
SWEEP = product(
  param(
    'model.autoencoder.bottleneck',
    dict(name='nn.bottlenecks.lookup_free.FSQ', levels=(8, 8, 8)),
    dict(name='nn.bottlenecks.lookup_free.LFQ', num_bits=9),
    dict(name='nn.bottlenecks.lookup_free.BSQ', num_bits=9),
    dict(name='nn.bottlenecks.quantize.EMAVQ', num_codes=512, width=16),
    dict(name='nn.bottlenecks.quantize.VQ', num_codes=512, width=16),
  ),
  param(
    'optim',
    dict(
      name='adam',
      schedule=dict(name='warmup_cosine', peak=3e-3, warmup_steps=50),
      clip_norm=1.0,
    ),
  ),
  param('batch_size', 32),
  param('num_steps', 600),
  param('seed', 0, 1),
)
ROWS = ('model.autoencoder.bottleneck.name',)
VALUE = 'validation/psnr'
MEASURE = _measure
