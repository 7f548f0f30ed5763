"""A variational autoencoder of whole clips that trains in minutes on a laptop.

  vgen train --config=vae_world --workdir=runs/vae_world

A latent of 6 numbers represents a clip of 8 frames of 16 x 16 pixels: the
start, the direction and the colour of a disc. A run of `base` reconstructed
clips at 28.7 dB; 55 % of its samples were single discs with valid motion, but
with mixed colours. In the size `small`, slow discs move in four directions and
meet no walls, and the prior is a learned mixture of normal distributions:
samples of N(0, 1) mix colours and directions (experiments/zoo/autoencoders.md).

Sizes: `base` and `small`, for two CPU cores; `smoke`, for tests.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'small', 'smoke')


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of a `size` in SIZES."""
  pick = lambda **sizes: sizes.get(size, sizes['base'])

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(base=(8, 16, 16, 3), smoke=(4, 8, 8, 3))  # t h w c
  config.batch_size = pick(base=32, smoke=8)  # Clips, over all devices.
  config.num_steps = pick(base=6_000, small=4_000, smoke=4)

  four = ('right', 'down', 'left', 'up')
  config.data = dict(
    name='synthetic.world.source.World',
    label=None,
    only=dict(shape=('circle',), size=('large',), speed=('quickly',)),
  )
  if size == 'small':
    config.data.only.update(speed=('slowly',), direction=four)
    config.data.meets_walls = False

  config.model = dict(
    name='families.autoencoding.vae.VAE',
    autoencoder=dict(
      name='models.conv_vae.ClipVAE',
      bottleneck=dict(
        name='nn.bottlenecks.gaussian.Gaussian', width=pick(base=6, smoke=4)
      ),
      widths=pick(base=(16, 32, 64), smoke=(4, 8, 16)),
      dense_widths=pick(base=(512, 512), smoke=(16,)),
      time_strides=(1, 2, 2),
    ),
    # With a smaller scale, samples of N(0, 1) fall between posteriors of clips.
    likelihood=dict(
      name='families.autoencoding.likelihoods.Gaussian',
      scale=pick(base=0.6, small=0.3),
    ),
    beta_warmup=pick(base=200, smoke=2),  # Steps.
  )
  if size != 'base':
    config.model.prior = dict(
      name='nn.bottlenecks.priors.Mixture', num_components=256, scale=0.3
    )

  config.optim = dict(
    name='adam',
    schedule=dict(
      name='warmup_cosine', peak=2e-3, warmup_steps=pick(base=50, smoke=1)
    ),
    clip_norm=1.0,
  )
  if size != 'base':
    config.optim.players = dict(prior=dict(schedule=dict(peak=5e-3)))
  config.ema = dict(fast=dict(decay=0.99, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=64, smoke=2)
  config.log_every = pick(base=50, smoke=1)
  config.sample_every = pick(base=3_000, smoke=4)
  config.checkpoint_every = pick(base=500, smoke=2)
  return config
