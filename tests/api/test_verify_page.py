"""The page that checks proofs, in a real browser, from our server and from a disk."""

from __future__ import annotations

import asyncio
import copy
import json
import re
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, Request, Route, expect

from api.routes.page import STATIC
from chains.evm import send as evm
from chains.solana import send as solana
from chains.solana.rpc import Rpc
from contracts import vectors
from contracts.solana import build
from local import anvil, deploy, node, players, surfpool
from tests.api.conftest import CHROMIUM, Api
from tests.api.proved import KEY, Evm, Solana, played_on
from tests.contracts.evm_bond import EvmBond
from tests.contracts.solana_runtime import SOL

HARMLESS = "Failed to load resource"  # what a page may complain of
PAGE = STATIC / "verify.html"
VERIFIER = node.ROOT / "verifier"
PUBLISHED: dict[str, dict[str, Any]] = {
    case["name"]: case
    for case in json.loads((node.ROOT / "docs/fairness/vectors.json").read_text())["proofs"]
}
GOOD = PUBLISHED["eip155 bet dice"]["proof"]
ON_CHAIN = {"on chain", "in time", "anchor", "reveal"}

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the PATH")


def test_the_page_is_what_its_sources_give(tmp_path: Path) -> None:
    for name in ("first.html", "second.html"):
        built = tmp_path / name
        subprocess.run([node.binary(), VERIFIER / "build.mjs", built], check=True)
        assert built.read_bytes() == PAGE.read_bytes()


def test_the_verifier_agrees_with_every_published_formula(tmp_path: Path) -> None:
    """In Node, part by part; the page itself does them and the proofs in a browser below."""
    bundle = tmp_path / "published.mjs"
    options = ["--bundle", "--platform=node", "--format=esm", "--log-level=warning"]
    source = VERIFIER / "tests" / "published.test.ts"
    subprocess.run(
        [node.package("esbuild", "bin", "esbuild"), source, f"--outfile={bundle}", *options],
        check=True,
        cwd=node.ROOT,
    )
    done = subprocess.run(
        [node.binary(), "--test-reporter=tap", bundle],
        cwd=node.ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4_000:]
    assert "# pass 10\n" in done.stdout


IN_PAGE = """
async () => {
    const told = {};
    for (const { name, run } of globalThis.tests) {
        try { await run(); told[name] = "ok"; } catch (error) { told[name] = String(error); }
    }
    return told;
}
"""


@needs_chromium
async def test_the_built_page_agrees_with_every_published_formula_in_a_browser(page: Page) -> None:
    """The same tests as in Node, of the code in this very file and by the browser's own hashes."""
    command = [node.binary(), VERIFIER / "tests" / "in_page.mjs"]
    bundle = await asyncio.to_thread(subprocess.check_output, command, text=True)
    await page.goto(PAGE.as_uri())
    # The vectors are read as the tests are loaded.
    vectors = (node.ROOT / "docs/fairness/vectors.json").read_text()
    await page.evaluate("(vectors) => { globalThis.vectors = vectors; }", vectors)
    await page.evaluate(bundle)
    told = await page.evaluate(IN_PAGE)
    assert len(told) == 10
    assert set(told.values()) == {"ok"}, told


async def give(page: Page, proof: object, *, rpc: str = "", beacons: str = "") -> None:
    """Pastes a proof, names nodes, and waits for what is said."""
    await page.get_by_label("Proof", exact=True).fill(json.dumps(proof))
    await page.get_by_label("Node of the chain").fill(rpc)
    if beacons:
        other = page.get_by_label("Node of the beacon's chain")
        if not await other.is_visible():
            await page.get_by_text("The beacon is a block of another chain").click()
        await other.fill(beacons)
    await page.get_by_role("button", name="Check").click()
    busy = re.compile("Computing|Asking")
    await expect(page.get_by_role("status")).not_to_have_text(busy)
    await expect(page.get_by_role("status")).to_be_visible()


def verdict(page: Page) -> Locator:
    return page.get_by_role("status")


async def marks(page: Page) -> dict[str, str]:
    """The mark of every step, as a reader sees it."""
    rows = await page.locator("#steps tr").all()
    return {
        str(await row.get_attribute("data-step")): await row.get_by_role("cell").first.inner_text()
        for row in rows
    }


def those(told: dict[str, str], mark: str) -> set[str]:
    return {name for name, said in told.items() if said == mark}


