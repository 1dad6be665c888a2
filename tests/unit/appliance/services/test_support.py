"""A support bundle says what is inside, holds what a supporter needs, and no secret that the appliance knows."""

import asyncio
import hashlib
import io
import json
import logging
import zipfile
from dataclasses import replace
from pathlib import Path

from appliance.access.access import opened
from appliance.api.fake import FakeApplication
from appliance.api.fake_findings import ROGUE_DHCP
from appliance.bmc.vault import Entry, factory_defaults
from appliance.config import Settings
from appliance.errors import MachineryError
from appliance.frontend.bundle import LEFT_OUT, SAYS
from appliance.logbook import KEPT_LINES, Logbook
from appliance.model.bmc_views import VaultScope
from appliance.model.codec import from_json
from appliance.model.doctor import DoctorRequest
from appliance.model.image_views import ImagesView
from appliance.model.secret import Secret
from appliance.model.support_views import ManifestView
from appliance.model.views import IdentityView
from appliance.services.program import SiteProgram
from appliance.services.support import SupportDesk, bundle
from appliance.supporting import supporting
from appliance.system import SystemClock, SystemRng
from images.processes import HostProcesses
from tests.unit.appliance.services.test_bmcs import Scene, rack
from tests.unit.appliance.services.test_program import MORE
from tests.web.scenes import rack as rack_in_memory

PASSWORD = "correct horse"


def opened_bundle(application: FakeApplication) -> dict[str, bytes]:
    data = asyncio.run(bundle(application, application.support_desk))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_its_first_page_says_what_is_there_and_what_is_not() -> None:
    application = rack_in_memory()
    application.doctor_desk.finds = (ROGUE_DHCP,)
    application.doctor_desk.start(DoctorRequest())
    asyncio.run(application.doctor_desk.look(-1, 0))
    files = opened_bundle(application)
    page = files["index.html"].decode()
    assert next(iter(files)) == "index.html"
    assert set(SAYS) <= set(files)
    for name in files.keys() - {"index.html"}:
        assert f'href="{name}"' in page
    for text in (*LEFT_OUT, ROGUE_DHCP.cause, ROGUE_DHCP.next_action, *application.inventory):
        assert text in page
    manifest = from_json(ManifestView, files["manifest.json"])
    assert {one.name: one.sha256 for one in manifest.files} == {
        name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != "manifest.json"
    }
    for name, data in files.items():
        if name.endswith(".json"):
            json.loads(data)


def test_what_the_appliance_knows_is_masked_wherever_it_stands() -> None:
    application = rack_in_memory()
    name = next(iter(application.inventory))
    code = IdentityView(rung="L0", why="nobody compared its code", code="907731", code_until=1.0)
    application.inventory[name] = replace(application.inventory[name], product=f"x {PASSWORD}", identity=code)
    application.support_desk.log = f"log in with {PASSWORD.encode().hex()}\n"
    application.support_desk.known = {PASSWORD}
    asyncio.run(application.tell(name, f"said {PASSWORD}"))
    files = opened_bundle(application)
    for part, data in files.items():
        assert PASSWORD.encode() not in data, part
        assert PASSWORD.encode().hex().encode() not in data, part
        assert b"907731" not in data, part
    for part in ("index.html", "machines.json", "report.json", "events.json", "log.txt"):
        assert b"[secret]" in files[part]


def test_what_cannot_be_had_is_said_and_holds_up_nothing() -> None:
    application = rack_in_memory()

    async def broken() -> ImagesView:
        raise MachineryError("the artefact store cannot be read")

    application.stores.images = broken  # type: ignore[method-assign]
    files = opened_bundle(application)
    assert "images.json" not in files
    assert b"images.json is not there: the artefact store cannot be read" in files["index.html"]


def test_the_book_keeps_the_latest_lines() -> None:
    book, logger = Logbook(), logging.Logger("x")
    book.addFilter(lambda record: setattr(record, "trace_id", "-") or True)
    logger.addHandler(book)
    for number in range(KEPT_LINES + 10):
        logger.warning("line %d %s", number, "x" * 3000)
    lines = book.text().splitlines()
    assert len(lines) == KEPT_LINES
    assert "line 10 x" in lines[0]
    assert max(map(len, lines)) <= 2000


def test_a_disk_that_is_gone_is_said(tmp_path: Path) -> None:
    desk = SupportDesk(log=str, known=tuple, folders={"the store": tmp_path / "absent"})
    said = desk.files()["system.txt"]
    assert "No such file" in said
    assert "kernel " in said
    assert "package fastapi " in said


def test_the_daemon_knows_its_secrets(tmp_path: Path) -> None:
    """What the log and the site program could hold: passwords of BMCs, what is masked, the code of the first admin."""
    program = tmp_path / "site.py"
    program.write_text(MORE)
    settings = Settings(state_dir=tmp_path, socket=tmp_path / "s", site=program, images_dir=tmp_path)
    scene = Scene(tmp_path, rack("stated-pw"), password="x", found=())
    scene.vault.add(
        Entry(scope=VaultScope.SITE, value="", user="ops", password=Secret("vault-pw")), *factory_defaults()
    )
    site = SiteProgram(program, HostProcesses(), SystemClock())
    with opened(tmp_path / "access", SystemClock(), SystemRng(), issuer="lab") as access:
        desk = supporting(settings, Logbook(), scene.desk, site, lambda: access.desk.setup_code)
        found = desk.secrets()
        assert {"stated-pw", "vault-pw", "hunter2!", access.desk.setup_code} <= found
        assert "ADMIN" not in found, "what every maker prints into its manual is no secret, and a word"
    assert desk.files()["log.txt"] == ""
    scene.file.close()
