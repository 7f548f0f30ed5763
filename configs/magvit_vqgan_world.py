"""MAGVIT's tokenizer, a 3-D VQGAN, on a synthetic dataset.

  vgen train --config=magvit_vqgan_world \
    --workdir=runs/magvit_vqgan_world

Critic and autoencoder are updated at the same time. Samples show clips of the
data above their reconstructions.

Sizes: `base`, for one accelerator; `paper`, with the layers of the base model
of Yu et al., "MAGVIT: Masked Generative Video Transformer", 2022,
https://arxiv.org/abs/2212.05199 (but without a perceptual loss, and with other
weights of the losses); `smoke`, for tests.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'paper', 'smoke')
NEEDS_ACCELERATOR = ('base', 'paper')


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run; see the docstring of this file for sizes."""
  pick = lambda **sizes: sizes[size]
  big = lambda **sizes: sizes['base' if size == 'paper' else size]

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(  # t h w c
    base=(16, 64, 64, 3), paper=(16, 128, 128, 3), smoke=(4, 8, 8, 3)
  )
  config.batch_size = pick(base=32, paper=128, smoke=8)  # Over all devices.
  config.num_steps = pick(base=30_000, paper=200_000, smoke=4)

  config.data = dict(name='synthetic.world.source.World', label='direction')

  config.model = dict(
    name='families.autoencoding.tokenizer.Autoencoding',
    autoencoder=dict(
      name='models.magvit_vqgan.MagvitVQGAN',
      bottleneck=dict(
        name='nn.bottlenecks.quantize.VQ',
        num_codes=big(base=1024, smoke=16),
        width=pick(base=64, paper=256, smoke=4),
      ),
      width=pick(base=32, paper=64, smoke=4),
      multipliers=big(base=(1, 2, 2, 4), smoke=(1, 2)),
      halves_time=big(base=(True, True, False), smoke=(True,)),
      num_blocks=pick(base=1, paper=2, smoke=1),
      dtype=big(base='bfloat16', smoke='float32'),
    ),
    critic=dict(
      video=dict(
        name='models.magvit_vqgan.Critic',
        width=pick(base=32, paper=64, smoke=4),
        multipliers=(2, 4, 4, 4, 4)[: pick(base=4, paper=5, smoke=2)],
      )
    ),
    loss_kind='logistic',
    critic_weight=0.1,
    critic_start=pick(base=2_000, paper=10_000, smoke=2),
    r1_weight=10.0,
    lecam_weight=1e-3,
  )

  config.optim = dict(
    name='adam',
    b1=0.0,
    b2=0.99,
    schedule=dict(
      name='warmup_cosine', peak=1e-4, warmup_steps=big(base=500, smoke=1)
    ),
  )
  config.ema = dict(slow=dict(decay=0.999, warmup=True))

  # Periods, in steps.
  config.num_samples = big(base=8, smoke=2)
  config.log_every = big(base=100, smoke=1)
  config.sample_every = big(base=5_000, smoke=4)
  config.checkpoint_every = big(base=5_000, smoke=2)
  return config
