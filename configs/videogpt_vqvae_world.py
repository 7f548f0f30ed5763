"""VideoGPT's tokenizer, a 3-D VQ-VAE, on a synthetic dataset.

  vgen train --config=videogpt_vqvae_world \
    --workdir=runs/videogpt_vqvae_world

Samples show clips of the data above their reconstructions.

Sizes: `base`, for one accelerator; `paper`, with the layers, codebook and
downsampling of Yan et al., "VideoGPT: Video Generation using VQ-VAE and
Transformers", 2021, https://arxiv.org/abs/2104.10157; `smoke`, for tests.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'paper', 'smoke')
NEEDS_ACCELERATOR = ('base', 'paper')


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run; see the docstring of this file for sizes."""
  pick = lambda **sizes: sizes[size]

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(  # t h w c
    base=(8, 32, 32, 3), paper=(16, 64, 64, 3), smoke=(4, 8, 8, 3)
  )
  config.batch_size = pick(base=32, paper=32, smoke=8)  # Over all devices.
  config.num_steps = pick(base=20_000, paper=100_000, smoke=4)

  config.data = dict(name='synthetic.world.source.World', label='direction')

  config.model = dict(
    name='families.autoencoding.tokenizer.Autoencoding',
    autoencoder=dict(
      name='models.videogpt_vqvae.VideoGPTVQVAE',
      bottleneck=dict(
        name='nn.bottlenecks.quantize.EMAVQ',
        num_codes=pick(base=512, paper=2048, smoke=16),
        width=pick(base=64, paper=256, smoke=4),
      ),
      width=pick(base=96, paper=240, smoke=8),
      num_blocks=pick(base=2, paper=4, smoke=1),
      downsample=pick(base=(2, 4, 4), paper=(4, 4, 4), smoke=(2, 4, 4)),
      dtype=pick(base='bfloat16', paper='float32', smoke='float32'),
    ),
    # The paper divides by 0.06, the variance of its pixels. Its pixels have
    # half the range of ours, so the variance here is 4 times as large.
    reconstruction_weight=1 / 0.24,
  )

  config.optim = dict(
    name='adam',
    schedule=dict(
      name='constant',
      peak=pick(base=1e-3, paper=3e-4, smoke=1e-3),
      warmup_steps=pick(base=200, paper=0, smoke=1),
    ),
  )
  config.ema = dict(slow=dict(decay=0.999, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=8, paper=8, smoke=2)
  config.log_every = pick(base=100, paper=100, smoke=1)
  config.sample_every = pick(base=2_000, paper=5_000, smoke=4)
  config.checkpoint_every = pick(base=2_000, paper=5_000, smoke=2)
  return config
