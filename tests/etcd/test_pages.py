"""The README and the pages in docs/, done as a reader does them, from the top to the bottom.

A page has a folder and an etcd. Its python blocks are programs, its console blocks terminals: what
follows a `$` is run there, and what else stands there must be printed. A pid and a token may be any
number, the same wherever it stands again, also behind `kill`. A program that goes on is told to
end, by SIGTERM if it wants that, or its key is deleted as by an administrator.
"""

from __future__ import annotations

import ast
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from etcd_election import ElectionClient, Etcd, PermissionDenied
from tests.support.authority import Authority
from tests.support.etcd_server import EtcdServer, free_ports
from tests.support.pages import DOCS, PAGES, README, ROOT, Block, Page
from tests.support.process import spawn
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually

PATIENCE = 30.0
ENDS_WITHIN = 3.0
ELECTION = "my-service"
WELL_KNOWN = "127.0.0.1:2379"

GIVEN = {
    "client": f'client = ElectionClient("{WELL_KNOWN}", "{ELECTION}")',
    "leadership": 'leadership = client.campaign("given")',
}
"""What a block may use that the text speaks of."""


def prelude(code: str) -> tuple[str, str]:
    """What is to run before a block, and after it, for the names that it uses and does not make."""
    names = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)]
    made = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    wanted = {node.id for node in names if node.id in GIVEN} - made
    wanted -= {node.arg for node in ast.walk(ast.parse(code)) if isinstance(node, ast.arg)}
    if not wanted:
        return "", ""
    begun = ["from etcd_election import ElectionClient", *GIVEN.values()]
    return "\n".join(begun) + "\n", "\nclient.close()\n"


