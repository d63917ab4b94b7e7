"""The shape of the tree: who may import whom, how long a file is, and what stays out of our dependencies.

Each rule is a function that returns the violations in a tree of sources, so that the tests can show both
that our tree has none and that a planted one is found.
"""

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]

# A module may import from its own layer and from those above it in this list.
LAYERS = [
    {"instruction", "diffusion", "nets", "cluster"},
    {
        "condition",
        "codec",
        "system",
        "checkpoint",
        "adapter",
        "atomic",
        "image",
        "sheet",
        "video",
        "video_read",
        "work",
    },
    {"generate", "pipeline", "forecast", "receipt", "film", "edit", "training", "data", "metrics"},
    {"systems", "reproduce"},
    {"exchange", "engines", "serve", "cli", "__main__"},
]
LAYER = {name: depth for depth, names in enumerate(LAYERS) for name in names}

# Folders that import these and the standard library, and of our own modules only their siblings.
CLOSED = {"diffusion": {"torch", "jaxtyping"}, "nets": {"torch", "jaxtyping"}}
# What one of their modules may import besides, inside a function.
LAZY = {"pixeldance.nets.text": {"transformers"}}

LONGEST = 400

Tree = dict[str, str]  # dotted module name (a package's own ends in .__init__) -> source text


def read(package: Path) -> Tree:
    """Every module under the folder `package`."""
    paths = sorted(package.rglob("*.py"))
    return {".".join(p.relative_to(package.parent).with_suffix("").parts): p.read_text() for p in paths}


