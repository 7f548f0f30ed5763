"""SAVP, a VAE and a GAN in one, on clips whose past has two futures.

  vgen train --config=savp_two_futures --workdir=runs/savp

The data are those of `svg_two_futures.py`. `--config.model.variant=vae` and
`=gan` train the two ablations of the paper. With
`--config.data.name=synthetic.actions.source.Actions` the predictor also reads
actions.

Sizes: `base`, for one accelerator; `small`, for a CPU (a step takes about a
second on one core); `smoke`, for tests; `paper`, with the layers and the
optimizer of the paper, for comparison.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'paper', 'small', 'smoke')
NEEDS_ACCELERATOR = ('base', 'paper')


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of a `size` in SIZES."""
  pick = lambda **sizes: {'paper': sizes['base'], **sizes}[size]
  critic = dict(
    name='models.conv_critic.ConvCritic',
    view=pick(base='clip', small='clip', smoke='frames'),
    width=pick(base=32, small=16, smoke=2),
    norm='spectral',
  )

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(  # t h w c
    base=(16, 64, 64, 3), small=(8, 16, 16, 3), smoke=(4, 16, 16, 3)
  )
  config.batch_size = pick(base=16, small=16, smoke=8)  # Over all devices.
  config.num_steps = pick(base=100_000, small=3_000, smoke=4, paper=300_000)

  config.data = dict(name='synthetic.two_futures.source.TwoFutures')

  config.model = dict(
    name='families.prediction.adversarial.Adversarial',
    predictor=dict(
      name='models.savp.SAVP',
      latent_width=pick(base=8, small=4, smoke=2),
      width=pick(base=32, small=16, smoke=4),
      num_levels=pick(base=3, small=2, smoke=1),
      kernel_size=pick(base=5, small=5, smoke=3),
      posterior_widths=pick(base=(64, 128, 256), small=(32, 64), smoke=(4,)),
    ),
    critic=dict(prior=critic, posterior=critic),
    num_context=pick(base=6, small=3, smoke=1),  # Frames before the fork.
    error=pick(base='l1', small='l2', smoke='l1'),
    # Of pixels in [-1, 1], twice the error of the paper's pixels in [0, 1].
    error_weight=50.0,
    # With a weight of 0 latents were not used in 1,500 steps; with 0.01 they
    # were used after about 500, and after 950 without critics.
    beta_initial=pick(base=0.0, small=0.01, smoke=0.0),
    beta=pick(base=1.0, small=0.3, smoke=1.0),
    beta_start=pick(base=16_000, small=1_500, smoke=0, paper=50_000),
    beta_warmup=pick(base=16_000, small=500, smoke=2, paper=50_000),
    scheduled_sampling=pick(base=900.0, small=100.0, smoke=1.0),
  )

  config.optim = dict(
    name='adam',
    schedule=dict(
      name='constant', peak=pick(base=2e-4, small=1e-3, smoke=2e-4)
    ),
    b1=0.5,
    b2=0.999,
  )
  config.ema = dict(fast=dict(decay=0.99, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=16, small=16, smoke=2)
  config.log_every = pick(base=100, small=50, smoke=1)
  config.sample_every = pick(base=5_000, small=1_000, smoke=4)
  config.checkpoint_every = pick(base=5_000, small=500, smoke=2)
  return config
