"""Small faults of a module: each change of one place of its syntax tree."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
#: Words about the code, which no test could see.
SILENT_FIELDS = {"annotation", "returns", "decorator_list", "type_params"}


@dataclass(frozen=True)
class Place:
    """Place of a node in its tree, and the function it belongs to."""

    parent: ast.AST
    field: str
    index: int | None
    function: str

    def put(self, node: ast.AST) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


@dataclass(frozen=True)
class Fault:
    """One change of one place; `text` names it without line numbers, so that explanations stay valid."""

    text: str
    line: int
    place: Place
    before: ast.AST
    after: ast.AST


def places(tree: ast.AST, function: str = "module") -> Iterator[tuple[Place, ast.AST]]:
    for name, value in ast.iter_fields(tree):
        if name in SILENT_FIELDS:
            continue
        for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(node, ast.AST) or _is_docstring(tree, node):
                continue
            inner = node.name if isinstance(node, ast.FunctionDef | ast.ClassDef) else function
            yield Place(tree, name, index, inner), node
            yield from places(node, inner)


def _is_docstring(parent: ast.AST, node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and hasattr(parent, "body")


def alternatives(node: ast.AST) -> Iterator[ast.AST]:
    """The same code with one small fault."""
    match node:
        case ast.operator() | ast.cmpop() | ast.boolop() if type(node) in SWAPS:
            yield SWAPS[type(node)]()
        case ast.Constant(value=value):
            yield from (ast.Constant(other) for other in _other_constants(value))
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            yield _copied(node, test=ast.UnaryOp(ast.Not(), test))
        case ast.Return(value=value) if value is not None and ast.unparse(value) != "None":
            yield ast.Return(ast.Constant(None))
        case ast.Expr() | ast.AugAssign() | ast.Raise() | ast.Delete():
            yield ast.Pass()
        case ast.Continue():
            yield ast.Break()
        case ast.Slice():
            yield from (_copied(node, **{end: None}) for end in ("lower", "upper") if getattr(node, end))
        case ast.Call(keywords=keywords):
            yield from (_copied(node, keywords=[k for k in keywords if k is not left_out]) for left_out in keywords)


def _other_constants(value: object) -> list[str | bytes | int | None]:
    match value:
        case bool():
            return [not value]
        case int():
            return [value + 1, value - 1]
        case str():
            return [value + "XX", ""] if value else ["XX"]
        case bytes():
            return [value + b"XX"]
        case None:
            return [0]
        case _:
            return []


def _copied(node: ast.AST, **changes: object) -> ast.AST:
    return type(node)(**{**dict(ast.iter_fields(node)), **changes})


def faults(tree: ast.AST) -> list[Fault]:
    found = []
    for place, node in places(tree):
        for after in alternatives(node):
            shown = [ast.unparse(ast.fix_missing_locations(part)) or type(part).__name__ for part in (node, after)]
            line = getattr(node, "lineno", getattr(place.parent, "lineno", 0))
            if isinstance(node, ast.operator | ast.cmpop | ast.boolop):
                shown[0] += f" in {ast.unparse(place.parent)}"
            before, changed = (part.replace("\n", " ; ")[:160] for part in shown)
            found.append(Fault(f"{place.function}: {before} -> {changed}", line, place, node, after))
    return found
