"""MAGVIT's tokenizer, a 3-D VQGAN, on a synthetic dataset.

  vgen train --config=magvit_vqgan_world --workdir=runs/magvit_vqgan_world

Critic and autoencoder are updated at the same time. Samples show clips of the
data above their reconstructions.

Sizes: `base`, for one accelerator; `paper`, with the layers of the base model
of Yu et al., "MAGVIT: Masked Generative Video Transformer", 2022,
https://arxiv.org/abs/2212.05199 (but without a perceptual loss, and with other
weights of the losses); `small`, for a CPU core; `smoke`, for tests. The
codebook of `paper` is learned by gradients; the others are moving averages.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'paper', 'small', 'smoke')
NEEDS_ACCELERATOR = ('base', 'paper')


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run; see the docstring of this file for sizes."""
  pick = lambda **sizes: sizes.get(size, sizes['base'])

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(  # t h w c
    base=(16, 64, 64, 3), paper=(16, 128, 128, 3), small=(8, 16, 16, 3),
    smoke=(4, 8, 8, 3),
  )  # fmt: skip
  config.batch_size = pick(base=32, paper=128, small=16, smoke=8)
  config.num_steps = pick(base=30_000, paper=200_000, small=1_500, smoke=4)

  config.data = dict(name='synthetic.world.source.World', label='direction')
  discs = dict(shape=('circle',), size=('large',), speed=('quickly',))
  config.data.only = pick(base={}, small=discs)  # Those of fsq_world.py.

  config.model = dict(
    name='families.autoencoding.tokenizer.Autoencoding',
    autoencoder=dict(
      name='models.magvit_vqgan.MagvitVQGAN',
      bottleneck=dict(
        name='nn.bottlenecks.quantize.' + pick(base='EMAVQ', paper='VQ'),
        num_codes=pick(base=1024, small=512, smoke=16),
        width=pick(base=64, paper=256, small=16, smoke=4),
      ),
      width=pick(base=32, paper=64, small=16, smoke=4),
      multipliers=pick(base=(1, 2, 2, 4), small=(1, 2), smoke=(1, 2)),
      halves_time=pick(base=(True, True, False), small=(True,), smoke=(True,)),
      num_blocks=pick(base=1, paper=2),
      dtype=pick(base='bfloat16', small='float32', smoke='float32'),
    ),
    critic=dict(video=dict(
      name='models.magvit_vqgan.Critic',
      width=pick(base=32, paper=64, small=8, smoke=4),
      multipliers=(2, 4, 4, 4, 4)[: pick(base=4, paper=5, small=3, smoke=2)],
    )),
    loss_kind='logistic',
    critic_weight=0.1,
    critic_start=pick(base=2_000, paper=10_000, small=1_000, smoke=2),
    r1_weight=10.0,
    lecam_weight=1e-3,
  )  # fmt: skip

  peak = pick(base=1e-4, small=1e-3, smoke=1e-4)
  warmup_steps = pick(base=500, small=50, smoke=1)
  schedule = dict(name='warmup_cosine', peak=peak, warmup_steps=warmup_steps)
  config.optim = dict(name='adam', b1=0.0, b2=0.99, schedule=schedule)
  if size == 'small':
    muon = dict(name='muon', adam_ratio=0.1, clip_norm=1.0)
    muon['schedule'] = dict(peak=0.02)
    config.optim.players = dict(autoencoder=muon)
  config.ema = dict(slow=dict(decay=0.999, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=8, small=16, smoke=2)
  config.log_every = pick(base=100, small=50, smoke=1)
  config.sample_every = pick(base=5_000, small=500, smoke=4)
  config.checkpoint_every = pick(base=5_000, small=500, smoke=2)
  return config
