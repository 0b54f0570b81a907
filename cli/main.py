"""The command `fairhouse`: everything a person at a terminal can ask for.

Each command imports what it needs when it runs: ten processes start with this file, and who checks
a proof offline needs neither settings nor logs.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from chains.errors import ChainError
from cli import processes

if TYPE_CHECKING:
    from settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
verify = typer.Typer(
    no_args_is_help=True, help="Put the books, the audit log and proofs to the proof."
)
app.add_typer(verify, name="verify")
table = typer.Typer(no_args_is_help=True, help="Tables of scheduled rounds.")
app.add_typer(table, name="table")
pairs = typer.Typer(no_args_is_help=True, help="Pairs of instant bets.")
app.add_typer(pairs, name="pairs")


def refuse(message: str) -> typer.Exit:
    """One line on stderr, exit code 2: nothing was changed."""
    typer.secho(message, err=True, fg="red")
    return typer.Exit(2)


def read_settings() -> Settings:
    environment = import_module("settings")
    try:
        chosen: Settings = environment.load()
    except ValueError as error:
        raise refuse(environment.mistakes(error)[0]) from error
    return chosen


def log(chosen: Settings, process: str) -> None:
    import_module("logs").setup(chosen, process)


def quietly(process: str) -> Settings:
    """The settings, for a command whose answer is not to stand between lines of a log."""
    chosen = read_settings()
    log(chosen.model_copy(update={"log_level": "WARNING"}), process)
    return chosen


@app.command()
def migrate() -> None:
    """Bring the database up to date."""
    chosen = read_settings()
    log(chosen, "migrate")
    migrations = import_module("db.migrate")
    try:
        migrations.upgrade(chosen.database_url)
    except migrations.Unreachable as error:
        raise refuse(f"the database cannot be reached: {error}") from None
    import_module("loguru").logger.info("the database is up to date")


@app.command()
def run(
    process: Annotated[str, typer.Argument(help=", ".join([*processes.LOOPS, "worker"]))],
    queue: Annotated[
        str, typer.Argument(help="for worker: chain, interpretation, stats, bonuses")
    ] = "",
) -> None:
    """Run one process until SIGTERM."""
    chosen = read_settings()
    if process == "worker":
        if queue not in processes.QUEUES:
            raise refuse(f"a worker has one queue of {', '.join(processes.QUEUES)}, not {queue!r}")
        processes.worker(chosen, queue)
        return
    if process not in processes.LOOPS:
        known = ", ".join([*processes.LOOPS, "worker"])
        raise refuse(f"there is no process {process!r} (known: {known})")
    log(chosen, process)
    try:
        import_module("uvloop").run(until_told(lambda: processes.loop(process, chosen)))
    except* ChainError as group:
        raise refuse(str(group.exceptions[0])) from None


@app.command()
def doctor() -> None:
    """Say line by line what is well and what is missing; exit code 1 if anything is broken."""
    if not asyncio.run(import_module("cli.doctor").show(Console())):
        raise typer.Exit(1)


@app.command()
def backfill(
    source: Annotated[str, typer.Option(help="its program or address, as in the settings")],
    first: Annotated[int, typer.Option("--from", help="the first block or slot")],
    last: Annotated[
        int | None, typer.Option("--to", help="wait for no more than this block or slot")
    ] = None,
    network: Annotated[str | None, typer.Option(help="if the program is on several")] = None,
) -> None:
    """Read older history of a source, and show how it comes in; may be stopped and repeated."""
    backfills, chosen = import_module("cli.backfill"), quietly("backfill")
    console = Console(stderr=True)
    try:
        work = backfills.asked(chosen, source, network, first, last)
        with backfills.shown(console, work.name) as shows:
            stopped = asyncio.run(until_told(lambda: work.run(shows)))
    except* (backfills.Refused, ChainError) as group:
        raise refuse(str(group.exceptions[0])) from None
    if stopped:
        raise refuse(f"{work.name}: stopped; the same command goes on where it was")
    typer.echo(work.result())


@app.command()
def gaps(
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    retry: Annotated[
        bool, typer.Option(help="first read dead letters again, and send failing pages again")
    ] = False,
) -> None:
    """Say what is not indexed yet, source by source; exit code 1 if there is anything."""
    rooms, chosen = import_module("cli.gaps"), quietly("gaps")
    try:
        reports = asyncio.run(rooms.look(chosen, retry=retry))
    except (rooms.Refused, ChainError) as error:
        raise refuse(str(error)) from None
    rooms.show(Console(), reports, as_json=as_json)
    if any(report.gaps for report in reports):
        raise typer.Exit(1)


@verify.command()
def books(
    law: Annotated[list[str] | None, typer.Option(help="this one only; may be repeated")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Check every law of the books over all that was ever written; exit code 1 if one is broken."""
    rooms, chosen = import_module("cli.verify"), quietly("verify")
    names = law or []
    try:
        with rooms.shown(Console(stderr=True), "laws") as told:
            well = asyncio.run(rooms.show_books(Console(), chosen, names, told, as_json=as_json))
    except rooms.Refused as error:
        raise refuse(str(error)) from None
    if not well:
        raise typer.Exit(1)


