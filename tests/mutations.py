"""Changes of one expression or statement of a Python file."""

import ast
from collections.abc import Iterator
import copy
import dataclasses
import pathlib
import re

_SWAPS = {
  ast.Add: ast.Sub,
  ast.Sub: ast.Add,
  ast.Mult: ast.Add,
  ast.Div: ast.Mult,
  ast.FloorDiv: ast.Mult,
  ast.Mod: ast.FloorDiv,
  ast.Pow: ast.Mult,
  ast.MatMult: ast.Mult,
  ast.BitAnd: ast.BitOr,
  ast.BitOr: ast.BitAnd,
  ast.Lt: ast.LtE,
  ast.LtE: ast.Lt,
  ast.Gt: ast.GtE,
  ast.GtE: ast.Gt,
  ast.Eq: ast.NotEq,
  ast.NotEq: ast.Eq,
  ast.In: ast.NotIn,
  ast.NotIn: ast.In,
  ast.Is: ast.IsNot,
  ast.IsNot: ast.Is,
  ast.And: ast.Or,
  ast.Or: ast.And,
}


@dataclasses.dataclass(frozen=True)
class Mutant:
  """One change of one file.

  Attributes:
    path: File, relative to the repository.
    line: Number of the line, from 1.
    before: Source of the statement or expression before the change.
    after: The same after it.
    source: Source of the whole file after the change.
  """

  path: str
  line: int
  before: str
  after: str
  source: str

  @property
  def name(self) -> str:
    return f'{self.path}:{self.line}: {self.before} -> {self.after}'


def mutants_of(path: pathlib.Path, root: pathlib.Path) -> Iterator[Mutant]:
  """Yields all mutants of a file."""
  text = path.read_text()
  tree = ast.parse(text)
  skipped = _skipped(tree)
  for parent in ast.walk(tree):
    for field, value in ast.iter_fields(parent):
      nodes = value if isinstance(value, list) else [value]
      for i, node in enumerate(nodes):
        if not isinstance(node, ast.expr | ast.stmt) or id(node) in skipped:
          continue
        for new in _changes(node):
          if not isinstance(value, list):
            changed = _with(text, node, new)
          elif isinstance(new, ast.Pass) or isinstance(node, ast.expr):
            changed = _with(text, value[i], new)
          yield Mutant(
            str(path.relative_to(root)),
            node.lineno,
            _short(ast.get_source_segment(text, node) or field),
            _short(ast.unparse(new)),
            changed,
          )


def _changes(node: ast.AST) -> Iterator[ast.AST]:
  """Yields changed versions of an expression or a statement."""
  new = copy.copy(node)
  match node:
    case ast.BinOp(op=op) | ast.BoolOp(op=op) if type(op) in _SWAPS:
      new.op = _SWAPS[type(op)]()
      yield new
    case ast.Compare(ops=[op]) if type(op) in _SWAPS:
      new.ops = [_SWAPS[type(op)]()]
      yield new
    case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert()):
      yield node.operand
    case ast.Constant(value=bool(value)):
      yield ast.Constant(not value)
    case ast.Constant(value=int(value)):
      yield ast.Constant(value + 1)
    case ast.Constant(value=float(value)):
      yield ast.Constant(2 * value if value else 1.0)
    case ast.Subscript(slice=ast.Slice()):
      yield node.value
    case ast.AugAssign():
      yield ast.Pass()
    case ast.Expr(value=ast.Call()):
      yield ast.Pass()
    case ast.Assign(targets=[ast.Name(id=name)], value=value):
      if any(isinstance(x, ast.Name) and x.id == name for x in ast.walk(value)):
        yield ast.Pass()  # The name keeps its former value.
    case ast.IfExp():
      yield node.body
      yield node.orelse


def _skipped(tree: ast.AST) -> set[int]:
  """Returns the ids of nodes that have no effect, or only on messages."""
  found: list[ast.AST] = []
  for node in ast.walk(tree):
    match node:
      case ast.Raise() | ast.JoinedStr() | ast.Import() | ast.ImportFrom():
        found.append(node)
      case ast.FunctionDef():
        arguments = node.args
        found += [
          x.annotation
          for x in (
            *arguments.args, *arguments.kwonlyargs, arguments.vararg,
            arguments.kwarg,
          )
          if x and x.annotation
        ]  # fmt: skip
        found += [node.returns] if node.returns else []
      case ast.AnnAssign():
        found.append(node.annotation)
      case ast.Assign(value=ast.Subscript()) if (
        isinstance(node.targets[0], ast.Name)
        and re.match('[A-Z]?[a-z]', ast.unparse(node.value)) is None
      ):
        found.append(node.value)  # An alias of a type.
  return {id(x) for node in found for x in ast.walk(node)}


def _with(text: str, node: ast.AST, new: ast.AST) -> str:
  """Returns the text with the source of a node replaced."""
  lines = text.encode().splitlines(keepends=True)
  first, last = node.lineno - 1, node.end_lineno - 1
  before = b''.join(lines[:first]) + lines[first][: node.col_offset]
  after = lines[last][node.end_col_offset :] + b''.join(lines[last + 1 :])
  source = ast.unparse(new)
  if isinstance(new, ast.expr):
    source = f'({source})'
  return (before + source.encode() + after).decode()


def _short(source: str) -> str:
  return re.sub(r'\s+', ' ', source)[:80]
