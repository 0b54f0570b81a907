"""Dockerfiles as far as ours goes: stages with their steps, and building one in a folder."""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

Step = tuple[str, str]


class CannotBuild(Exception):
    """A step failed; carries what it said."""


@dataclass
class Stage:
    """What follows one FROM, without it."""

    base: str
    steps: list[Step] = field(default_factory=list)

    def all(self, word: str) -> list[str]:
        return [rest for name, rest in self.steps if name == word]


def stages(text: str) -> list[Stage]:
    """The stages in order; comments go, and lines that go on are joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    found: list[Stage] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            found.append(Stage(rest.split()[0]))
        elif word:
            found[-1].steps.append((word, rest.strip()))
    return found


def variables(stage: Stage) -> dict[str, str]:
    """What the ENV steps of a stage set."""
    words = [word for rest in stage.all("ENV") for word in shlex.split(rest)]
    return dict(word.split("=", 1) for word in words)


def ignored(path: str, patterns: list[str]) -> bool:
    """Whether `.dockerignore` keeps a path, or a folder above it, out of the build."""
    parts = path.split("/")
    above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    return any(_matches(one, pattern) for one in above for pattern in patterns)


def _matches(path: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch.fnmatch(path.rpartition("/")[2], pattern.removeprefix("**/"))
    return path.count("/") == pattern.count("/") and fnmatch.fnmatch(path, pattern)


@dataclass
class Builder:
    """Runs a stage's steps for real, with `root` where the image has `/`."""

    context: Path
    root: Path
    environment: dict[str, str]
    workdir: Path = field(init=False)

    def __post_init__(self) -> None:
        self.workdir = self.root

    def build(self, stage: Stage) -> None:
        """Everything that changes files. Raises `CannotBuild`."""
        for word, rest in stage.steps:
            match word:
                case "ENV":
                    self.environment |= variables(Stage("", [(word, rest)]))
                case "WORKDIR":
                    self.workdir = self.root / rest.lstrip("/")
                    self.workdir.mkdir(parents=True, exist_ok=True)
                case "COPY":
                    self._copy(*shlex.split(rest))
                case "RUN":
                    self._run(rest)
                case _:
                    raise CannotBuild(f"nobody thought of {word} in this stage")

    def _copy(self, *words: str) -> None:
        """As Docker does: a folder's contents go into the target, ignored files stay away."""
        patterns = (self.context / ".dockerignore").read_text().split()
        *sources, target = words
        for name in sources:
            source, into = self.context / name, self.workdir / target
            files = [source] if source.is_file() else sorted(source.rglob("*"))
            wanted = [one for one in files if one.is_file()]
            wanted = [
                one
                for one in wanted
                if not ignored(one.relative_to(self.context).as_posix(), patterns)
            ]
            if not wanted:
                raise CannotBuild(f"COPY {name}: nothing is there, or .dockerignore hides it")
            for one in wanted:
                place = into / (one.name if source.is_file() else one.relative_to(source))
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(one, place)

    def _run(self, command: str) -> None:
        command = re.sub(r"^(--mount=\S+\s+)+", "", command).replace("/opt/", f"{self.root}/opt/")
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.workdir,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise CannotBuild(f"{command}\n{done.stdout[-3000:]}")


def machine(folder: Path, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a fresh machine with a Python and a pip of its own."""
    subprocess.run(["python3", "-m", "venv", folder], check=True, env=dict(inherited))
    passed = ("HOME", "PIP_", "UV_", "SSL_", "HTTP", "NO_PROXY", "http", "no_proxy")
    kept = {name: value for name, value in inherited.items() if name.startswith(passed)}
    return kept | {"PATH": f"{folder}/bin:/usr/local/bin:/usr/bin:/bin"}