@needs_chromium
@pytest.mark.parametrize("disk", [True, False], ids=["from disk", "from the server"])
async def test_a_good_proof_holds_but_for_what_only_a_node_can_tell(
    api: Api, page: Page, disk: bool
) -> None:
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url))
    address = PAGE.as_uri() if disk else f"{api.url}/verify"
    await page.goto(address)
    await give(page, GOOD)
    told = await marks(page)
    assert those(told, "– not checked") == ON_CHAIN
    assert those(told, "✓ ok") == told.keys() - ON_CHAIN
    await expect(verdict(page)).to_have_text(
        "Nothing failed, and this is not proved yet: 11 of 15 steps hold, 4 could not be checked."
    )
    await expect(page.get_by_text("No node was named")).to_be_visible()
    assert [url for url in asked if not url.startswith("data:")] == [address]


@needs_chromium
async def test_every_published_proof_gets_the_published_steps_in_the_browser(
    api: Api, page: Page
) -> None:
    await page.goto(f"{api.url}/verify")
    found = json.loads(
        await page.evaluate(
            """async cases => {
            const told = [];
            for (const { proof, facts } of JSON.parse(cases)) {
                try {
                    const steps = await fairhouse.verify(proof, facts);
                    told.push(steps.map(({ name, status }) => [name, status]));
                } catch (error) {
                    told.push(error.field ?? String(error));
                }
            }
            return JSON.stringify(told);
        }""",
            json.dumps(list(PUBLISHED.values())),  # as one text: Playwright takes values apart
        )
    )
    wanted = [case.get("steps", case.get("malformed")) for case in PUBLISHED.values()]
    assert dict(zip(PUBLISHED, found, strict=True)) == dict(zip(PUBLISHED, wanted, strict=True))


@needs_chromium
async def test_a_tampered_proof_fails_by_the_name_of_what_was_changed(page: Page) -> None:
    await page.goto(PAGE.as_uri())
    tampered = copy.deepcopy(GOOD)
    tampered["bet"]["payout"] = str(int(GOOD["bet"]["payout"]) + 1)
    await give(page, tampered)
    assert those(await marks(page), "✗ failed") == {"payout"}
    await expect(verdict(page)).to_have_text("This proof does not hold. Is the payout right? No.")
    row = page.get_by_role("row", name="Is the payout right?")
    await expect(row).to_contain_text("The house paid something else than the terms say.")
    await expect(row).to_contain_text(tampered["bet"]["payout"])
    tampered["seed"] = "00" * 32
    await give(page, tampered)
    assert those(await marks(page), "✗ failed") == {
        *("commitment", "outcome", "draw", "payout"),
    }
    await expect(verdict(page)).to_contain_text("Is the secret seed the one that was promised? No")


@needs_chromium
async def test_a_proof_that_says_itself_that_it_is_late_fails_without_a_node(page: Page) -> None:
    await page.goto(PAGE.as_uri())
    late = copy.deepcopy(GOOD)
    late["commitment"]["time"] = late["schedule"]["opens"]
    await give(page, late)
    assert those(await marks(page), "✗ failed") == {"in time"}


@needs_chromium
async def test_what_is_no_proof_is_refused_by_its_field_and_leaves_nothing_shown(
    page: Page,
) -> None:
    await page.goto(PAGE.as_uri())
    await give(page, GOOD)
    await expect(page.get_by_role("table")).to_be_visible()
    for changed, said in (
        ({"round": 12}, "round: is no number"),
        ({"seed": "0X" + GOOD["seed"][2:]}, "seed: is not in lower-case hex digits"),
        ({"extra": "1"}, "extra: is no field of it"),
    ):
        await give(page, GOOD | changed)
        await expect(verdict(page)).to_contain_text(said)
        await expect(page.get_by_role("table")).to_be_hidden()
    await page.get_by_label("Proof", exact=True).fill("<html>")
    await page.get_by_role("button", name="Check").click()
    await expect(verdict(page)).to_contain_text("proof: is not JSON")


