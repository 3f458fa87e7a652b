"""The rules of the house, read off its files: who may import whom, sizes, docstrings, and what must not be in them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "gan_lightning").rglob("*.py"))
CODE = [*MODULES, *sorted((ROOT / "hydra_plugins").rglob("*.py"))]
MAY_IMPORT = {  # packages of ours, beside themselves
    "contracts": {"networks", "streams"},
    "losses": {"contracts", "errors"},
    "networks": {"errors", "sizes"},
    "regularizers": {"augment", "contracts", "errors", "networks", "streams"},
    "augment": {"contracts", "errors", "streams"},
    "training": {"errors", "networks", "paths", "streams"},
    "streams": {"errors"},
    "pixels": set(),
    "sizes": {"errors"},
    "hooks": set(),
}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def room(path: Path) -> str:
    """Return the X of gan_lightning/X/... or gan_lightning/X.py; "" for what is not in gan_lightning."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[1] if parts[0] == "gan_lightning" else ""


def running(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that can run: all but what stands under `if TYPE_CHECKING`."""
    yield node
    hidden = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    for child in node.orelse if hidden else ast.iter_child_nodes(node):
        yield from running(child)


def imports(path: Path, annotations: bool = False) -> Iterator[str]:
    """Yield the dotted names that a file imports, at its top or within a function; on demand also for annotations."""
    for node in ast.walk(tree(path)) if annotations else running(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(path: Path, annotations: bool = False) -> set[str]:
    names = (name.split(".") for name in imports(path, annotations))
    return {name[1] for name in names if name[0] == "gan_lightning"} - {room(path)}


def dotted(path: Path) -> str:
    """Return "room.file" for a file in a room, "room" for its __init__."""
    return ".".join(path.relative_to(ROOT / "gan_lightning").with_suffix("").parts).removesuffix("__init__").rstrip(".")


def files_imported(path: Path) -> set[str]:
    """Return the files that a file imports, for annotations too."""
    there, found = {dotted(other) for other in MODULES}, set()
    for name in imports(path, annotations=True):
        ours = name.removeprefix("gan_lightning.") if name.startswith("gan_lightning.") else ""
        while ours not in there:  # the name of the file comes before those in it
            ours = ours.rpartition(".")[0]
        found.add(ours)
    return found - {"", dotted(path)}


def check_circles(found: set[tuple[str, str]]) -> None:
    """Fail where imports (of one, another) make a circle."""
    known: dict[str, set[str]] = {}
    for one, other in found:
        known.setdefault(one, set()).add(other)
    assert list(TopologicalSorter(known).static_order())  # raises CycleError with the circle


def test_files_import_each_other_in_no_circle():
    """Imports for annotations count, too: files that cannot be read without each other are one, or lack a contract."""
    found = {(dotted(path), name) for path in MODULES for name in files_imported(path)}
    check_circles(found)


def test_packages_import_each_other_in_no_circle():
    found = {(room(path), name) for path in MODULES for name in rooms_imported(path, annotations=True)}
    check_circles(found)


def test_a_files_name_says_which_room_it_is_in():
    """One may be `base`, a room's contract; path lengths are a metric and a regulariser, whose files users name."""
    names = [path.stem for path in MODULES if path.stem not in {"__init__", "base"}]
    assert {name for name in names if names.count(name) > 1} <= {"path_length"}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_the_lower_packages_know_nothing_of_the_upper_ones(package):
    for path in MODULES:
        if room(path) == package:
            assert rooms_imported(path) <= MAY_IMPORT[package], path


def test_nothing_imports_the_command_line():
    assert [str(path) for path in CODE if room(path) != "cli" and "cli" in rooms_imported(path)] == []


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_files_and_functions_are_short():
    everything = [*CODE, *(ROOT / "tests").rglob("*.py"), *(ROOT / "experiments").rglob("*.py")]
    long = {str(path) for path in everything if len(path.read_text().splitlines()) > 400}
    long |= {f"{path}: {f.name}" for path in everything for f in functions(path) if f.end_lineno - f.lineno >= 60}
    assert long == set()


def public(node: ast.Module | ast.ClassDef) -> Iterator[ast.AST]:
    """Yield the public classes and functions of a file with the public methods of such classes."""
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and child.name[0] != "_":
            yield child
            if isinstance(child, ast.ClassDef):
                yield from public(child)


def test_every_public_name_has_a_docstring():
    mute = [f"{path}: the file" for path in CODE if not ast.get_docstring(tree(path))]
    mute += [f"{path}: {node.name}" for path in CODE for node in public(tree(path)) if not ast.get_docstring(node)]
    assert mute == []


def test_the_wheel_has_every_package():
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    there = {".".join(path.parent.relative_to(ROOT).parts) for path in CODE}
    assert listed == there | {"gan_lightning.conf"}
    assert all((ROOT / name.replace(".", "/") / "__init__.py").exists() for name in there)
    assert (ROOT / "conf" / "__init__.py").exists()


def test_every_configuration_begins_with_what_it_is():
    for path in (ROOT / "conf").rglob("*.yaml"):
        first, second = [*path.read_text().splitlines(), "", ""][:2]
        says = second if first.startswith("# @package") else first
        assert re.match("# .{10}", says), path


def test_no_file_names_a_machine_or_a_registry():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    words = [f"/{folder}/" for folder in ("work", "root", "home")]
    words += [f"{option}-url" for option in ("index", "extra-index")] + ["trusted" + "-host", "find" + "-links"]
    words += [name + end for name, end in (("pypi", "."), ("python", "hosted"), ("download.", "pytorch.org/whl"))]
    paths = [path for path in map(ROOT.joinpath, tracked.stdout.splitlines()) if path.is_file()]
    texts = {str(path): path.read_bytes().decode(errors="ignore") for path in paths}
    assert [(path, word) for path, text in texts.items() for word in words if word in text] == []


def test_any_hydra_application_can_scan_our_plugins():
    """Hydra imports every installed plug-in in every application, also where gan_lightning itself is not in use."""
    code = (
        "from hydra.core.plugins import Plugins; from hydra.plugins.launcher import Launcher; import sys;"
        "names = [c.__name__ for c in Plugins.instance().discover(Launcher)];"
        "assert 'ProcessLauncher' in names and 'torch' not in sys.modules, names"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True)


def test_no_two_test_files_share_a_name():
    """Test folders are no packages, so pytest cannot collect two files of one name in one run."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(set(names)) == sorted(names)