@verify.command()
def audit(
    checkpoint: Annotated[
        Path | None, typer.Option(help="a file of checkpoints that were kept elsewhere")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Compare every row with its seal; exit code 1 if one is not as it was sealed."""
    rooms, chosen = import_module("cli.verify"), quietly("verify")
    try:
        with rooms.shown(Console(stderr=True), "rows") as told:
            verdict = asyncio.run(rooms.audit(chosen, checkpoint, told))
    except rooms.Refused as error:
        raise refuse(str(error)) from None
    rooms.show_audit(Console(), verdict, as_json=as_json)
    if verdict.bad is not None:
        raise typer.Exit(1)


@verify.command()
def checkpoint() -> None:
    """Print the line that says how the audit log ends now, to be kept elsewhere."""
    rooms, chosen = import_module("cli.verify"), quietly("verify")
    try:
        typer.echo(asyncio.run(rooms.checkpoint(chosen)))
    except rooms.Refused as error:
        raise refuse(str(error)) from None


Url = Annotated[str, typer.Option(help="where the house answers; else this machine's own API")]
Kept = Annotated[Path | None, typer.Option(help="a proof that is there already")]
NodeUrl = Annotated[
    str | None, typer.Option("--rpc", help="your node of the proof's chain; else the settings'")
]
BeaconUrl = Annotated[
    str | None,
    typer.Option(help="your node of the chain whose blocks are the beacon; else the settings'"),
]
AsJson = Annotated[bool, typer.Option("--json", help="for programs")]


@verify.command()
def file(
    proof: Annotated[Path, typer.Argument(help="as /api/rounds/{id}/proof and its likes give it")],
    rpc: NodeUrl = None,
    beacon_rpc: BeaconUrl = None,
    as_json: AsJson = False,
) -> None:
    """Check a proof step by step, offline unless a node is named; exit code 1 if a step fails.

    With a node, every step must hold.
    """
    rooms = import_module("cli.proofs")
    if rpc is not None or beacon_rpc is not None:
        fetched = import_module("cli.facts.fetched")
        _prove(lambda _: fetched.file_proof(proof), rpc, beacon_rpc, as_json)
        return
    try:
        told = rooms.steps(proof)
    except rooms.Refused as error:
        raise refuse(str(error)) from None
    rooms.show(Console(), told, as_json=as_json)
    if rooms.holds(told) is False:
        raise typer.Exit(1)


@verify.command("round")
def proved_round(
    name: Annotated[str, typer.Argument(metavar="ROUND", help="such as numbers.17")],
    url: Url = "",
    file: Kept = None,
    rpc: NodeUrl = None,
    beacon_rpc: BeaconUrl = None,
    as_json: AsJson = False,
) -> None:
    """Check a round against the chain itself, step by step; exit code 1 unless every step holds."""
    fetched = import_module("cli.facts.fetched")
    _prove(lambda own: fetched.round_proof(name, url or own, file), rpc, beacon_rpc, as_json)


@verify.command("bet")
def proved_bet(
    name: Annotated[str, typer.Argument(metavar="BET", help="its id in hex")],
    url: Url = "",
    file: Kept = None,
    rpc: NodeUrl = None,
    beacon_rpc: BeaconUrl = None,
    as_json: AsJson = False,
) -> None:
    """Check a bet and its round against the chain itself; exit code 1 unless every step holds."""
    fetched = import_module("cli.facts.fetched")
    _prove(lambda own: fetched.bet_proof(name, url or own, file), rpc, beacon_rpc, as_json)


@verify.command("pair")
def proved_pair(
    name: Annotated[str, typer.Argument(metavar="PAIR", help="its player and epoch, as 17.5")],
    url: Url = "",
    file: Kept = None,
    rpc: NodeUrl = None,
    beacon_rpc: BeaconUrl = None,
    as_json: AsJson = False,
) -> None:
    """Check a pair and its bets against the chain itself; exit code 1 unless every step holds."""
    fetched = import_module("cli.facts.fetched")
    _prove(lambda own: fetched.pair_proof(name, url or own, file), rpc, beacon_rpc, as_json)


def _prove(
    had: Callable[[str], Awaitable[Any]], rpc: str | None, beacon_rpc: str | None, as_json: bool
) -> None:
    """Check a proof with the chains' own facts; `had` gives it, told where our own API is."""
    rooms, asking = import_module("cli.proofs"), import_module("cli.facts.asking")
    chosen = quietly("verify")

    async def asked() -> tuple[Any, Any]:
        proof = await had(chosen.own_url)
        return proof, await asking.read(proof.told, asking.Nodes(chosen, rpc, beacon_rpc))

    try:
        proof, facts = asyncio.run(asked())
        told = rooms.checked(proof.body, facts)
    except (rooms.Refused, ChainError) as error:
        raise refuse(" ".join(str(error).split())) from None
    if not as_json:
        typer.echo(proof.title)
    rooms.show(Console(), told, facts, as_json=as_json)
    if not rooms.holds(told):
        raise typer.Exit(1)


@table.command()
def resume(
    name: Annotated[str, typer.Argument(help="such as dice-2")],
    casino: Annotated[str, typer.Option(help="its slug, if several have such a table")] = "",
    reason: Annotated[str, typer.Option(help="why it may go on, for the audit log")] = "",
) -> None:
    """Let a table go on that was stopped because a seed was not at its bond in time."""
    rooms, chosen = import_module("cli.tables"), quietly("table")
    try:
        done = asyncio.run(rooms.resume(chosen, name, casino, reason))
    except rooms.Refused as error:
        raise refuse(str(error)) from None
    typer.echo(f"{name} goes on" if done else f"{name} was not stopped")


@pairs.callback()
def of_pairs() -> None:
    """Pairs of instant bets."""


@pairs.command("retire-all")
def retire_all(
    reason: Annotated[str, typer.Option(help="why, for the audit log")] = "",
) -> None:
    """End every pair that is not retired: after a restore, before anything is played again."""
    rooms, chosen = import_module("cli.pairs"), quietly("pairs")
    try:
        ended = asyncio.run(rooms.retire_all(chosen, reason))
    except rooms.Refused as error:
        raise refuse(str(error)) from None
    typer.echo(f"{ended} pairs are ended; the next are committed at the chain's own number")


@app.command()
def key(
    name: Annotated[str, typer.Option(help="the service: small letters, digits, - and _")],
    role: Annotated[
        list[str] | None,
        typer.Option(help="may be repeated; one that is none is answered with all there are"),
    ] = None,
    casino: Annotated[str | None, typer.Option(help="the only casino in which it acts")] = None,
) -> None:
    """Make an API key for a service; without a role it may read and move wallets."""
    keys = import_module("cli.keys")
    known = read_settings().api_keys
    try:
        secret, made = keys.fresh(name, role or keys.WALLETS, casino)
    except ValueError as error:
        raise refuse(import_module("settings").mistakes(error)[0]) from None
    typer.echo(f"The key, shown this once:\n\n{secret}\n\nThe setting that lets it in:\n")
    typer.echo(f"FAIRHOUSE_API_KEYS='{keys.written([*known, made])}'")


@app.command()
def sample() -> None:
    """Give the default casino assets, users and games to try things with; may be repeated."""
    chosen = read_settings()
    if chosen.environment == "production":
        raise refuse("samples are for trying things out, not for production")
    samples = import_module("cli.samples")
    try:
        opened = asyncio.run(samples.give(chosen))
    except samples.Refused as error:
        raise refuse(str(error)) from None
    typer.echo(f"{opened} balances opened in {chosen.default_casino}")


@app.command()
def demo(
    headless: Annotated[bool, typer.Option(help="no page: measure, report, exit")] = False,
    seconds: Annotated[float | None, typer.Option("--for", help="how long to play")] = None,
    report: Annotated[Path | None, typer.Option(help="where the report goes")] = None,
    evm_rate: Annotated[float, typer.Option(help="bets a second on Anvil")] = 2.0,
    solana_rate: Annotated[float, typer.Option(help="bets a second on Surfpool")] = 1.0,
    wake: Annotated[bool, typer.Option(help="let the chains' websockets wake the indexer")] = True,
) -> None:
    """Run the whole house on this machine, with players who bet on two local chains."""
    demos = import_module("cli.demo")
    chosen = read_settings()
    log(chosen, "demo")
    show = demos.Demo(
        settings=chosen,
        headless=headless,
        seconds=seconds,
        report=report,
        rates={"evm": evm_rate, "solana": solana_rate},
        wake=wake,
    )
    stopped = False
    try:
        stopped = asyncio.run(until_told(show.run))
    except* (demos.Refused, demos.StartFailed, demos.TooManyRestarts, ChainError) as group:
        raise refuse(str(group.exceptions[0])) from None
    if headless and (stopped or not show.ok):
        raise typer.Exit(1)


async def until_told(work: Callable[[], Awaitable[None]]) -> bool:
    """Run until SIGTERM or SIGINT, then cancel and let it clean up; whether we were told."""
    task = asyncio.ensure_future(work())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


if __name__ == "__main__":
    app()
