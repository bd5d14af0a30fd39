"""The types of the public names (`mulkinet/__init__.pyi`) are those of the functions, and mypy can use them."""

import ast
import inspect
from pathlib import Path

import pytest

import mulkinet

ROOT = Path(__file__).resolve().parent.parent
STUB = ast.parse((ROOT / "mulkinet" / "__init__.pyi").read_text(encoding="utf-8"))


def declared():
    """{public name, or class.method: its ast.FunctionDef} of the stub."""
    found = {}
    for node in STUB.body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and not item.name.startswith("__"):
                    found[f"{node.name}.{item.name}"] = item
    return found


def parameters_declared(function):
    """Their (name, kind, default as source or None) in order, without self and cls."""
    arguments = function.args
    plain = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    defaults = [None] * (len(plain) - len(arguments.defaults)) + arguments.defaults
    found = [(name, "positional", default) for name, default in zip(plain, defaults)]
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults):
        found.append((argument.arg, "keyword", default))
    if arguments.kwarg:
        found.append((arguments.kwarg.arg, "rest", None))
    return [item for item in found if item[0] not in ("self", "cls")]


_KINDS = {
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "positional",
    inspect.Parameter.KEYWORD_ONLY: "keyword",
    inspect.Parameter.VAR_KEYWORD: "rest",
}


def test_every_public_name_has_a_type():
    names = {node.name for node in STUB.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    assert {name for name in names if not name.startswith("_")} | {"losses"} == set(
        mulkinet.__all__
    )


@pytest.mark.parametrize("name", declared())
def test_declared_parameters_are_those_of_the_function(name):
    thing = mulkinet
    for part in name.split("."):
        thing = (
            inspect.getattr_static(thing, part) if inspect.isclass(thing) else getattr(thing, part)
        )
    if isinstance(thing, property):
        return
    thing = getattr(thing, "__func__", thing)
    real = [
        p for p in inspect.signature(thing).parameters.values() if p.name not in ("self", "cls")
    ]
    wanted = parameters_declared(declared()[name])
    assert [(p.name, _KINDS[p.kind]) for p in real] == [(n, kind) for n, kind, _ in wanted]
    for parameter, (_, _, default) in zip(real, wanted):
        if default is None:
            assert parameter.default is inspect.Parameter.empty
        elif not (isinstance(default, ast.Constant) and default.value is ...):
            assert parameter.default == ast.literal_eval(default)


def test_fields_of_answers_are_declared():
    from mulkinet.identify import answers
    from mulkinet.identify.match import PairMatch

    classes = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
    for real in (answers.Match, answers.Span, answers.Answer, PairMatch):
        fields = [
            n.target.id for n in classes[f"_{real.__name__}"].body if isinstance(n, ast.AnnAssign)
        ]
        assert fields == list(real.__dataclass_fields__)


def test_mypy_accepts_a_program_that_uses_every_public_name(tmp_path):
    api = pytest.importorskip("mypy.api")
    options = ["--strict", "--follow-imports=silent", "--cache-dir", str(tmp_path)]
    options += ["--config-file", str(tmp_path / "none")]
    (tmp_path / "none").write_text("[mypy]\n")
    used = (ROOT / "tests" / "typed_use.py").read_text(encoding="utf-8")
    assert all(f"mulkinet.{name}" in used for name in mulkinet.__all__ if name != "losses")
    program = tmp_path / "program.py"
    program.write_text(used, encoding="utf-8")
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import mulkinet\nn: str = mulkinet.match('a', 'b').transposition\n")
    environment = {"MYPYPATH": str(ROOT)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(*environment.popitem())
        output, errors, _ = api.run([*options, str(program), str(wrong)])
    assert errors == ""
    lines = [line for line in output.splitlines() if "error:" in line]
    assert len(lines) == 1, output
    assert "wrong.py:2" in lines[0]