@needs_chromium
async def test_a_file_is_chosen_or_the_text_changed_and_the_old_result_is_gone(
    page: Page, tmp_path: Path
) -> None:
    await page.goto(PAGE.as_uri())
    file = tmp_path / "proof.json"
    file.write_text(json.dumps(PUBLISHED["solana pair of every game"]["proof"]))
    await page.get_by_label("Proof file").set_input_files(file)
    await expect(verdict(page)).to_contain_text("Nothing failed, and this is not proved yet")
    await expect(page.get_by_text("6 in this proof, 6 by the house's count")).to_be_visible()
    await page.get_by_label("Proof", exact=True).press("End")
    await page.get_by_label("Proof", exact=True).type(" ")
    await expect(verdict(page)).to_be_hidden()
    await expect(page.get_by_role("table")).to_be_hidden()


@needs_chromium
async def test_a_phone_shows_every_step_without_scrolling_sideways(browser: Browser) -> None:
    context = await browser.new_context(viewport={"width": 320, "height": 640})
    page = await context.new_page()
    await page.goto(PAGE.as_uri())
    await give(page, GOOD)
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320
    row = page.get_by_role("row", name="Is the payout right?")
    await row.scroll_into_view_if_needed()
    await expect(row.get_by_role("cell").first).to_have_text("✓ ok")
    label = "element => getComputedStyle(element, '::before').content"
    found = row.get_by_role("cell").nth(2)
    assert await found.evaluate(label) == '"Found: "'
    box = await found.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 320
    await context.close()


@needs_chromium
async def test_the_page_is_used_by_keyboard_and_read_without_seeing_it(page: Page) -> None:
    await page.goto(PAGE.as_uri())
    focus = "document.activeElement.id || document.activeElement.tagName"
    reached = []
    for _ in range(5):
        await page.keyboard.press("Tab")
        reached.append(await page.evaluate(focus))
    assert reached == ["proof", "file", "node", "SUMMARY", "BUTTON"]
    await page.get_by_label("Proof", exact=True).fill(json.dumps(GOOD))
    await page.get_by_role("button", name="Check").focus()
    await page.keyboard.press("Enter")
    table = page.get_by_role("table", name="Each step with what had to be there")
    await expect(table.get_by_role("columnheader")).to_have_text(
        ["Mark", "Step", "Expected", "Found"]
    )
    await expect(table.get_by_role("rowheader")).to_have_count(15)
    said = {text.strip() for text in await table.locator(".mark").all_inner_texts()}
    assert said == {"✓ ok", "– not checked"}
    assert await page.locator("html").get_attribute("lang") == "en"
    assert await verdict(page).get_attribute("aria-live") == "polite"


@needs_chromium
@pytest.mark.parametrize("disk", [True, False], ids=["from disk", "from the server"])
async def test_nothing_foreign_runs_in_the_page_or_is_loaded_by_it(
    api: Api, browser: Browser, disk: bool
) -> None:
    page = await browser.new_page()
    failed: dict[str, str | None] = {}

    def heard(request: Request) -> None:
        failed[request.url] = request.failure

    page.on("requestfailed", heard)
    answer = await page.goto(PAGE.as_uri() if disk else f"{api.url}/verify")
    await page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "globalThis.foreign = true";
            const picture = document.createElement("img");
            picture.src = "http://127.0.0.1:9/picture.png";
            const style = document.createElement("style");
            style.textContent = "body { display: none }";
            document.body.append(script, picture, style);
        }"""
    )
    assert await page.evaluate("globalThis.foreign") is None
    await expect(page.get_by_role("button", name="Check")).to_be_visible()
    assert failed == {"http://127.0.0.1:9/picture.png": "csp"}
    policy = await page.locator("meta[http-equiv]").get_attribute("content")
    assert policy is not None
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    if not disk:
        assert answer is not None
        assert answer.headers["content-security-policy"] == "frame-ancestors 'none'"
        assert answer.headers["referrer-policy"] == "no-referrer"
    await page.close()


@needs_chromium
async def test_a_proof_is_fetched_from_the_same_host_and_from_no_other(
    api: Api, page: Page
) -> None:
    """The house's proofs lie at an address of their own; here one is laid there."""
    asked: list[str] = []

    async def lay(route: Route, request: Request) -> None:
        asked.append(request.url)
        await route.fulfill(json=GOOD)

    await page.route(f"{api.url}/api/rounds/12/proof", lay)
    await page.goto(f"{api.url}/verify?proof=/api/rounds/12/proof")
    await expect(verdict(page)).to_contain_text("11 of 15 steps hold")
    assert asked == [f"{api.url}/api/rounds/12/proof"]
    for elsewhere in ("https://example.com/proof", "//example.com/proof", "javascript:alert(1)"):
        await page.goto(f"{api.url}/verify?proof={elsewhere}")
        await expect(verdict(page)).to_contain_text("only from the host that this page came from")
    await page.goto(f"{PAGE.as_uri()}?proof=/api/rounds/12/proof")
    await expect(verdict(page)).to_contain_text("only from the host that this page came from")
    await page.goto(f"{api.url}/verify?proof=/health")
    await expect(verdict(page)).to_contain_text("kind: is missing")
    await page.goto(f"{api.url}/verify?proof=/api/nothing")
    await expect(verdict(page)).to_contain_text("could not be fetched: 404")


