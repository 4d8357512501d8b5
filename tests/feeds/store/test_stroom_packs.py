"""R32: Stroom reads what is exported for it, and an import keeps what Stroom knows a feed by.

`as_stroom` is written from Stroom's published rule for imports (gchq/stroom, ImportExportSerializerImpl and
ImportExportFileNameUtil), not from our reader.
"""

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from feeds.changes.files import read_file
from feeds.changes.files_out import write_zip
from feeds.changes.import_plan import ImportPlan, apply_import, plan_import
from feeds.changes.snapshots import deleted_feed, restore
from feeds.models import Feed
from feeds.store.stroom_packs import default_uuid, file_prefix, read_properties, write_properties
from tests.calls import anonymous, superuser
from tests.feeds.admin.admin_client import signed_in

U1, U2 = "9284e207-0c12-4b49-90a6-6ba5a3ca6dd6", "zz00EVENTS-0000-4000-8000-00000000000x"
DOC: dict[str, Any] = {
    "type": "Feed",
    "uuid": U1,
    "name": "STROOM-USER-EVENTS",
    "version": "7b6e8162-1111-4222-8333-444455556666",
    "createTimeMs": 1700000000000,
    "description": "who did what",
    "encoding": "UTF-16BE",
    "retentionDayAge": 30,
    "volumeGroup": "Default Volume Group",
    "contextFormat": "XML",
    "status": "REJECT",
    "keyOfALaterRelease": {"a": [1, None, "ü"]},
}
NODE = {"name": "STROOM-USER-EVENTS", "type": "Feed", "uuid": U1, "path": "System/Feeds & more", "tags": "blue red"}


def properties(values: dict[str, str]) -> str:
    return "".join(f"{key}={value}\n" for key, value in sorted(values.items()))


def make_zip(entries: dict[str, str]) -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w") as archive:
        for name, text in entries.items():
            archive.writestr(name, text)
    return output.getvalue()


def pack(doc: dict[str, Any] = DOC, node: dict[str, str] = NODE, folder: str = "System/Feeds___more") -> bytes:
    prefix = f"{folder}/{re.sub('[^A-Za-z0-9]', '_', node['name'])[:100]}.Feed.{node['uuid']}"
    return make_zip({f"{prefix}.node": properties(node), f"{prefix}.meta": json.dumps(doc)})


def as_stroom(data: bytes) -> dict[str, tuple[dict[str, str], dict[str, Any]]]:
    """What Stroom's import finds: by uuid the properties of each `.node`, and the document beside it."""
    found = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        assert len(set(names)) == len(names)
        for name in names:
            folder, _, base = name.rpartition("/")
            if not base.endswith(".node") or base.startswith("."):
                continue
            lines = archive.read(name).decode("latin-1").splitlines()
            node = dict(line.encode().decode("unicode_escape").split("=", 1) for line in lines)
            safe = re.sub("[^A-Za-z0-9]", "_", node["name"])[:100]
            prefix = f"{folder}/{safe}.{node['type']}.{node['uuid']}".lstrip("/")
            files = {
                other[len(prefix) + 1 :]: other for other in names if other.startswith(prefix) and other != name
            }
            found[node["uuid"]] = (node, json.loads(archive.read(files["meta"])))
    return found


def run_import(data: bytes, **options: Any) -> ImportPlan:
    return apply_import(read_file(data), signed_user(), comment="why", **options)


def signed_user() -> Any:
    from django.contrib.auth import get_user_model

    return get_user_model().objects.get_or_create(username="root", is_superuser=True)[0]


# --- out ---


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["A-B", "PAYROLL-PROD-EVENTS-V1", "X" * 120 + "-Y", "A_B", "ABC", "A-B_C-9" * 30])
def test_r32_stroom_finds_every_exported_feed_by_its_own_rule(name: str) -> None:
    Feed.objects.create(name=name, status="Drop", reference=True)
    Feed.objects.create(name="OTHER-FEED")
    found = as_stroom(write_zip(Feed.objects.all()))
    assert sorted(node["name"] for node, _ in found.values()) == sorted([name, "OTHER-FEED"])
    for node, doc in found.values():
        assert (doc["name"], doc["uuid"], doc["type"], node["type"]) == (node["name"], node["uuid"], "Feed", "Feed")
    assert {doc["status"] for _, doc in found.values()} == {"DROP", "RECEIVE"}


