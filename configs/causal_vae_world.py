"""A causal video autoencoder with 16 channels per 4 x 8 x 8 pixels.

  vgen train --config=causal_vae_world --workdir=runs/causal_vae

Layers, losses and their weights are those of large video models: critics of
frames and of clips that start late in training, and a small weight of the
divergence, which keeps latents near N(0, 1). But the reconstruction loss is
squared: the optimum of an absolute loss is the median, in which a small object
on a dark background disappears. Samples show clips above their reconstructions.

Sizes: `base`, for one accelerator; `small`, one latent for 4 x 4 x 4 pixels and
discs only, for a CPU core; `smoke`, for tests.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'small', 'smoke')
NEEDS_ACCELERATOR = ('base',)


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of `size` 'base', 'small' or 'smoke'."""
  pick = lambda **sizes: sizes.get(size, sizes['base'])
  critic_width = pick(base=32, small=8, smoke=4)

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(  # t h w c; t is 1 + 4 * k.
    base=(17, 64, 64, 3), small=(17, 32, 32, 3), smoke=(5, 8, 8, 3)
  )
  config.batch_size = pick(base=32, small=4, smoke=8)  # Over all devices.
  config.num_steps = pick(base=50_000, small=1_500, smoke=4)

  config.data = dict(name='synthetic.world.source.World', label='direction')
  discs = dict(shape=('circle',), size=('large',), speed=('quickly',))
  config.data.only = pick(base={}, small=discs)

  config.model = dict(
    name='families.autoencoding.tokenizer.Autoencoding',
    autoencoder=dict(
      name='models.vae3d.VAE3D',
      bottleneck=dict(
        name='nn.bottlenecks.gaussian.Gaussian',
        width=pick(base=16, small=8, smoke=2),
      ),
      width=pick(base=64, small=16, smoke=4),
      multipliers=pick(base=(1, 2, 4, 4), small=(1, 2, 2), smoke=(1, 1)),
      halves_time=pick(
        base=(False, True, True), small=(True,) * 2, smoke=(True,)
      ),
      num_blocks=pick(base=2, small=1, smoke=0),
      dtype=pick(base='bfloat16', small='float32', smoke='float32'),
    ),
    reconstruction='l2',
    bottleneck_weight=1e-6,  # Weight of the divergence in nats per clip.
    critic=dict(
      image=dict(name='models.mocogan.ImageCritic', width=critic_width),
      video=dict(name='models.mocogan.VideoCritic', width=critic_width),
    ),
    critic_weight=0.1,
    critic_start=pick(base=10_000, small=1_400, smoke=2),  # Steps.
    r1_weight=0.1,
  )

  peak = pick(base=2e-4, small=2e-3, smoke=2e-3)
  warmup_steps = pick(base=1_000, small=50, smoke=1)
  schedule = dict(name='warmup_cosine', peak=peak, warmup_steps=warmup_steps)
  config.optim = dict(name='adam', schedule=schedule, clip_norm=1.0)
  if size == 'small':
    muon = dict(name='muon', adam_ratio=0.1, clip_norm=1.0)
    muon['schedule'] = dict(peak=0.02)
    config.optim.players = dict(autoencoder=muon)
  config.ema = dict(slow=dict(decay=0.999, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=8, smoke=2)
  config.log_every = pick(base=100, small=50, smoke=1)
  config.sample_every = pick(base=5_000, small=1_500, smoke=4)
  config.checkpoint_every = pick(base=5_000, small=500, smoke=2)
  return config