@dataclass(frozen=True, slots=True)
class Played:
    """Two real nodes, and proofs of rounds and pairs that were played on them."""

    evm_url: str
    solana_url: str
    in_time: dict[str, Any]
    late: dict[str, Any]
    pair: dict[str, Any]
    early: dict[str, Any]
    on_solana: dict[str, Any]
    late_on_solana: dict[str, Any]
    pair_on_solana: dict[str, Any]
    early_on_solana: dict[str, Any]


@pytest.fixture(scope="module")
async def played(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Played]:
    folder = tmp_path_factory.mktemp("chains")
    async with (
        anvil.start(folder / "anvil", block_time_s=None) as ethereum,
        surfpool.start(folder / "surfpool") as sol,
        evm.Sender(ethereum.rpc_url, players.evm_key(0)) as owner,
        solana.Sender(sol.rpc_url, sol.payer) as payer,
    ):
        rpc = Rpc([sol.rpc_url])
        bond = Evm(owner, (await EvmBond.deployed(owner)).program)
        signer, chain = vectors.signer_of(KEY), await rpc.network()
        address = await deploy.bond_to_solana(
            payer, payer.key.pubkey(), signer, chain, bond=100 * SOL
        )
        program = solana.Program(json.loads(build.BOND.idl.read_text()), address)
        other = Solana(payer, program, rpc)
        on_solana = await played_on(other, bond)
        in_time = await bond.play("dice")
        late = await bond.play("dice-2", in_time=False)
        pairs = await bond.pair(b"player:17"), await bond.pair(b"player:18", early=True)
        urls = ethereum.rpc_url, sol.rpc_url
        yield Played(*urls, in_time, late, *pairs, *on_solana)
        await rpc.close()


@needs_chromium
async def test_a_round_is_proved_whole_from_a_node_that_the_player_chose(
    page: Page, played: Played
) -> None:
    asked: set[str] = set()
    page.on("request", lambda one: asked.add(one.url))
    await page.goto(PAGE.as_uri())
    await give(page, played.in_time, rpc=played.evm_url)
    told = await marks(page)
    assert those(told, "✓ ok") == told.keys()
    await expect(verdict(page)).to_have_text(
        "This proof holds: all 15 steps were checked and are right."
    )
    await expect(page.get_by_text("No node was named")).to_be_hidden()
    assert asked - {"data:,"} == {PAGE.as_uri(), f"{played.evm_url}/"}


@needs_chromium
async def test_a_round_committed_too_late_fails_though_its_proof_says_otherwise(
    page: Page, played: Played
) -> None:
    """A6: in a block before the batch opened, and final only after it had."""
    await page.goto(PAGE.as_uri())
    await give(page, played.late)
    assert "✗ failed" not in (await marks(page)).values()
    await give(page, played.late, rpc=played.evm_url)
    told = await marks(page)
    assert those(told, "✗ failed") == {"in time"}
    assert those(told, "– not checked") == set()
    await expect(verdict(page)).to_contain_text("Did the promise come before the first bet? No")


@needs_chromium
async def test_what_the_chain_has_is_held_against_what_the_proof_says_of_it(
    page: Page, played: Played
) -> None:
    await page.goto(PAGE.as_uri())
    proof = played.in_time
    for path, value, failing in (
        ("commitment.tx", "0x" + "11" * 32, {"on chain"}),
        ("commitment.time", str(int(proof["commitment"]["time"]) - 1), {"on chain"}),
        ("schedule.lead", "0", {"on chain", "beacon round"}),
        ("bets.count", "4", {"signature", "anchor"}),
        ("beacon.randomness", "22" * 32, {"beacon", "outcome", "draw"}),
    ):
        changed = copy.deepcopy(proof)
        part, name = path.split(".")
        changed[part][name] = value
        await give(page, changed, rpc=played.evm_url)
        failed = those(await marks(page), "✗ failed")
        assert failed - {"payout", "bet"} == failing, path
    moved = copy.deepcopy(proof)
    moved["commitment"]["position"] = str(int(proof["commitment"]["position"]) + 1)
    await give(page, moved, rpc=played.evm_url)
    assert those(await marks(page), "✗ failed") == {"on chain"}
    await expect(page.get_by_text("no such commitment")).to_be_visible()