@pytest.mark.django_db
def test_r32_two_names_that_are_one_file_name_do_not_meet() -> None:
    for name in ("A-B-C", "A_B_C", "A-B_C"):
        Feed.objects.create(name=name)
    assert len(as_stroom(write_zip(Feed.objects.all()))) == 3


# --- round trip ---


@pytest.mark.django_db
def test_r32_a_round_trip_keeps_uuid_keys_path_and_tags() -> None:
    plan = run_import(pack())
    assert plan.counts == {"create": 1}
    feed = Feed.objects.get()
    assert (feed.stroom_uuid, feed.status, feed.encoding) == (U1, "Reject", "UTF-16BE")
    node, doc = as_stroom(write_zip([feed]))[U1]
    assert node == NODE
    assert {key: doc[key] for key in DOC} == DOC
    again = plan_import(read_file(write_zip([feed])), signed_user())
    assert again.counts == {"same": 1}


@pytest.mark.django_db
def test_r32_a_rename_keeps_the_uuid_and_a_new_feed_of_the_name_has_another() -> None:
    run_import(pack())
    own = Feed.objects.create(name="OWN-FEED")
    first = own.stroom_uuid
    assert first == default_uuid("OWN-FEED")
    for feed, name in ((Feed.objects.get(name=DOC["name"]), "RENAMED-A"), (own, "RENAMED-B")):
        feed.name = name
        feed.save()
    found = as_stroom(write_zip(Feed.objects.all()))
    assert {key: node["name"] for key, (node, _) in found.items()} == {U1: "RENAMED-A", first: "RENAMED-B"}
    assert Feed.objects.create(name="OWN-FEED").stroom_uuid not in {first, ""}


@pytest.mark.django_db
def test_r32_a_copy_in_the_admin_gets_a_uuid_of_its_own() -> None:
    run_import(pack())
    feed = Feed.objects.get()
    client = signed_in(superuser=True)
    page = client.get(f"/admin/feeds/feed/{feed.pk}/change/")
    form = page.context["adminform"].form
    data = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    data = {key: value for key, value in data.items() if value not in (None, False)}
    for formset in page.context["inline_admin_formsets"]:
        prefix = formset.formset.prefix
        data |= {f"{prefix}-TOTAL_FORMS": 0, f"{prefix}-INITIAL_FORMS": 0}
    data |= {"name": "A-COPY", "labels": "", "_saveasnew": "1", "change_comment": "copy", "comment": "copy"}
    client.post(f"/admin/feeds/feed/{feed.pk}/change/", data)
    copy = Feed.objects.get(name="A-COPY")
    assert copy.stroom_uuid == default_uuid("A-COPY")


@pytest.mark.django_db
def test_r32_a_deleted_feed_comes_back_as_the_one_that_stroom_knows() -> None:
    run_import(pack())
    feed = Feed.objects.get()
    key = feed.pk
    feed.delete()
    deleted = deleted_feed(key)
    assert deleted is not None
    back = restore(deleted, comment="back")
    assert (back.stroom_uuid, back.stroom["node"]["tags"]) == (U1, "blue red")


@pytest.mark.django_db
def test_r32_an_import_brings_the_uuid_of_stroom_to_a_feed_that_was_made_here() -> None:
    Feed.objects.create(name=DOC["name"])
    plan = run_import(pack())
    (row,) = plan.rows
    assert "stroom_uuid" in {change.field for change in row.changes}
    assert Feed.objects.get().stroom_uuid == U1
    answer = superuser().get(f"/api/v1/feeds/{DOC['name']}/history/")
    assert "stroom_uuid" in answer.content.decode()


@pytest.mark.django_db
def test_r32_two_feeds_never_share_a_uuid() -> None:
    run_import(pack())
    other = pack({**DOC, "name": "ANOTHER-FEED"}, {**NODE, "name": "ANOTHER-FEED"})
    (row,) = plan_import(read_file(other), signed_user()).rows
    assert (row.action, DOC["name"] in row.faults[0]) == ("fault", True)
    docs = json.dumps([{**DOC, "name": name, "uuid": U2} for name in ("FEED-ONE", "FEED-TWO")]).encode()
    rows = plan_import(read_file(docs), signed_user()).rows
    assert [row.action for row in rows] == ["fault", "fault"]


# --- in ---


