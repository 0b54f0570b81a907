"""The house's own rules, as far as a machine can see whether they are kept."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = {"node_modules", "build", "dist", "cache", "out", "__pycache__"}


def files(under: str = "", ending: str = "") -> list[Path]:
    """What this checkout holds of its own, as paths from its root."""
    found = (path for path in (ROOT / under).rglob(f"*{ending}") if path.is_file())
    paths = (path.relative_to(ROOT) for path in found)
    return sorted(path for path in paths if not any(hidden(part) for part in path.parts))


def hidden(part: str) -> bool:
    return part.startswith(".") or part in LEFT_OUT or part.endswith(".egg-info")


MODULES = files(ending=".py")
TREES = {path: ast.parse((ROOT / path).read_text()) for path in MODULES}


def test_every_module_opens_with_one_sentence() -> None:
    openings = {
        path: (ast.get_docstring(tree) or "").split("\n\n")[0] for path, tree in TREES.items()
    }
    one = re.compile(r"[A-Z`](?!.*[.?!] [A-Z]).*[.]")
    empty = {path for path in MODULES if not (ROOT / path).read_text()}
    assert {p: said for p, said in openings.items() if not one.fullmatch(said)}.keys() == empty


# What one chain has and the other has not.
ALONE = {
    "solana": {"message.py": "a transaction's keys are packed in a message of its own format"},
    "evm": {"ranges.py": "nodes limit how many blocks one question may span, each in its words"},
}


def test_the_chains_are_siblings_file_by_file() -> None:
    rooms = {name: {path.name for path in files(f"chains/{name}", ".py")} for name in ALONE}
    alone = {
        name: rooms[name] - rooms[other] for name, other in (("solana", "evm"), ("evm", "solana"))
    }
    assert alone == {name: set(reasons) for name, reasons in ALONE.items()}


EMPTY_WORDS = {
    *("base", "common", "core", "helper", "helpers", "manager", "managers", "misc", "shared"),
    *("util", "utils", "v2"),
}
MEANT = {Path("chains/networks/base.toml"): "a network whose name is Base"}


def test_no_file_has_a_name_that_says_nothing() -> None:
    named = {
        path
        for path in files()
        if EMPTY_WORDS & {word.lower() for word in re.split(r"\W|_", str(path))}
    }
    assert named == set(MEANT)


# Two nouns that differ by a letter, because they are two.
TWO_NOUNS = {
    "casino": "the room of the rules, and the table of casinos",
    "chain": "the words that both chains share, and the room of the chains",
    "heartbeat": "what one process does, and the table of all",
    "page": "what a browser shows, and stretches of a chain or of an answer",
    "range": "the game, and the limits of nodes",
    "source": "one that is followed, and the table of all",
    "stream": "integers drawn from an outcome, and what Redis holds of a feed",
}


def test_the_same_noun_is_the_same_file_name_on_every_floor() -> None:
    spellings: dict[str, set[str]] = defaultdict(set)
    for path in MODULES:
        if path.parts[0] != "tests":
            for name in (*path.parts[:-1], path.stem):
                if not name.startswith("__"):
                    spellings[name.replace("_", "").removesuffix("s")].add(name)
    assert {noun for noun, names in spellings.items() if len(names) > 1} == set(TWO_NOUNS)


READERS = {
    Path("settings.py"): "the one room that reads the environment",
    Path("cli/grounds.py"): "the demo's processes inherit what they do not know of",
    Path("local/forks.py"): "a forked process is given its own",
}


def reads_the_environment(tree: ast.Module) -> bool:
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {node.name for node in ast.walk(tree) if isinstance(node, ast.alias)}
    return bool(names & {"environ", "environb", "getenv", "BaseSettings"})


def test_only_the_settings_read_the_environment() -> None:
    readers = {path for path, tree in TREES.items() if reads_the_environment(tree)}
    assert {path for path in readers if path.parts[0] != "tests"} == set(READERS)


WITHOUT_CODE = {
    "bench": "measures",
    "fixtures": "recorded transactions",
    "flow": "the whole line at once",
    "image": "what is deployed: the Dockerfile's own steps, fly.toml's own commands",
    "reliability": "what the books survive: kills, storms, lost answers, missing laws",
}


def test_folders_of_tests_are_named_as_the_code_is() -> None:
    code = {part for path in MODULES if path.parts[0] != "tests" for part in path.parts[:-1]}
    tests = {path.parts[1] for path in files("tests") if len(path.parts) > 2}
    assert tests - code == set(WITHOUT_CODE)


def leaders() -> dict[Path, int]:
    """The number that every room's leader locks."""
    found = {}
    for path, tree in TREES.items():
        for node in tree.body:
            names = [one.id for one in getattr(node, "targets", []) if isinstance(one, ast.Name)]
            if "LEADER" in names and isinstance(node, ast.Assign):
                found[path] = ast.literal_eval(node.value)
    return found


def test_no_two_leaders_lock_the_same_number() -> None:
    """Of the second of two, no process would ever lead."""
    numbers = leaders()
    assert len(numbers) > 5
    assert len(set(numbers.values())) == len(numbers), numbers


def functions(tree: ast.Module) -> list[str]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return [node.name for node in ast.walk(tree) if isinstance(node, kinds)]


def test_tests_are_sentences() -> None:
    short = [
        f"{path}: {name}"
        for path in MODULES
        for name in functions(TREES[path])
        if name.startswith("test_") and len(name.split("_")) < 4
    ]
    assert short == []


def test_every_statement_of_the_field_has_a_test_or_a_reason() -> None:
    page = (ROOT / "docs/decisions/0003-statements.md").read_text()
    known = {*(f"S{n}" for n in range(1, 47)), *(f"E{n}" for n in range(1, 37))}
    known |= {f"Q{n}" for n in range(1, 11)}
    said = re.findall(r"^\| ([SEQ]\d+) \| \S", page, re.MULTILINE)
    assert sorted(said) == sorted(known)
    assert set(re.findall(r"`(test_\w+)`", page)) - known_tests() == set()


def test_every_statement_about_providers_has_a_test_or_a_reason() -> None:
    page = (ROOT / "docs/decisions/0008-providers.md").read_text()
    said = re.findall(r"^\| P(\d+) \| \S.* \| \S", page, re.MULTILINE)
    assert list(map(int, said)) == list(range(1, 55))
    tests = {
        name for path in MODULES if path.parts[0] == "tests" for name in functions(TREES[path])
    }
    assert set(re.findall(r"`(test_\w+)`", page)) - tests == set()


def test_the_licence_is_one_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    assert project["license-files"] == ["LICENSE"]
    licence = (ROOT / "LICENSE").read_text()
    assert licence.split()[:4] == ["Apache", "License", "Version", "2.0,"]
    assert "END OF TERMS AND CONDITIONS" in licence
    for path in files(ending=".sol"):
        first = (ROOT / path).read_text().splitlines()[0]
        assert first == "// SPDX-License-Identifier: Apache-2.0", path


def test_every_statement_about_bonuses_has_a_test_or_a_reason() -> None:
    page = (ROOT / "docs/decisions/0009-one-active-bonus.md").read_text()
    assert re.findall(r"^\| (\d+) \| \S", page, re.MULTILINE) == [str(n) for n in range(1, 21)]
    assert set(re.findall(r"`(test_\w+)`", page)) - known_tests() == set()


def known_tests() -> set[str]:
    return {name for path in MODULES if path.parts[0] == "tests" for name in functions(TREES[path])}
