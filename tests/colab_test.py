"""Tests that notebooks run from top to bottom and show the right results."""

import json
import pathlib

from IPython import display
from IPython.core import inputtransformer2
import jax
from ml_collections import ConfigDict
import pytest

from vgen_jax.config import loading as config_lib

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / 'colab').glob('*.ipynb'))


def small() -> ConfigDict:
  """Returns the demo with a network that compiles in less time."""
  config = config_lib.load('demo:smoke')
  config.unlock()
  config.model.denoiser = dict(
    name='models.dit.VideoDiT',
    width=8,
    depth=1,
    num_heads=1,
    patch_size=(2, 4, 4),
    attention='full',
  )
  config.optim = dict(name='sgd', schedule=dict(name='constant', peak=0.01))
  return config


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs(path: pathlib.Path, tmp_path, monkeypatch):
  monkeypatch.chdir(ROOT)
  shown = []
  monkeypatch.setattr(display, 'display', shown.append)
  cells = json.loads(path.read_text())['cells']
  code = '\n'.join(
    ''.join(cell['source']) for cell in cells if cell['cell_type'] == 'code'
  )
  code = inputtransformer2.TransformerManager().transform_cell(code)
  full = "config_lib.load('demo')"
  assert full in code  # The full size, whose clips are learned.
  code = code.replace(full, 'small()')
  names: dict = {'small': small}
  exec(code.replace('/tmp/vgen_jax', str(tmp_path)), names)
  assert names['run']._setup.mesh.size == jax.device_count()
  html = ''.join(getattr(item, 'data', '') or '' for item in shown)
  assert html.count('<video') >= 16, (
    'The page shows 8 generated and 8 real clips.'
  )
  assert names['again'].sample(2).shape == names['video'][:2].shape


def installation() -> dict:
  """Returns the functions of the cell that installs the package."""
  cells = json.loads((ROOT / 'colab/quickstart.ipynb').read_text())['cells']
  names: dict = {}
  exec(''.join(cells[1]['source']), names)
  return names


@pytest.mark.parametrize(
  ('has_nvidia', 'has_tpu', 'installed', 'wanted'),
  [
    (False, False, {'jax': '1'}, ''),
    (True, False, {'jax': '1', 'jax-cuda12-plugin': '1'}, ''),
    (True, False, {'jax': '1'}, '[cuda]'),
    (False, True, {'jax': '1', 'libtpu': '1'}, ''),
    (False, True, {}, '[tpu]'),
  ],
)
def test_the_extra_fits_the_runtime(has_nvidia, has_tpu, installed, wanted):
  assert installation()['extra'](has_nvidia, has_tpu, installed.get) == wanted


def test_the_jax_of_the_runtime_is_kept():
  constraints = installation()['constraints']
  assert constraints({'jax': '0.10.2', 'jaxlib': '0.10.1'}.get) == [
    'jax==0.10.2', 'jaxlib==0.10.1',
  ]  # fmt: skip
  assert constraints({}.get) == []


def test_nothing_is_asked():
  text = (ROOT / 'colab/quickstart.ipynb').read_text()
  assert 'input(' not in text
  assert "'mesh" not in text


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_is_committed_without_outputs(path: pathlib.Path):
  cells = json.loads(path.read_text())['cells']
  assert not [c for c in cells if c.get('outputs') or c.get('execution_count')]
