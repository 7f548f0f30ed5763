"""SAVP, a VAE and a GAN in one, on a folder of your own videos.

  vgen train --config=savp_video_folder --workdir=runs/mine \
      --config.data.folder=path/to/videos
  vgen sample --workdir=runs/mine --video=path/to/film.mp4

The model continues a clip by moving its pixels, and each sample is another
continuation. `--config.model.variant=vae` trains without critics.

Sizes: `base`, for one accelerator; `cpu`, for a first experiment with a few
videos on two CPU cores; `smoke`, for tests.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'cpu', 'smoke')
NEEDS_ACCELERATOR = ('base',)


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of `size` 'base', 'cpu' or 'smoke'."""
  pick = lambda **sizes: {'cpu': sizes['base'], **sizes}[size]
  critic = dict(
    name='models.conv_critic.ConvCritic',
    view=pick(base='clip', smoke='frames'),
    width=pick(base=32, cpu=16, smoke=2),
    norm='spectral',
  )

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(  # t h w c
    base=(16, 64, 64, 3), cpu=(8, 32, 32, 3), smoke=(4, 8, 8, 3)
  )
  config.batch_size = pick(base=16, cpu=8, smoke=8)  # Over all devices.
  config.num_steps = pick(base=200_000, cpu=1_000, smoke=4)

  config.data = dict(
    name='data.files.video_folder.VideoFolder',
    folder='videos',
    frames_per_second=8.0,  # Files of other rates are resampled.
  )

  config.model = dict(
    name='families.prediction.adversarial.Adversarial',
    predictor=dict(
      name='models.savp.SAVP',
      latent_width=pick(base=8, cpu=4, smoke=2),
      width=pick(base=32, cpu=16, smoke=4),
      num_levels=pick(base=3, cpu=2, smoke=1),
      kernel_size=pick(base=5, smoke=3),
      posterior_widths=pick(base=(64, 128, 256), cpu=(32, 64), smoke=(4,)),
    ),
    critic=dict(prior=critic, posterior=critic),
    num_context=pick(base=4, cpu=3, smoke=1),  # Frames.
    error=pick(base='l1', cpu='l2', smoke='l1'),
    # Of pixels in [-1, 1], twice the error of pixels in [0, 1].
    error_weight=50.0,
    # Small first, so that latents are used; see savp_two_futures.py.
    beta_initial=pick(base=0.0, cpu=0.01, smoke=0.0),
    beta=pick(base=1.0, cpu=0.1, smoke=1.0),
    beta_start=pick(base=30_000, cpu=500, smoke=0),
    beta_warmup=pick(base=30_000, cpu=250, smoke=2),
    scheduled_sampling=pick(base=900.0, cpu=100.0, smoke=1.0),
  )

  peak = pick(base=2e-4, cpu=1e-3, smoke=2e-4)
  schedule = dict(name='constant', peak=peak)
  config.optim = dict(name='adam', schedule=schedule, b1=0.5, b2=0.999)
  decay = pick(base=0.9999, cpu=0.99, smoke=0.9)
  config.ema = dict(slow=dict(decay=decay, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=8, smoke=2)
  config.log_every = pick(base=100, cpu=50, smoke=1)
  config.sample_every = pick(base=5_000, cpu=500, smoke=4)
  config.checkpoint_every = pick(base=5_000, cpu=500, smoke=2)
  return config
