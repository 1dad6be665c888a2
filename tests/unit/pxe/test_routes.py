from ipaddress import IPv4Address
from uuid import UUID

import pytest

from pxe.boot import BootIntent, Endpoints, LocalDisk, RunKernel, Wait
from pxe.client import Client, Mac, Stage
from pxe.content import BytesContent, ContentTable
from pxe.errors import ConfigError
from pxe.http.responder import HttpReply, HttpRequest
from pxe.routes import BootRoutes, ScriptEvent, with_scripts

ENDPOINTS = Endpoints(address=IPv4Address("10.0.0.1"))
CLIENT = IPv4Address("10.0.0.50")
UUID_TEXT = "4c4c4544-0031-3510-8052-b4c04f4e3232"


class Policy:
    def __init__(self, intent: BootIntent) -> None:
        self.intent = intent
        self.asked: list[Client] = []

    def intent_for(self, client: Client) -> BootIntent:
        self.asked.append(client)
        return self.intent


class Application:
    def handle(self, request: HttpRequest) -> HttpReply:
        return HttpReply(body=request.path.encode() + b" " + request.body)


def routes(policy: Policy, seen: list[ScriptEvent]) -> BootRoutes:
    programs = ContentTable(
        {
            "snponly.efi": BytesContent(data=b"x64"),
            "arm64/snponly.efi": BytesContent(data=b"arm"),
            "grubx64.efi": BytesContent(data=b"grub"),
        }
    )
    return BootRoutes(
        endpoints=ENDPOINTS,
        programs=with_scripts(programs, ENDPOINTS),
        artifacts=ContentTable({"kernel": BytesContent(data=b"vmlinuz")}),
        policy=policy,
        application=Application(),
        observe=seen.append,
    )


def asked(path: str, method: str = "GET", **query: str) -> HttpRequest:
    return HttpRequest(client=CLIENT, method=method, path=path, query=query, headers={})


@pytest.mark.parametrize(
    ("path", "start"),
    [
        ("/nbp/snponly.efi", b"x64"),
        ("/nbp/arm64/snponly.efi", b"arm"),
        ("/autoexec.ipxe", b"#!ipxe"),
        ("/nbp/autoexec.ipxe", b"#!ipxe"),
        ("/nbp/arm64/autoexec.ipxe", b"#!ipxe"),
        ("/artifact/kernel", b"vmlinuz"),
        ("/nbp/grubx64.efi", b"grub"),
        ("/grub/grub.cfg", b"set pager"),
    ],
)
def test_content(path: str, start: bytes) -> None:
    content = routes(Policy(LocalDisk()), []).content(path)
    assert isinstance(content, BytesContent)
    assert content.data.startswith(start)


@pytest.mark.parametrize(
    "path", ["/", "/kernel", "/snponly.efi", "/nbp/", "/nbp/kernel", "/artifact/../nbp/snponly.efi"]
)
def test_what_is_not_in_a_table_does_not_exist(path: str) -> None:
    assert routes(Policy(LocalDisk()), []).content(path) is None


@pytest.mark.parametrize(
    ("path", "dynamic"),
    [
        ("/boot.ipxe", True),
        ("/boot.grub", True),
        ("/grub/grub.cfg", False),
        ("/agent/hello", True),
        ("/report", True),
        ("/agents", False),
        ("/artifact/report", False),
    ],
)
def test_is_dynamic(path: str, dynamic: bool) -> None:
    assert routes(Policy(LocalDisk()), []).is_dynamic(path) is dynamic


@pytest.mark.parametrize(
    ("intent", "line"),
    [
        (LocalDisk(), "exit 1"),
        (RunKernel(kernel="/artifact/kernel", initrd="/artifact/initrd"), "kernel http://10.0.0.1/artifact/kernel"),
        (Wait(reason="not approved yet"), "waiting: not approved yet"),
    ],
)
def test_script_of_one_machine(intent: BootIntent, line: str) -> None:
    policy, seen = Policy(intent), list[ScriptEvent]()
    reply = routes(policy, seen).handle(asked("/boot.ipxe", mac="52-54-00-AA-00-01", uuid=UUID_TEXT))
    mac = Mac("52:54:00:aa:00:01")
    assert (reply.status, line in reply.body.decode()) == (200, True)
    assert policy.asked == [Client(mac=mac, stage=Stage.IPXE, uuid=UUID(UUID_TEXT))]
    assert seen == [ScriptEvent(mac=mac, uuid=UUID(UUID_TEXT), intent=type(intent), address=CLIENT)]