def test_f7_every_feed_of_a_pack_is_a_row_and_everything_else_is_named() -> None:
    prefix, uuids = "Folder/A_B", ["00000000-0000-4000-8000-000000000001", U2, "RAW_STREAMING_READER-EVENTS"]
    entries = {
        f"{prefix}.Feed.{key}.meta": json.dumps({**DOC, "uuid": key, "name": f"A-B-{n}"})
        for n, key in enumerate(uuids)
    }
    entries |= {
        "Folder/": "",
        "Folder/Pipe.Pipeline.1.node": "name=Pipe\ntype=Pipeline\nuuid=1\n",
        "Folder/Pipe.Pipeline.1.json": "{}",
        "Folder/C_D.Feed.7.node": "name=C-D\ntype=Feed\nuuid=7\n",
        "Folder/E_F.Feed.8.node": "name=E-F\ntype=Feed\nuuid=8\n",
        "Folder/E_F.Feed.8.meta": "not json",
        "Folder/E_F.Feed.8.xml": "<a/>",
        "readme.txt": "x",
    }
    file = read_file(make_zip(entries))
    rows = {row.name: row for row in file.rows}
    assert set(rows) == {"A-B-0", "A-B-1", "A-B-2", "C-D", "E-F"}
    assert [rows[f"A-B-{n}"].stroom["stroom_uuid"] for n in range(3)] == uuids
    assert all("Stroom would not import it" in rows[f"A-B-{n}"].notes[0] for n in range(3))
    assert rows["C-D"].faults == ("C_D.Feed.7.meta is missing next to its .node",)
    assert rows["E-F"].faults == ("it is not JSON",)
    assert {part.place: part.reason for part in file.left_out} == {
        "Folder/Pipe.Pipeline.1.node": "it is a Pipeline, not a feed",
        "Folder/E_F.Feed.8.xml": "a further file of a feed",
        "readme.txt": "it belongs to no feed",
    }


def test_f7_the_node_says_who_a_feed_is_and_a_former_export_of_ours_is_read() -> None:
    (row,) = read_file(pack({**DOC, "name": "OTHER-NAME"})).rows
    assert (row.name, row.stroom["stroom_uuid"]) == (NODE["name"], U1)
    assert "OTHER-NAME" in row.notes[0]
    former = make_zip(
        {
            "A-B.Feed.1.node": "name=A-B\npath=\ntype=Feed\nuuid=1\n",
            "A-B.Feed.1.meta": json.dumps({**DOC, "name": "A-B", "uuid": "1"}),
        }
    )
    (row,) = read_file(former).rows
    assert (row.name, row.faults) == ("A-B", ())


@pytest.mark.parametrize(
    ("doc", "words"),
    [
        ({**DOC, "uuid": "../../etc"}, "its uuid is not text"),
        ({**DOC, "uuid": "a\u0000"}, "its uuid is not text"),
        ({**DOC, "uuid": 7}, "its uuid is not text"),
        ({**DOC, "uuid": "x" * 101}, "its uuid is not text"),
        ({**DOC, "later": "a\u0000b"}, "what only Stroom knows"),
        ({**DOC, "later": "x" * 70_000}, "what only Stroom knows"),
        ({**DOC, "later": float("inf")}, "a number in it"),
        ({**DOC, "statuss": "DROP"}, "unknown key statuss"),
        ({**DOC, "retentionDayAgee": 3}, "unknown key retentionDayAgee"),
    ],
)
def test_f7_what_cannot_be_kept_is_a_fault(doc: dict[str, Any], words: str) -> None:
    text = json.dumps(doc).replace("Infinity", "1e999")
    (row,) = read_file(text.encode()).rows
    assert any(words in fault for fault in row.faults)


def test_f7_a_name_that_is_in_a_zip_twice_is_refused() -> None:
    data = make_zip({f"A_B.Feed.{n}.meta": json.dumps({**DOC, "uuid": n}) for n in "12"})
    with pytest.raises(ValueError, match="in it twice"):
        read_file(data.replace(b"A_B.Feed.2.meta", b"A_B.Feed.1.meta"))