def imports(tree: Tree, module: str) -> Iterator[tuple[str, bool]]:
    """(target, whether inside a function) of each import in a module, wherever it stands.

    A target among our modules is named as in `tree`, any other as it is written.
    """
    root = ast.parse(tree[module])
    functions = (n for n in ast.walk(root) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    inside = {node for function in functions for node in ast.walk(function)}

    def name(written: str) -> str:
        return next((n for n in (written, f"{written}.__init__") if n in tree), written)

    for node in ast.walk(root):
        if isinstance(node, ast.Import):
            yield from ((name(alias.name), node in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            source = ".".join([*above, node.module] if node.module else above)
            for alias in node.names:
                target = name(f"{source}.{alias.name}")
                yield (target if target in tree else name(source)), node in inside
                if source == "pixeldance" and target not in tree and alias.name != "__version__":
                    yield f"pixeldance.{alias.name}", node in inside


def layer_violations(tree: Tree) -> list[str]:
    """Imports that go up a layer, leave a closed folder, or come in by the package's front door."""
    found = []
    for module in tree.keys() - {"pixeldance.__init__"}:
        own = module.split(".")[1]
        if own not in LAYER:
            found.append(f"{module} has no layer: give it one in {Path(__file__).name}")
            continue
        for target, inside in imports(tree, module):
            top, _, rest = target.partition(".")
            other = rest.partition(".")[0]
            if top != "pixeldance":
                allowed = CLOSED.get(own, {top}) | (LAZY.get(module, set()) if inside else set())
                if top not in allowed | sys.stdlib_module_names:
                    found.append(f"{module} imports {target}, and {own}/ only {sorted(allowed)}")
            elif target not in tree:
                found.append(f"{module} imports {target}: name the module that defines it")
            elif LAYER.get(other, 0) > LAYER[own]:
                found.append(f"{module} imports {target}, which lies above it")
            elif own in CLOSED and other != own:
                found.append(f"{module} imports {target}, which lies outside {own}/")
    return sorted(set(found))


def cycles(tree: Tree) -> list[str]:
    """Rings of modules that import each other; imports inside functions count."""
    edges = {
        module: sorted({target for target, _ in imports(tree, module)} & tree.keys() - {module})
        for module in tree.keys() - {"pixeldance.__init__"}
    }
    found: list[str] = []
    finished: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            found.append(" -> ".join([*path[path.index(module) :], module]))
        elif module not in finished:
            for target in edges.get(module, ()):
                visit(target, [*path, module])
            finished.add(module)

    for module in sorted(edges):
        visit(module, [])
    return found


def form_violations(tree: Tree) -> list[str]:
    """Modules that are too long, or do not begin by saying what they are."""
    lines = {module: len(text.splitlines()) for module, text in tree.items()}
    long = [f"{module} has {n} lines, {LONGEST} at most" for module, n in lines.items() if n > LONGEST]
    mute = [f"{m} has no docstring at its top" for m, text in tree.items() if not ast.get_docstring(ast.parse(text))]
    return long + mute


def undeclared(tree: Tree, declared: set[str]) -> list[str]:
    """Imports of other people's modules that are not among the `declared` top-level names."""
    known = {"pixeldance"} | declared | sys.stdlib_module_names
    uses = ((module, target) for module in tree for target, _ in imports(tree, module))
    return sorted(f"{module} imports {target}" for module, target in uses if target.split(".")[0] not in known)


def closure(lines: Iterable[str], requires: Callable[[str], list[str] | None]) -> set[str]:
    """Names of all distributions that requirement `lines` bring in, following markers and extras."""
    seen: set[tuple[str, str]] = set()

    def follow(lines: Iterable[str], extra: str) -> None:
        for requirement in map(Requirement, lines):
            if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
                continue
            name = canonicalize_name(requirement.name)
            for wanted in {"", *requirement.extras} - {e for n, e in seen if n == name}:
                seen.add((name, wanted))
                follow(requires(name) or (), wanted)

    follow(lines, "")
    return {name for name, _ in seen}


def our_requirements() -> list[str]:
    """The dependency lines of pyproject.toml: core and extras, without those that name other extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    lines = [line for group in groups for line in group]
    return [line for line in lines if not line.startswith("pixeldance[")]


@pytest.fixture(scope="module")
def ours() -> Tree:
    return read(ROOT / "pixeldance")


def test_imports_go_one_way(ours: Tree) -> None:
    assert layer_violations(ours) == []


def test_no_module_imports_itself_by_way_of_others(ours: Tree) -> None:
    assert cycles(ours) == []


def test_files_are_short_and_say_what_they_are(ours: Tree) -> None:
    assert form_violations(ours) == []


def test_every_library_in_use_is_declared(ours: Tree) -> None:
    lines = {canonicalize_name(Requirement(line).name) for line in our_requirements()}
    owners = metadata.packages_distributions().items()
    assert undeclared(ours, {module for module, by in owners if lines & set(map(canonicalize_name, by))}) == []


def test_torchvision_stays_out() -> None:
    found = closure(our_requirements(), metadata.requires)
    assert found >= {"torch", "jinja2", "tokenizers", "scipy"}, "the walk did not reach what others require"
    assert "torchvision" not in found
    assert importlib.util.find_spec("torchvision") is None


def test_constraints_name_every_dependency() -> None:
    text = (ROOT / "constraints.txt").read_text()
    pinned = {canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==\S+$", text, re.MULTILINE)}
    # The CUDA build of torch pins its own companions.
    missing = closure(our_requirements(), metadata.requires) - pinned
    assert {name for name in missing if not name.startswith(("nvidia-", "cuda-", "triton"))} == set()


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, pixeldance; print({'torch', 'numpy', 'av', 'PIL'} & sys.modules.keys())"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout == "set()\n"


# The same rules on a small tree that keeps them, and on the same tree with one line planted in it.

CLEAN = {
    "__init__": "from pixeldance.generate import load",
    "instruction": "import numpy",
    "diffusion.__init__": "",
    "diffusion.process": "import math, torch\nfrom jaxtyping import Float",
    "diffusion.denoise": "from pixeldance.diffusion.process import Process",
    "nets.text": "def clip():\n    from transformers import CLIPTextModel",
    "condition": "from pixeldance.nets import text\nfrom . import instruction",
    "codec": "",
    "system": "from pixeldance.condition import Cond",
    "generate": "from pixeldance import __version__\nfrom .system import System",
    "film": "from pixeldance.generate import generate",
    "training.loop": "from pixeldance.film import film",
    "systems.__init__": "from pixeldance.systems import one",
    "systems.one": "from ..training.loop import train",
    "cli": "import typer\nfrom pixeldance.systems import one",
}

PLANTED = {
    "upward": ("instruction", "from pixeldance.generate import Pipeline"),
    "upward in a function": ("codec", "def f():\n    import pixeldance.training.loop"),
    "upward by dots": ("system", "from . import generate"),
    "upward for types": ("system", "if TYPE_CHECKING:\n    from pixeldance import generate"),
    "upward to a package": ("training.loop", "from pixeldance.systems import SYSTEMS"),
    "out of diffusion": ("diffusion.denoise", "from pixeldance.nets.text import Words"),
    "out of diffusion by dots": ("diffusion.process", "from ..instruction import Instruction"),
    "a library in diffusion": ("diffusion.process", "import numpy as np"),
    "transformers at the top": ("nets.text", "import transformers"),
    "transformers elsewhere": ("nets.unet", "def f():\n    import transformers"),
    "by the front door": ("film", "from pixeldance import load"),
    "no layer": ("utils", ""),
}


def write(folder: Path, modules: dict[str, str]) -> Tree:
    for module, text in modules.items():
        path = folder / "pixeldance" / (module.replace(".", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return read(folder / "pixeldance")


def test_a_clean_tree_has_no_violation(tmp_path: Path) -> None:
    tree = write(tmp_path, CLEAN)
    assert len(tree) == len(CLEAN)
    assert (layer_violations(tree), cycles(tree)) == ([], [])


@pytest.mark.parametrize(("module", "line"), PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_import_is_found(tmp_path: Path, module: str, line: str) -> None:
    tree = write(tmp_path, CLEAN | {module: line})
    assert [text.split()[0] for text in layer_violations(tree)] == [f"pixeldance.{module}"]


def test_a_planted_ring_is_found(tmp_path: Path) -> None:
    tree = write(tmp_path, CLEAN | {"condition": "def f():\n    from pixeldance import system"})
    (ring,) = cycles(tree)
    assert set(ring.split(" -> ")) == {"pixeldance.condition", "pixeldance.system"}


def test_a_long_or_mute_file_is_found() -> None:
    fits = '"""Says."""\n' * LONGEST
    assert form_violations({"fits": fits, "long": fits + "\n", "mute": "x = 1"}) == [
        "long has 401 lines, 400 at most",
        "mute has no docstring at its top",
    ]


def test_an_undeclared_library_is_found() -> None:
    assert undeclared({"pixeldance.cli": "import os, numpy.linalg, lpips"}, {"numpy"}) == [
        "pixeldance.cli imports lpips"
    ]


def test_a_distant_torchvision_is_found() -> None:
    index = {"a": ["b[vision]"], "b": ["torchvision; extra == 'vision'", "c; sys_platform == 'none'"]}
    assert closure(["A>=1"], index.get) == {"a", "b", "torchvision"}
    assert closure(["b"], index.get) == {"b"}
