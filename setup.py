"""Packaging of vgen_jax.

The versions of JAX, Flax and Orbax are restricted to those that are tested; the
other bounds are looser, so that the package fits into existing environments.
TensorFlow and PyTorch are installed only by the extras `tf` and `parity`.
"""

import pathlib
import re

import setuptools

_ROOT = pathlib.Path(__file__).parent
_README = _ROOT / 'README.md'
_VERSION = re.search(
  r"__version__ = '(.*)'", (_ROOT / 'vgen_jax/__init__.py').read_text()
).group(1)

_REQUIRED = [
  'absl-py>=2.3.1',
  'av>=17.1',  # Contains FFmpeg. Version 17.0 crashes when files are opened.
  'chex>=0.1.92',
  'einops>=0.8',
  'etils[epath]>=1.13',
  'flax>=0.12.8,<0.13',
  'grain>=0.2.18',
  'importlib_resources>=6.5',  # Needed by tensorflow-datasets.
  'jax>=0.10.2,<0.12',
  'matplotlib>=3.10',
  'mediapy>=1.2.4',
  'ml-collections>=1.1',
  'numpy>=2.1',
  'optax>=0.2.8',
  'orbax-checkpoint>=0.12.8,<0.13',
  'pillow>=11',
  'scikit-learn>=1.7',  # Contains the handwritten digits.
  'scipy>=1.15',
  'tensorboardX>=2.6.4',
  'tensorflow-datasets>=4.9.10',
  'tqdm>=4.67',
]

_EXTRAS = {
  'cuda': ['jax[cuda12]'],
  'tpu': ['jax[tpu]'],
  'gcs': ['gcsfs', 'google-cloud-storage'],  # For workdirs in gs://.
  'tf': ['tensorflow'],  # To build those TFDS datasets that need it.
  # To prepare datasets on many machines. Beam restricts these versions, so
  # install it in a separate environment.
  'beam': ['apache-beam>=2.77', 'protobuf<7', 'pyarrow<26'],
  'text': ['sentencepiece>=0.2'],  # To read T5's vocabulary.
  'wandb': ['wandb'],
  # To recompute the reference outputs of metric networks, and to run their
  # slow tests against PyTorch. Nothing else needs it.
  'parity': ['torch==2.13.0'],
  'dev': [
    'imageio-ffmpeg>=0.6',  # Used by mediapy to show clips.
    'ipython>=9',  # Runs the notebooks.
    'mkdocs>=1.6,<2',
    'mkdocs-material>=9.8,<10',
    'mkdocstrings[python]>=1.0,<2',
    'portpicker',
    'pre-commit>=4',
    'pytest>=8.4',
    'pytest-xdist>=3.8',
    'ruff>=0.15,<0.18',  # The format changes between versions.
    'selenium>=4.40',  # Opens reports in Chromium, if it is installed.
    'sk-video>=1.1.10',
    'ty==0.0.108',  # Rules change between versions.
  ],
}

setuptools.setup(
  name='vgen_jax',
  version=_VERSION,
  description='Video generation in JAX: VAEs, GANs, autoregression, diffusion.',
  long_description=_README.read_text() if _README.exists() else '',
  long_description_content_type='text/markdown',
  license='Apache-2.0',
  python_requires='>=3.11',
  # Configs and experiments are installed within the package, where
  # vgen_jax/config/shipped.py finds them by name.
  packages=[
    *setuptools.find_packages(include=['vgen_jax', 'vgen_jax.*']),
    'vgen_jax.configs',
    'vgen_jax.experiments',
  ],
  package_dir={
    'vgen_jax.configs': 'configs',
    'vgen_jax.experiments': 'experiments',
  },
  package_data={
    'vgen_jax': ['py.typed'],
    'vgen_jax.evaluation.report': ['*.html', '*.css', '*.js'],
  },
  install_requires=_REQUIRED,
  extras_require=_EXTRAS,
  entry_points={'console_scripts': ['vgen=vgen_jax.cli.main:main']},
)
