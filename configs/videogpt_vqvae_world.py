"""VideoGPT's tokenizer, a 3-D VQ-VAE, on a synthetic dataset.

  vgen train --config=videogpt_vqvae_world \
    --workdir=runs/videogpt_vqvae_world

Samples show clips of the data above their reconstructions.

Sizes: `base`, for one accelerator; `small`, for a CPU core, on the clips of
fsq_world.py; `paper`, with the layers, codebook and
downsampling of Yan et al., "VideoGPT: Video Generation using VQ-VAE and
Transformers", 2021, https://arxiv.org/abs/2104.10157; `smoke`, for tests.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'paper', 'small', 'smoke')
NEEDS_ACCELERATOR = ('base', 'paper')


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run; see the docstring of this file for sizes."""
  pick = lambda **sizes: {'paper': sizes['base'], **sizes}[size]

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(  # t h w c
    base=(8, 32, 32, 3), paper=(16, 64, 64, 3), small=(8, 16, 16, 3),
    smoke=(4, 8, 8, 3),
  )  # fmt: skip
  config.batch_size = pick(base=32, small=16, smoke=8)  # Over all devices.
  config.num_steps = pick(base=20_000, paper=100_000, small=4_000, smoke=4)

  config.data = dict(name='synthetic.world.source.World', label='direction')
  if size == 'small':
    only = dict(shape=('circle',), size=('large',), speed=('quickly',))
    config.data.only = only

  config.model = dict(
    name='families.autoencoding.tokenizer.Autoencoding',
    autoencoder=dict(
      name='models.videogpt_vqvae.VideoGPTVQVAE',
      bottleneck=dict(
        name='nn.bottlenecks.quantize.EMAVQ',
        num_codes=pick(base=512, paper=2048, small=512, smoke=16),
        width=pick(base=64, paper=256, small=16, smoke=4),
      ),
      width=pick(base=96, paper=240, small=32, smoke=8),
      num_blocks=pick(base=2, paper=4, small=1, smoke=1),
      downsample=pick(
        base=(2, 4, 4), paper=(4, 4, 4), small=(2, 2, 2), smoke=(2, 4, 4)
      ),
      dtype='bfloat16' if size == 'base' else 'float32',
    ),
    # The paper divides by 0.06, the variance of its pixels. Its pixels have
    # half the range of ours, so the variance here is 4 times as large.
    reconstruction_weight=1 / 0.24,
  )

  adam = lambda **schedule: dict(
    name='adam', schedule=dict(name='constant', **schedule)
  )
  config.optim = pick(
    base=adam(peak=1e-3, warmup_steps=200),
    paper=adam(peak=3e-4, warmup_steps=0),
    small=dict(
      name='muon',
      schedule=dict(name='warmup_cosine', peak=0.02, warmup_steps=50),
      adam_ratio=0.1,
      clip_norm=1.0,
    ),
    smoke=adam(peak=1e-3, warmup_steps=1),
  )
  config.ema = dict(slow=dict(decay=0.999, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=8, small=16, smoke=2)
  config.log_every = pick(base=100, small=50, smoke=1)
  config.sample_every = pick(base=2_000, paper=5_000, small=1_000, smoke=4)
  config.checkpoint_every = pick(base=2_000, paper=5_000, small=500, smoke=2)
  return config
