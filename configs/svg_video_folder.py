"""SVG with a learned prior, on a folder of your own videos.

  vgen train --config=svg_video_folder --workdir=runs/mine \
      --config.data.folder=path/to/videos
  vgen sample --workdir=runs/mine --video=path/to/film.mp4

The model continues the first frames of a clip, and each sample is another
possible continuation. Videos may have any size and frame rate. Those that are
shorter than a clip are an error, unless `--config.data.short=loop` is set.
`--config.model.predictor.prior=fixed` trains SVG-FP.

Sizes: `base`, for one accelerator; `cpu`, for a first experiment with a few
videos on two CPU cores; `smoke`, for tests.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'cpu', 'smoke')
NEEDS_ACCELERATOR = ('base',)


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of `size` 'base', 'cpu' or 'smoke'."""
  pick = lambda **sizes: {'cpu': sizes['base'], **sizes}[size]

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(  # t h w c
    base=(16, 64, 64, 3), cpu=(8, 32, 32, 3), smoke=(4, 8, 8, 3)
  )
  config.batch_size = pick(base=64, cpu=16, smoke=8)  # Over all devices.
  config.num_steps = pick(base=100_000, cpu=1_500, smoke=4)

  config.data = dict(
    name='data.files.video_folder.VideoFolder',
    folder='videos',
    frames_per_second=8.0,  # Files of other rates are resampled.
  )

  config.model = dict(
    name='families.prediction.stochastic.Stochastic',
    predictor=dict(
      name='models.svg.SVG',
      prior='learned',
      latent_width=pick(base=24, cpu=8, smoke=2),
      width=pick(base=64, cpu=16, smoke=2),
      code_width=pick(base=128, cpu=64, smoke=4),
      hidden_width=pick(base=256, cpu=128, smoke=4),
      norm=pick(base='group', smoke='none'),
    ),
    num_context=pick(base=6, cpu=3, smoke=1),  # Frames.
    beta=4e-4,
  )

  config.optim = dict(
    name='adam',
    schedule=dict(
      name='warmup_cosine',
      peak=pick(base=1e-3, cpu=2e-3, smoke=2e-3),
      warmup_steps=pick(base=1_000, cpu=50, smoke=1),
    ),
    clip_norm=1.0,
  )
  decay = pick(base=0.9999, cpu=0.99, smoke=0.9)
  config.ema = dict(slow=dict(decay=decay, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=8, smoke=2)
  config.log_every = pick(base=100, cpu=50, smoke=1)
  config.sample_every = pick(base=5_000, cpu=500, smoke=4)
  config.checkpoint_every = pick(base=5_000, cpu=500, smoke=2)
  return config
