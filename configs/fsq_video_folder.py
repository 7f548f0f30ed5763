"""A tokenizer of your own videos, for models over its codes.

  vgen train --config=fsq_video_folder \
      --workdir=runs/fsq_video_folder --config.data.folder=path/to/videos

Each patch of 2 frames of 4 x 4 pixels becomes one of 1,000 codes. Samples show
clips of the data above their reconstructions. configs/videogpt_video_folder.py
trains a model that generates new codes. `model.autoencoder` may be any other
tokenizer, such as those of magvit_vqgan_world.py and videogpt_vqvae_world.py.

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
  config.batch_size = pick(base=64, cpu=8, smoke=8)  # Clips, over all devices.
  config.num_steps = pick(base=50_000, cpu=1_500, smoke=4)

  config.data = dict(
    name='data.files.video_folder.VideoFolder',
    folder='videos',
    frames_per_second=8.0,  # Files of other rates are resampled.
  )

  config.model = dict(
    name='families.autoencoding.tokenizer.Autoencoding',
    autoencoder=dict(
      name='models.patch_tokenizer.PatchTokenizer',
      bottleneck=dict(
        name='nn.bottlenecks.lookup_free.FSQ', levels=(8, 5, 5, 5)
      ),
      patch_size=(2, 4, 4),  # Frames, rows, columns.
      width=pick(base=512, cpu=128, smoke=16),
      dtype=pick(base='bfloat16', cpu='float32', smoke='float32'),
    ),
    reconstruction='l1',
  )

  config.optim = dict(
    name='adam',
    schedule=dict(
      name='warmup_cosine',
      peak=pick(base=5e-4, cpu=3e-3, smoke=3e-3),
      warmup_steps=pick(base=1_000, cpu=50, smoke=1),
    ),
    clip_norm=1.0,
  )
  decay = pick(base=0.999, cpu=0.99, smoke=0.9)
  config.ema = dict(slow=dict(decay=decay, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=8, smoke=2)
  config.log_every = pick(base=100, cpu=50, smoke=1)
  config.sample_every = pick(base=5_000, cpu=500, smoke=4)
  config.checkpoint_every = pick(base=5_000, cpu=500, smoke=2)
  return config
