"""Notebooks run from top to bottom, and show what they promise."""

import json
import pathlib

from IPython import display
from IPython.core import inputtransformer2
import pytest

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / 'colab').glob('*.ipynb'))


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
  names: dict = {}
  exec(code.replace('/tmp/vgen_jax', str(tmp_path)), names)
  html = ''.join(getattr(item, 'data', '') or '' for item in shown)
  assert html.count('<video') >= 16, 'Clips are to be seen: 8 drawn, 8 real.'
  assert names['again'].sample(2).shape == names['video'][:2].shape


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_is_committed_without_outputs(path: pathlib.Path):
  cells = json.loads(path.read_text())['cells']
  assert not [c for c in cells if c.get('outputs') or c.get('execution_count')]