def test_grub_gets_the_same_decision_in_its_words() -> None:
    policy, seen = Policy(RunKernel(kernel="/artifact/kernel", initrd="/artifact/initrd")), list[ScriptEvent]()
    reply = routes(policy, seen).handle(asked("/boot.grub", mac="52:54:00:aa:00:01", uuid=UUID_TEXT))
    assert "linux '(http,10.0.0.1)/artifact/kernel'" in reply.body.decode()
    assert policy.asked == [Client(mac=MAC, stage=Stage.IPXE, uuid=UUID(UUID_TEXT))]
    assert [event.mac for event in seen] == [MAC]


MAC = Mac("52:54:00:aa:00:01")
OWN = "/a/52-54-00-aa-00-01/n1/artifact/kernel"


@pytest.mark.parametrize("path", [OWN, f"/a/52-54-00-aa-00-01.{UUID_TEXT}/n1/artifact/kernel"])
def test_attempt_that_counts_finds_its_files(path: str) -> None:
    policy = Policy(RunKernel(kernel="/artifact/kernel", initrd="/i", attempt="n1"))
    table = routes(policy, [])
    content = table.content(path)
    assert isinstance(content, BytesContent)
    assert content.data == b"vmlinuz"
    assert not table.is_dynamic(path)
    assert {client.mac for client in policy.asked} == {MAC}
    assert {client.uuid for client in policy.asked} == {UUID(UUID_TEXT) if "." in path else None}


@pytest.mark.parametrize(
    "intent",
    [
        RunKernel(kernel="/artifact/kernel", initrd="/i", attempt="n2"),
        RunKernel(kernel="/artifact/kernel", initrd="/i"),
        LocalDisk(),
        Wait(reason="later"),
    ],
)
def test_attempt_that_no_longer_counts_is_gone(intent: BootIntent) -> None:
    table = routes(Policy(intent), [])
    assert table.content(OWN) is None
    assert table.is_dynamic(OWN)
    reply = table.handle(asked(OWN))
    assert reply.status == 410
    assert b"ask for a new boot script" in reply.body


@pytest.mark.parametrize(
    "path",
    [
        "/a/52-54-00-aa-00-01/n1/artifact/nothing",
        "/a/52-54-00-aa-00-01/n1/nbp/snponly.efi",
        "/a/52-54-00-aa-00-01/n1/artifact/",
        "/a/52-54-00-aa-00/n1/artifact/kernel",
        "/a/n1/artifact/kernel",
        "/a/-----------------/n1/artifact/kernel",
        "/a/525400aa-00-01---/n1/artifact/kernel",
        "/a/52-54-00-aa-00-01//artifact/kernel",
    ],
)
def test_attempt_of_no_machine_or_file(path: str) -> None:
    assert routes(Policy(RunKernel(kernel="/k", initrd="/i", attempt="n1")), []).content(path) is None


@pytest.mark.parametrize(
    "uuid", ["", "rubbish", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]
)
def test_bogus_uuid_is_none(uuid: str) -> None:
    policy = Policy(LocalDisk())
    assert routes(policy, []).handle(asked("/boot.ipxe", mac="525400aa0001", uuid=uuid)).status == 200
    assert policy.asked[0].uuid is None


@pytest.mark.parametrize("query", [{}, {"mac": ""}, {"mac": "52-54-00"}, {"mac": "x" * 2000}])
def test_script_needs_a_mac(query: dict[str, str]) -> None:
    assert routes(Policy(LocalDisk()), []).handle(asked("/boot.ipxe", **query)).status == 400


def test_script_is_read_only_and_head_is_no_boot() -> None:
    seen: list[ScriptEvent] = []
    table = routes(Policy(LocalDisk()), seen)
    assert table.handle(asked("/boot.ipxe", "POST", mac="525400aa0001")).status == 405
    assert table.handle(asked("/boot.ipxe", "HEAD", mac="525400aa0001")).status == 200
    assert seen == []


def test_intent_that_makes_no_script_is_our_mistake() -> None:
    bad = Policy(RunKernel(kernel="no slash", initrd="/i"))
    with pytest.raises(ConfigError):
        routes(bad, []).handle(asked("/boot.ipxe", mac="525400aa0001"))


def test_the_rest_goes_to_the_application() -> None:
    assert routes(Policy(LocalDisk()), []).handle(asked("/agent/hello", "POST")).body == b"/agent/hello "
