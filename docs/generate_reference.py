"""Generates the reference pages of the documentation from the code.

mkdocs calls `on_files`; see `hooks` in mkdocs.yml. The pages are not stored.
"""

import argparse
import importlib
import pathlib
import pkgutil

from mkdocs.structure.files import File

_ROOT = pathlib.Path(__file__).parents[1]
_PACKAGE = 'vgen_jax'


def on_files(files, config):
  """Adds the generated pages to the site."""
  pages = {
    'reference/config.md': config_page(),
    'reference/commands.md': commands_page(),
    'reference/metrics.md': metrics_page(),
    'reference/conditions.md': conditions_page(),
    **api_pages(),
  }
  for uri, content in pages.items():
    files.append(File.generated(config, uri, content=content))
  return files


def config_page() -> str:
  """Returns the table of all config fields, from config/settings.py."""
  settings = importlib.import_module(f'{_PACKAGE}.config.settings')
  fields = importlib.import_module(f'{_PACKAGE}.core.fields')
  lines = [
    '# Config fields',
    '',
    'A field that is not listed here is an error. Set a field with'
    ' `--config.FIELD=VALUE`. The column *resume* states whether a field may'
    ' change when a run is resumed.',
    '',
    '| field | default | unit | allowed | resume | meaning |',
    '|---|---|---|---|---|---|',
  ]
  for x in fields.table(settings.Settings):
    default = f'`{x.default}`' if x.default else 'required'
    cells = (default, x.unit, x.allowed, x.on_resume, x.description)
    lines.append(f'| `{x.path}` | ' + ' | '.join(map(_cell, cells)) + ' |')
  return '\n'.join(lines) + '\n'


def commands_page() -> str:
  """Returns the help text and the flags of every command."""
  lines = ['# Commands', '']
  names = sorted(
    module.name
    for module in pkgutil.iter_modules([str(_ROOT / _PACKAGE / 'cli')])
  )
  for name in names:
    module = importlib.import_module(f'{_PACKAGE}.cli.{name}')
    if not all(hasattr(module, x) for x in ('add_arguments', 'run')):
      continue
    parser = argparse.ArgumentParser(add_help=False)
    module.add_arguments(parser)
    title = f'vgen {name.replace("_", " ", 1)}'
    lines += [f'## {title}', '', '```text', module.__doc__.strip(), '```', '']
    actions = [a for a in parser._actions if a.help != argparse.SUPPRESS]
    if actions:
      lines += ['| flag | default | meaning |', '|---|---|---|']
    for action in actions:
      flag = action.option_strings[0] if action.option_strings else action.dest
      default = '' if action.default is None else f'`{action.default}`'
      meaning = _cell((action.help or '').replace('%%', '%'))
      lines.append(f'| `{flag}` | {default} | {meaning} |')
    lines.append('')
  return '\n'.join(lines)


def metrics_page() -> str:
  """Returns a table of all metrics and what each one needs."""
  registry = importlib.import_module(f'{_PACKAGE}.evaluation.metrics.registry')
  lines = [
    '# Metrics',
    '',
    'Names for `vgen evaluate --metrics`; `all` computes every metric that fits'
    ' the run.',
    '',
    '| metric | what it computes | clips that it compares | datasets |',
    '|---|---|---|---|',
  ]
  for name, kind in registry.classes().items():
    names = [name, *(f'{name}-{protocol}' for protocol in kind.protocols)]
    if kind.for_reconstructions:
      names.append(f'r{name}')
    defined = [f'`{k}`: {text}' for k, text in kind.definitions.items()]
    cells = (
      ', '.join(f'`{each}`' for each in names),
      _cell(' '.join([kind.__doc__.splitlines()[0], *defined])),
      ', '.join(kind.sources),
      ', '.join(f'`{cls.__name__}`' for cls in kind.datasets) or 'any',
    )
    lines.append(f'| {" | ".join(cells)} |')
  return '\n'.join(lines) + '\n'


def conditions_page() -> str:
  """Returns the table of all conditions, from core/modalities.py."""
  modalities = importlib.import_module(f'{_PACKAGE}.core.modalities')
  lines = [
    '# Conditions',
    '',
    'Every condition is a row of `core/modalities.py`. The shape has one letter'
    ' per axis: b clips, t frames, h rows, w columns, c channels, n tokens or'
    ' clips.',
    '',
    '| key | kind | dtype | shape | mask | size | the sampler takes it from |',
    '|---|---|---|---|---|---|---|',
  ]
  origins = {
    'choice': 'the user, or all values in order',
    'data': 'a clip of the data',
    'target': 'the known part of the clip to generate',
  }
  for row in modalities.TABLE:
    cells = (
      f'`{row.key}`',
      row.kind,
      row.dtype,
      f'[{", ".join(row.axes)}]',
      row.mask and f'`{row.mask}`',
      row.size and f'`{row.size}`',
      origins[row.origin],
    )
    lines.append(f'| {" | ".join(cells)} |')
  return '\n'.join(lines) + '\n'


def api_pages() -> dict[str, str]:
  """Returns a page for each package, with all its modules."""
  pages, index = {}, ['# Python API', '']
  for package in pkgutil.iter_modules([str(_ROOT / _PACKAGE)]):
    if not package.ispkg or package.name == 'cli':
      continue
    summary = _summary(_ROOT / _PACKAGE / package.name / '__init__.py')
    index.append(
      f'- [`{_PACKAGE}.{package.name}`]({package.name}.md): {summary}'
    )
    lines = [f'# {_PACKAGE}.{package.name}', '', summary, '']
    folder = _ROOT / _PACKAGE / package.name
    for path in sorted(folder.rglob('*.py')):
      parts = path.relative_to(_ROOT).with_suffix('').parts
      if parts[-1] != '__init__':
        lines += [f'## {".".join(parts[1:])}', '', f'::: {".".join(parts)}', '']
    pages[f'reference/api/{package.name}.md'] = '\n'.join(lines)
  pages['reference/api/index.md'] = '\n'.join(index) + '\n'
  return pages


def _summary(path: pathlib.Path) -> str:
  return path.read_text().strip().strip('"').splitlines()[0]


def _cell(text: str) -> str:
  return text.replace('|', '\\|').replace('\n', ' ')