@pytest.mark.django_db
def test_f7_rest_admin_and_command_name_what_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_zip(
        {
            "Pipe.Pipeline.1.node": "name=Pipe\ntype=Pipeline\nuuid=1\n",
            "A_B.Feed.1.meta": json.dumps({**DOC, "name": "A-B", "uuid": "1"}),
        }
    )
    answer = superuser().post("/api/v1/feeds/import/", data, content_type="application/zip").json()
    assert answer["left_out"] == [{"place": "Pipe.Pipeline.1.node", "reason": "it is a Pipeline, not a feed"}]
    assert "keyOfALaterRelease" in " ".join(answer["rows"][0]["notes"])
    upload = SimpleUploadedFile("pack.zip", data)
    page = signed_in(superuser=True, username="editor").post(
        "/admin/feeds/feed/import/", {"file": upload}, follow=True
    )
    for words in ("Pipe.Pipeline.1.node", "it is a Pipeline, not a feed", "keyOfALaterRelease"):
        assert words in page.content.decode()
    file = tmp_path / "pack.zip"
    file.write_bytes(data)
    call_command("import_feeds", str(file))
    told = capsys.readouterr().out
    assert "1 create, 0 change, 0 same, 0 fault" in told
    assert "left out  Pipe.Pipeline.1.node: it is a Pipeline, not a feed" in told
    assert not Feed.objects.exists()
    call_command("import_feeds", str(file), apply=True, comment="TICKET-8")
    feed = Feed.objects.get()
    assert (feed.name, feed.stroom_uuid, feed.history.first().history_change_reason) == ("A-B", "1", "TICKET-8")
    call_command("import_feeds", str(file), apply=True)
    assert "0 created, 0 changed" in capsys.readouterr().out


@pytest.mark.django_db
def test_f7_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "feeds.csv"
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_feeds", str(file))
    file.write_text("name,statsu\nA-B,Drop\n")
    with pytest.raises(CommandError, match="statsu"):
        call_command("import_feeds", str(file))
    file.write_text("name,status\nA-B,Drop\nb,Drop\n")
    with pytest.raises(CommandError, match="no active superuser"):
        call_command("import_feeds", str(file))
    signed_user()
    with pytest.raises(CommandError, match="a row has a fault"):
        call_command("import_feeds", str(file), apply=True)
    assert not Feed.objects.exists()


@pytest.mark.django_db
def test_f7_an_import_that_changes_nothing_is_200() -> None:
    caller = superuser()
    for _ in range(2):
        answer = caller.post("/api/v1/feeds/import/?dry_run=false", pack(), content_type="application/zip")
        assert answer.status_code == 200
    assert answer.json()["counts"] == {"create": 0, "change": 0, "same": 1, "fault": 0}
    assert Feed.objects.get().version == 1


@pytest.mark.django_db
def test_f1_the_export_over_rest_is_that_of_the_admin_with_the_lists_filters() -> None:
    run_import(pack())
    Feed.objects.create(name="DROPPING", status="Drop")
    caller = superuser()
    answer = caller.get("/api/v1/feeds/export/?format=stroom")
    assert (answer["Content-Type"], answer["Content-Disposition"][:11]) == ("application/zip", "attachment;")
    assert {node["name"] for node, _ in as_stroom(answer.content).values()} == {DOC["name"], "DROPPING"}
    chosen = caller.get("/api/v1/feeds/export/?format=csv&status=Drop")
    assert [row.name for row in read_file(chosen.content).rows] == ["DROPPING"]
    assert len(caller.get("/api/v1/feeds/export/").json()) == 2
    for query, status in (("format=exe", 400), ("stats=Drop", 400), ("status=Nope", 400), ("limit=1", 400)):
        refused = caller.get(f"/api/v1/feeds/export/?{query}")
        assert (refused.status_code, refused["Content-Type"]) == (status, "application/problem+json"), query
    assert anonymous().get("/api/v1/feeds/export/?format=stroom").status_code == 401


# --- Java's properties ---


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
        st.text(st.characters(exclude_categories=["Cs"])),
    )
)
def test_what_is_written_as_properties_is_read_back(values: dict[str, str]) -> None:
    assert read_properties(write_properties(values)) == values


def test_properties_are_read_as_java_reads_them() -> None:
    text = (
        b"# comment\n! too\n  name = A\\\n   -B\nuuid:1\r\npath a/b\n\\u0074ags=r\\u00e9d \\ud83d\\ude00\nempty\n"
    )
    assert read_properties(text) == {"name": "A-B", "uuid": "1", "path": "a/b", "tags": "réd 😀", "empty": ""}


def test_a_file_name_is_cut_as_java_counts() -> None:
    assert file_prefix("A-B/Ü😀", "u") == "A_B____.Feed.u"
    assert file_prefix("X" * 200, "u") == "X" * 100 + ".Feed.u"