@needs_chromium
async def test_a_round_on_solana_is_proved_with_a_node_of_each_chain(
    page: Page, played: Played
) -> None:
    await page.goto(PAGE.as_uri())
    await give(page, played.on_solana, rpc=played.solana_url)
    assert those(await marks(page), "– not checked") == {"beacon round", "beacon"}
    await give(page, played.on_solana, rpc=played.solana_url, beacons=played.evm_url)
    told = await marks(page)
    assert those(told, "✓ ok") == told.keys()
    changed = copy.deepcopy(played.on_solana)
    changed["schedule"]["opens"] = str(int(changed["schedule"]["opens"]) - 1)
    await give(page, changed, rpc=played.solana_url)
    assert "on chain" in those(await marks(page), "✗ failed")


@needs_chromium
async def test_a_round_on_solana_committed_too_late_fails_though_its_proof_says_otherwise(
    page: Page, played: Played
) -> None:
    """A6: in a slot before the batch opened, and 32 slots on only after it had."""
    await page.goto(PAGE.as_uri())
    await give(page, played.late_on_solana)
    assert "✗ failed" not in (await marks(page)).values()
    await give(page, played.late_on_solana, rpc=played.solana_url, beacons=played.evm_url)
    told = await marks(page)
    assert those(told, "✗ failed") == {"in time"}
    assert those(told, "– not checked") == set()
    await expect(verdict(page)).to_contain_text("Did the promise come before the first bet? No")


@needs_chromium
async def test_a_node_that_cannot_tell_leaves_its_steps_unchecked_with_the_reason(
    api: Api, page: Page, played: Played
) -> None:
    await page.goto(PAGE.as_uri())
    elsewhere = PUBLISHED["eip155 bet dice"]["proof"]
    for proof, url, reason in (
        (elsewhere, played.evm_url, "there is no such contract on this chain"),
        (played.on_solana, played.evm_url, "the node refused getGenesisHash"),
        (played.in_time, "http://127.0.0.1:9", "the node cannot be reached for eth_chainId"),
    ):
        await give(page, proof, rpc=url)
        told = await marks(page)
        assert not those(told, "✗ failed") - {"on chain"}, reason
        assert those(told, "– not checked") >= {"in time", "anchor", "reveal"}
        await expect(page.get_by_text(reason).first).to_be_visible()
    await give(page, played.in_time, rpc="file:///etc/passwd")
    await expect(verdict(page)).to_contain_text("begins with http:// or https://")


@needs_chromium
async def test_a_pair_is_proved_whole_from_the_chain_it_is_committed_on(
    page: Page, played: Played
) -> None:
    await page.goto(PAGE.as_uri())
    for proof, node_url, beacons in (
        (played.pair, played.evm_url, ""),
        (played.pair_on_solana, played.solana_url, played.evm_url),
    ):
        await give(page, proof, rpc=node_url, beacons=beacons)
        told = await marks(page)
        assert those(told, "✓ ok") == told.keys()
        other = proof | {"number": "7"}
        await give(page, other, rpc=node_url)
        assert "on chain" in those(await marks(page), "✗ failed")
        bound = copy.deepcopy(proof) | {"beacon": "drand"}
        await give(page, bound, rpc=node_url)
        assert those(await marks(page), "✗ failed") == {"on chain", "in time", "beacon round"}


@needs_chromium
async def test_a_pair_that_was_activated_before_it_was_final_fails(
    page: Page, played: Played
) -> None:
    """A2: the house knew the chance while it could still take another seed."""
    await page.goto(PAGE.as_uri())
    for proof, node_url, beacons in (
        (played.early, played.evm_url, ""),
        (played.early_on_solana, played.solana_url, played.evm_url),
    ):
        await give(page, proof)
        assert "✗ failed" not in (await marks(page)).values()
        await give(page, proof, rpc=node_url, beacons=beacons)
        told = await marks(page)
        assert those(told, "✗ failed") == {"in time", "beacon round"}
        assert those(told, "– not checked") == set()
