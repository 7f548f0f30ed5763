"""A causal video autoencoder with 16 channels per 4 x 8 x 8 pixels.

  vgen train --config=causal_vae_world --workdir=runs/causal_vae

The data are the synthetic dataset with one moving object. Layers, losses and
their weights are those of large video models: critics of frames and of clips
that start late in training, and a small weight of the divergence, which keeps
latents near N(0, 1). But the reconstruction loss is squared: the optimum of an
absolute loss is the median, in which a small object on a dark background
disappears. Samples show clips of the data above their reconstructions.

Sizes: `base`, for one accelerator; `cpu`, 4 x 4 x 4 and smaller frames, for two
CPU cores; `smoke`, for tests.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'cpu', 'smoke')
NEEDS_ACCELERATOR = ('base',)


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of `size` 'base', 'cpu' or 'smoke'."""
  pick = lambda **sizes: {'cpu': sizes['base'], **sizes}[size]
  critic_width = pick(base=32, cpu=8, smoke=4)

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(  # t h w c; t is 1 + 4 * k.
    base=(17, 64, 64, 3), cpu=(9, 16, 16, 3), smoke=(5, 8, 8, 3)
  )
  config.batch_size = pick(base=32, cpu=16, smoke=8)  # Clips, over all devices.
  config.num_steps = pick(base=50_000, cpu=2_000, smoke=4)

  config.data = dict(name='synthetic.world.source.World', label=None)

  config.model = dict(
    name='families.autoencoding.tokenizer.Autoencoding',
    autoencoder=dict(
      name='models.vae3d.VAE3D',
      bottleneck=dict(
        name='nn.bottlenecks.gaussian.Gaussian',
        width=pick(base=16, cpu=8, smoke=2),
      ),
      width=pick(base=64, cpu=16, smoke=4),
      multipliers=pick(base=(1, 2, 4, 4), cpu=(1, 2, 2), smoke=(1, 1)),
      halves_time=pick(
        base=(False, True, True), cpu=(True,) * 2, smoke=(True,)
      ),
      num_blocks=pick(base=2, cpu=0, smoke=0),
      dtype=pick(base='bfloat16', cpu='float32', smoke='float32'),
    ),
    reconstruction='l2',
    bottleneck_weight=1e-6,  # Weight of the divergence in nats per clip.
    critic=dict(
      image=dict(name='models.mocogan.ImageCritic', width=critic_width),
      video=dict(name='models.mocogan.VideoCritic', width=critic_width),
    ),
    critic_weight=0.1,
    critic_start=pick(base=10_000, cpu=1_400, smoke=2),  # Steps.
    r1_weight=0.1,
  )

  config.optim = dict(
    name='adam',
    schedule=dict(
      name='warmup_cosine',
      peak=pick(base=2e-4, cpu=2e-3, smoke=2e-3),
      warmup_steps=pick(base=1_000, cpu=50, smoke=1),
    ),
    clip_norm=1.0,
  )
  config.ema = dict(slow=dict(decay=0.999, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=8, smoke=2)
  config.log_every = pick(base=100, cpu=50, smoke=1)
  config.sample_every = pick(base=5_000, cpu=2_000, smoke=4)
  config.checkpoint_every = pick(base=5_000, cpu=500, smoke=2)
  return config