class Terminal:
    """A process and all that it prints."""

    def __init__(self, command: list[str], folder: Path, env: dict[str, str], number: int) -> None:
        self._path = folder / f".terminal-{number}"
        with self._path.open("wb") as output:
            self.process = spawn(command, output=output, cwd=folder, env=env)

    def printed(self) -> str:
        return self._path.read_text()

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def end(self) -> None:
        """Ends it with all that it has started, which it is asked to do itself first."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(ENDS_WITHIN)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Reader:
    """Somebody who does what a page says."""

    def __init__(self, page: Page, folder: Path, endpoint: str | None) -> None:
        self.page = page
        self.terminals: list[Terminal] = []
        self._folder = folder
        self.numbers: dict[str, str] = {}
        ports = [int(endpoint.partition(":")[2])] if endpoint else free_ports(2)
        self.endpoint = endpoint or f"127.0.0.1:{ports[0]}"
        self._env = {name: text for name, text in os.environ.items() if "ETCD" not in name}
        self._env |= {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONWARNINGS": "error",
            "PYTHONUNBUFFERED": "1",
            "ETCDCTL_ENDPOINTS": self.endpoint,
        }
        if endpoint is None:
            # The page starts an etcd, on the well-known ports; here on others.
            client, peer = f"http://{self.endpoint}", f"http://127.0.0.1:{ports[1]}"
            self._env |= {
                "ETCD_LISTEN_CLIENT_URLS": client,
                "ETCD_ADVERTISE_CLIENT_URLS": client,
                "ETCD_LISTEN_PEER_URLS": peer,
                "ETCD_INITIAL_ADVERTISE_PEER_URLS": peer,
                "ETCD_INITIAL_CLUSTER": f"default={peer}",
                "ETCD_UNSUPPORTED_ARCH": os.uname().machine.replace("aarch64", "arm64"),
            }

    def close(self) -> None:
        for terminal in self.terminals:
            terminal.end()

    def read(self) -> None:
        """All blocks, in order."""
        outputs = iter(self.page.blocks[1:])
        for block in self.page.blocks:
            follows = next(outputs, None)
            if block.not_run:
                continue
            if block.file:
                (self._folder / block.file).write_text(self._localized(block.code))
            elif block.language == "python":
                said = self._run(block)
                if follows is not None and follows.language == "text" and "│" not in follows.code:
                    assert self._matches(follows.code, said), f"{follows.code}\nand not\n{said}"
            elif block.language == "console":
                self._type(block)

    def _localized(self, code: str) -> str:
        return code.replace(WELL_KNOWN, self.endpoint)

    def _start(self, command: list[str]) -> Terminal:
        terminal = Terminal(command, self._folder, self._env, len(self.terminals))
        self.terminals.append(terminal)
        return terminal

    # -- python

    def _run(self, block: Block) -> str:
        before, after = prelude(block.code)
        program = self._folder / f"line{block.line}.py"
        program.write_text(self._localized(before + block.code + after))
        is_tests = re.search(r"^def test_", block.code, re.MULTILINE)
        runner = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if is_tests else []
        terminal = self._start([sys.executable, *runner, str(program)])
        if not is_tests and ("while " in block.code or ".run(" in block.code):
            eventually(
                lambda: (
                    terminal.ended or re.search(r"^working.*\n", terminal.printed(), re.MULTILINE)
                ),
                PATIENCE,
                lambda: f"{program} does not work: {terminal.printed()}",
            )
            self._ask_to_end(block, terminal)
        assert terminal.process.wait(PATIENCE) == 0, terminal.printed()
        assert "Traceback" not in terminal.printed()
        return terminal.printed()

    def _ask_to_end(self, block: Block, terminal: Terminal) -> None:
        with RawEtcd(self.endpoint) as raw:
            (leader,) = raw.candidates(ELECTION)
            tokens = re.findall(r"token (\d+)", terminal.printed())
            assert {int(token) for token in tokens} == {leader.create_revision}
            if "SIGTERM" in block.code:
                terminal.process.terminate()
            else:
                raw.delete(leader.key)
            assert terminal.process.wait(PATIENCE) == 0, terminal.printed()
            assert raw.candidates(ELECTION) == []
        if "leads no more:" in block.code:
            assert terminal.printed().endswith("leads no more: LostReason.KEY_DELETED\n")

    # -- console

    def _type(self, block: Block) -> None:
        parts = re.split(r"^\$ (.*)$", block.code, flags=re.MULTILINE)
        if parts[0].strip():
            running = [terminal for terminal in self.terminals if not terminal.ended]
            self._expect(parts[0], running)
        for command, output in zip(parts[1::2], parts[2::2], strict=True):
            typed = command
            if command.startswith("kill "):
                typed = re.sub(r"\d{2,}", lambda pid: self.numbers[pid[0]], command)
            if typed == "etcd" or typed.startswith("etcd "):
                self._start_etcd(typed)
                continue
            script = f"exec {self._localized(typed)}" if "python" in typed else typed
            terminal = self._start(["/bin/bash", "-c", script])
            if output.strip():
                self._expect(output, [terminal])
            if not output.strip() or terminal.ended:
                assert terminal.process.wait(PATIENCE) == 0, terminal.printed()

    def _start_etcd(self, command: str) -> None:
        terminal = self._start(["/bin/bash", "-c", f"exec {command}"])

        def serves() -> bool:
            assert not terminal.ended, terminal.printed()
            with contextlib.suppress(Exception), Etcd(self.endpoint, timeout=0.5):
                return True
            return False

        eventually(serves, PATIENCE, terminal.printed)

    def _expect(self, output: str, terminals: list[Terminal]) -> None:
        eventually(
            lambda: any(self._matches(output, terminal.printed()) for terminal in terminals),
            PATIENCE,
            lambda: "\n".join([output, "and not", *(t.printed() for t in terminals)]),
        )

    def _matches(self, wanted: str, printed: str) -> bool:
        """Whether the lines wanted follow each other somewhere; keeps their numbers if so."""
        seen = dict(self.numbers)
        found = re.search(pattern(wanted, seen), printed, re.MULTILINE)
        if found is None:
            return False
        groups = found.groupdict()
        self.numbers |= {name.lstrip("n"): number for name, number in groups.items()}
        return True


def pattern(wanted: str, known: dict[str, str]) -> str:
    """The lines as a pattern: a number is as known, or any, and the same wherever it stands."""
    named: set[str] = set()
    text = "^"
    for part in re.split(r"(?<=token )(\d+)|(?<=pid )(\d+)", wanted.strip("\n")):
        if part is None:
            continue
        if not part.isdigit():
            text += re.escape(part)
        elif part in known:
            text += rf"{known[part]}\b"
        else:
            text += rf"(?P=n{part})" if part in named else rf"(?P<n{part}>\d+)"
            named.add(part)
    # A line is read when all of it is there.
    return text + r"\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a reader works: with the examples, and files that TLS is shown with."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    authority = Authority(tmp_path)
    pair = authority.issue()
    for name, content in (("ca", authority.pem), ("client", pair.cert)):
        (tmp_path / f"{name}.pem").write_bytes(content)
    (tmp_path / "client.key").write_bytes(pair.key)
    return tmp_path


@contextlib.contextmanager
def reading(page: Page, folder: Path, endpoint: str | None) -> Iterator[Reader]:
    reader = Reader(page, folder, endpoint)
    try:
        yield reader
    finally:
        reader.close()


def runnable(page: Page) -> bool:
    return any(block.language in ("python", "console") for block in page.blocks)


ALONE = ("docs/tutorial.md", "docs/operating.md")
"""Pages that bring an etcd of their own, or turn authentication on."""


@pytest.mark.leaves_lease
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.name, marks=[pytest.mark.smoke] if page == README else [])
        for page in PAGES
        if runnable(page) and page.name not in ALONE
    ],
)
def test_a_page_does_what_it_says(
    page: Page, folder: Path, server: EtcdServer, raw: RawEtcd
) -> None:
    with reading(page, folder, server.endpoint) as reader:
        reader.read()
    assert raw.candidates(ELECTION) == [], "left by what a reader may copy"


def test_the_tutorial_leads_from_an_empty_folder_to_a_fail_over(folder: Path) -> None:
    with reading(Page(DOCS / "tutorial.md"), folder, None) as reader:
        reader.read()
        ends = {
            str(terminal.process.pid): terminal.process.wait(PATIENCE)
            for terminal in reader.terminals[1:]
            if terminal.process.pid != int(reader.numbers["4713"])
        }
        assert ends[reader.numbers["4711"]] == -signal.SIGKILL
        assert ends[reader.numbers["4712"]] == 0


def test_the_permissions_are_enough_and_no_more(folder: Path, own_server: EtcdServer) -> None:
    with reading(Page(DOCS / "operating.md"), folder, own_server.endpoint) as reader:
        reader.read()
    with Etcd(own_server.endpoint, user="worker", password="change-me-too") as etcd:
        with ElectionClient(etcd, f"{ELECTION}-2") as other, pytest.raises(PermissionDenied):
            other.campaign("v")
        for via in ("service", "kv"):
            client = ElectionClient(etcd, ELECTION, via=via)
            with client.lead("led", timeout=PATIENCE) as leadership:
                leadership.proclaim("still")
                looks_on(own_server.endpoint)
            client.close()


def looks_on(endpoint: str) -> None:
    """As the user who may only look."""
    etcd = Etcd(endpoint, user="watcher", password="and-me")
    with etcd, ElectionClient(etcd, ELECTION) as client:
        assert client.leader().text == "still"
        assert [entry.text for entry in client.candidates()] == ["still"]
        with client.observe() as observer:
            assert observer.next(PATIENCE).text == "still"
        with pytest.raises(PermissionDenied):
            client.campaign("v")


def test_numbers_are_the_same_wherever_they_stand() -> None:
    wanted = "pid 1 works, with token 5\npid 1 works, with token 5\n"
    assert re.search(pattern(wanted, {}), "pid 77 works, with token 9\n" * 2, re.MULTILINE)
    other = "pid 77 works, with token 9\npid 78 works, with token 9\n"
    assert not re.search(pattern(wanted, {}), other, re.MULTILINE)
    assert not re.search(pattern(wanted, {"5": "8"}), other, re.MULTILINE)
