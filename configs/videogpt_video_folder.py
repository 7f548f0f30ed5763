"""VideoGPT on a folder of your own videos: it predicts codes in order.

  vgen train --config=fsq_video_folder \
      --workdir=runs/fsq_video_folder --config.data.folder=path/to/videos
  vgen train --config=videogpt_video_folder --workdir=runs/mine \
      --config.data.folder=path/to/videos

The second run uses the tokenizer of the first. Subfolders are classes.

Sizes: `base`, for one accelerator; `cpu`, for two cores; `smoke`, for tests.
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
  config.batch_size = pick(base=32, cpu=8, smoke=8)  # Clips, over all devices.
  config.num_steps = pick(base=100_000, cpu=1_500, smoke=4)

  config.data = dict(
    name='data.files.video_folder.VideoFolder',
    folder='videos',
    frames_per_second=8.0,  # Files of other rates are resampled.
  )

  config.model = dict(
    name='families.latent.Latent',
    prior=dict(
      name='families.codes.autoregressive.Autoregressive',
      transformer=dict(
        name='models.videogpt.VideoGPT',
        num_codes=1_000,
        width=pick(base=768, cpu=128, smoke=16),
        depth=pick(base=12, cpu=4, smoke=2),
        num_heads=pick(base=12, cpu=4, smoke=2),
        dropout=pick(base=0.2, cpu=0.0, smoke=0.0),
        dtype=pick(base='bfloat16', cpu='float32', smoke='float32'),
      ),
      class_dropout=0.1,
    ),
  )
  # The tokenizer is that of this run, which must be trained first.
  config.frozen = dict(autoencoder='runs/fsq_video_folder')

  config.optim = dict(
    name='muon',
    schedule=dict(
      name='warmup_cosine',
      peak=pick(base=5e-3, cpu=0.02, smoke=0.02),
      warmup_steps=pick(base=2_000, cpu=50, smoke=1),
    ),
    adam_ratio=0.1,
    weight_decay=0.01,
    clip_norm=1.0,
  )
  decay = pick(base=0.9999, cpu=0.99, smoke=0.9)
  config.ema = dict(slow=dict(decay=decay, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=8, smoke=2)
  config.log_every = pick(base=100, cpu=50, smoke=1)
  config.sample_every = pick(base=5_000, cpu=500, smoke=4)
  config.checkpoint_every = pick(base=5_000, cpu=250, smoke=2)
  return config
