import re
import tomllib
from contextlib import nullcontext
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_network
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.domain.findings import Target
from dicom_templates.result_kinds import ResultKind, SrClass
from dicom_templates.words.compose import usual_next_step
from node.analyse.result_files import report_options
from node.config import ArchiveSettings, Configuration, Contact, default, load, parse, tables, write_shipped
from node.config.tables.models import DEMONSTRATION_MODEL
from node.domain.rules import ATTRIBUTES
from node.domain.wish import Priority, Wish, WishState
from node.errors import ConfigurationError

SHIPPED = Path(__file__).resolve().parents[3] / "config.toml"


def faults(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        parse(text)
    return caught.value.faults


def uncommented(text: str) -> str:
    """Return the text of the shipped file with its example of a rule, which is no default, in force."""
    before, head, rest = text.partition("# [[rules]]\n")
    block, end, after = rest.partition("\n\n")
    return before + head[2:] + re.sub(r"^# (?=\w+ = )", "", block, flags=re.MULTILINE) + end + after


def test_the_shipped_file_is_the_default_configuration() -> None:
    assert parse(SHIPPED.read_text()) == default()


def test_the_shipped_file_listens_on_loopback_and_lets_only_loopback_in() -> None:
    configuration = load(SHIPPED)
    assert configuration.node.host == "127.0.0.1"
    assert [source.network for source in configuration.sources] == [ip_network("127.0.0.0/8")]


def test_every_key_of_the_shipped_file_has_a_comment() -> None:
    bare = [
        line for line in SHIPPED.read_text().splitlines() if re.match(r"\w+ *=", line) and "  # " not in line
    ]
    assert not bare


def leaves(value: Any, name: str = "") -> set[str]:
    if not is_dataclass(value):
        return {name}
    return set().union(*(leaves(getattr(value, field.name), field.name) for field in fields(value)))


def test_every_setting_is_in_the_shipped_file() -> None:
    written = set(re.findall(r"^(?:# )?(\w+) *=", SHIPPED.read_text(), re.MULTILINE))
    configuration = default()
    settings = leaves(configuration) - {
        "sources", "rules", "destinations", "archives", "notify", "preferred",
    }  # fmt: skip
    settings |= {*ATTRIBUTES, "take", "age_from", "age_below"}
    settings |= leaves(configuration.sources[0]) | leaves(configuration.destinations[0])
    settings |= leaves(ArchiveSettings())
    assert settings <= written


def test_every_table_is_read_by_the_module_of_its_name() -> None:
    modules = {path.stem for path in Path(tables.__path__[0]).glob("*.py")}
    assert modules - {"__init__", "fetching", "tls"} == {
        *tomllib.loads(uncommented(SHIPPED.read_text())), "archives", "notify",
    }  # fmt: skip


def test_the_block_of_an_archive_that_is_commented_out_holds_the_defaults() -> None:
    text = SHIPPED.read_text()
    block = text[text.index("# [[archives]]") : text.index("\n[storage]")]
    lines = (line.removeprefix("# ") for line in block.splitlines())
    written = "\n".join(line for line in lines if re.match(r"\[|\w+ *=", line))
    assert parse(written).archives == (ArchiveSettings(),)


def test_an_archive_has_the_address_that_its_method_needs() -> None:
    block = '[[archives]]\nname = "a"\nmethod = "{}"\n'
    assert len(faults(block.format("get"))) == 3
    (fault,) = faults(block.format("dicomweb"))
    assert "archives.url is missing" in fault
    (fault,) = faults(block.format("dicomweb") + 'url = "http://h/x"\n[archives.tls]\nca = "ca.pem"\n')
    assert "https" in fault


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ('every = "often"', "cron expression of five fields"),
        ('every = "61 * * * *"', "must be a cron expression"),
        ('every = "0 6 * * 1-5"', "must name the days of the week"),
        ('window = "18:00"', "must be two times of the day"),
        ('results_to = ["elsewhere"]', "'elsewhere', which is no destination"),
        ("look_for = { youngest = 60, oldest = 50 }", "older than the oldest"),
        ("studies_per_hour = -1", "must be between"),
    ],
)
def test_what_an_archive_is_asked_for_is_checked(keys: str, told: str) -> None:
    archive = '[[archives]]\nname = "a"\nmethod = "dicomweb"\nurl = "http://h/x"\n'
    (fault,) = faults(archive + keys)
    assert told in fault
    good = 'every = "*/10 7-19 * * mon-fri"\nwindow = "18:00 to 06:00"\nresults_to = ["pacs"]\n'
    (found,) = parse(archive + good + "[[destinations]]\n" + PACS).archives
    assert found.fetching.limits.hours is not None


PACS = 'name = "pacs"\nae_title = "A"\nhost = "h"\nport = 1\n'
DAY = date(2024, 3, 1)


@pytest.mark.parametrize(
    ("rules", "archive", "days_old", "sends_old", "expected"),
    [
        ("", "a", 30, False, ("x", "y")),
        ("", "a", 31, False, ()),
        ("", "a", None, False, ()),
        ("", "a", 31, True, ("x", "y")),
        ("results_not_older_than_days = 0", "a", 3000, False, ("x", "y")),
        ('results_to = ["y"]', "a", 1, False, ("y",)),
        ('results_to = ["y"]', "a", 300, True, ("y",)),
        ("results_to = []", "a", 1, True, ()),
        ("", "one that was removed", 1, True, ()),
    ],
)
def test_results_of_a_fetched_study_go_where_its_archive_says(
    rules: str,
    archive: str,
    days_old: int | None,
    sends_old: bool,  # noqa: FBT001
    expected: tuple[str, ...],
) -> None:
    two = "".join(f"[[destinations]]\n{PACS.replace('pacs', name)}" for name in "xy")
    found = parse(f'[[archives]]\nname = "a"\nmethod = "dicomweb"\nurl = "http://h/x"\n{rules}\n{two}')
    day = None if days_old is None else DAY - timedelta(days=days_old)
    now = datetime(2024, 3, 1, tzinfo=UTC)
    wish = Wish(
        archive, "1.2", "b", Priority.BACKLOG, WishState.FETCHED, "", now, now, now,
        study_date=day, sends_old=sends_old,
    )  # fmt: skip
    assert found.receivers_of(wish, DAY) == expected
    assert found.receivers_of(None, DAY) == ("x", "y")


def test_the_example_of_a_rule_in_the_shipped_file_is_one() -> None:
    (rule,) = parse(uncommented(SHIPPED.read_text())).rules
    assert (rule.name, rule.take) == ("brain", False)
    assert {one.attribute for one in rule.conditions} == {*ATTRIBUTES, "age"}


def test_the_examples_of_contacts_in_the_shipped_file_are_right_and_have_every_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are written as comments, because by default nobody is told anything."""
    lines = SHIPPED.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line == "#[[notify]]")
    block = takewhile(lambda line: line.startswith("#"), lines[start:])
    monkeypatch.setenv("OSTEONODE_WEBHOOK_SECRET", "whsec_" + "A" * 32)
    monkeypatch.setenv("OSTEONODE_MAIL_PASSWORD", "secret")
    text = "\n".join(line.removeprefix("#") for line in block)
    program, person = parse(text).notify
    assert program.webhook
    assert person.smtp
    assert not {one.name for one in fields(Contact)} - set(
        re.findall(r"^\[?(?:notify\.)?(\w+)", text, re.MULTILINE)
    )
    assert default().notify == ()


def test_a_misspelt_key_is_told_with_its_line_and_the_right_spelling() -> None:
    (fault,) = faults('[node]\n\nae_titel = "X"\n')
    assert fault == "config.toml:3: node.ae_titel is unknown; did you mean ae_title?"


def test_all_faults_are_told_at_once() -> None:
    found = faults(
        '[node]\nport = "x"\n'
        '[[sources]]\nae_title = "A"\n'
        '[[destinations]]\nname = "Bad Name"\nae_title = "B"\nhost = ""\nport = 0\nresults = ["fax"]\n'
        "[assembly]\nquiet_s = -1\n"
        "[nonsense]\n"
    )
    assert len(found) == 8
    lines = [int(fault.split(":")[1]) for fault in found]
    assert sorted(lines) == [2, 3, 6, 8, 9, 10, 12, 13]


def test_faults_in_the_second_of_two_tables_have_the_lines_of_the_second() -> None:
    source = '[[sources]]\nae_title = "A"\nnetwork = '
    text = f'{source}"10.0.0.0/8"\n{source}"10.0.0.1/8"\n'
    (fault,) = faults(text)
    assert fault.startswith("config.toml:6: sources.network")


def test_each_destination_chooses_the_class_of_its_measurement_report() -> None:
    block = '[[destinations]]\nname = "{}"\nae_title = "A"\nhost = "h"\nport = 1\n'
    text = block.format("new") + 'sr_class = "comprehensive-3d"\n' + block.format("old")
    configuration = parse(text)
    assert [there.sr_class for there in configuration.destinations] == [
        SrClass.COMPREHENSIVE_3D, SrClass.COMPREHENSIVE,
    ]  # fmt: skip
    assert configuration.sr_classes == tuple(SrClass)
    assert parse(text.partition(block.format("old"))[0]).sr_classes == (SrClass.COMPREHENSIVE_3D,)
    assert parse(block.format("pictures") + 'results = ["summary"]').sr_classes == (SrClass.COMPREHENSIVE,)
    (fault,) = faults(block.format("a") + 'sr_class = "3d"\n')
    assert fault == "config.toml:6: destinations.sr_class must be one of comprehensive, comprehensive-3d"


def test_a_table_written_as_an_array_is_told_with_its_line() -> None:
    (fault,) = faults("# a node\n[[node]]\nport = 1\n")
    assert fault == "config.toml:2: [node] must be a table"


def test_two_destinations_never_share_a_name() -> None:
    one = '[[destinations]]\nname = "a"\nae_title = "A"\nhost = "h"\nport = 1\n'
    (fault,) = faults(one + one)
    assert "two blocks of [[destinations]] are called a" in fault


def test_a_file_that_is_no_toml_says_where() -> None:
    (fault,) = faults("[node\nport = 1")
    assert "line 1" in fault


def test_without_sources_nobody_may_send() -> None:
    assert parse("").sources == ()


def test_a_password_in_the_database_url_is_a_fault() -> None:
    (fault,) = faults('[store]\nurl = "postgresql+psycopg://osteo:hunter2@db/osteo"\n')
    assert "hunter2" not in fault
    assert "env:" in fault


def test_a_secret_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTEONODE_DB", "postgresql+psycopg://osteo:hunter2@db/osteo")
    assert parse('[store]\nurl = "env:OSTEONODE_DB"\n').store.url.endswith("@db/osteo")


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("sqlite:///x.db\n")
    assert parse(f'[store]\nurl = "file:{tmp_path / "url"}"\n').store.url == "sqlite:///x.db"


def test_a_secret_that_is_not_there_is_a_fault() -> None:
    (fault,) = faults('[store]\nurl = "env:NOT_SET_ANYWHERE"\n')
    assert "which is not there" in fault


def test_paths_are_meant_from_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[storage]\ndirectory = "spool"\n[models]\nbundle = "mine"\n')
    configuration = load(tmp_path / "config.toml")
    assert configuration.storage.directory == tmp_path / "spool"
    assert configuration.models.bundle == tmp_path / "mine"


def test_the_bundle_is_the_shipped_one_a_folder_or_none(tmp_path: Path) -> None:
    def bundle(written: str) -> Path | None:
        (tmp_path / "config.toml").write_text(f'[models]\nbundle = "{written}"\n')
        return load(tmp_path / "config.toml").models.bundle

    assert bundle("") == default().models.bundle == DEMONSTRATION_MODEL
    assert bundle("none") is None
    assert bundle("./none") == tmp_path / "none"


def test_models_in_the_shadow_are_folders_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[models]\nbundle = "none"\nshadow = ["new", "models/newer"]\n')
    assert load(tmp_path / "config.toml").models.shadow == (tmp_path / "new", tmp_path / "models" / "newer")
    assert default().models.shadow == ()
    (fault,) = faults('[models]\nshadow = [""]\n')
    assert fault == "config.toml:2: models.shadow must be a list of folders: an empty text is none"


def test_an_empty_name_is_a_fault_that_says_of_what() -> None:
    assert faults('[node]\nhost = " "\n[storage]\ndirectory = ""\n') == (
        "config.toml:2: node.host must name a host",
        "config.toml:4: storage.directory must name a folder",
    )


def test_a_missing_file_is_a_configuration_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(tmp_path / "none.toml")


def test_sequences_and_kinds_become_values() -> None:
    configuration = parse(
        '[analysis]\nosteoporosis_from = "T2"\n'
        '[[destinations]]\nname = "a"\nae_title = "A"\nhost = "h"\nport = 1\nresults = ["sr"]\n'
    )
    assert configuration.analysis.preferred[Target.OSTEOPOROSIS] == "T2"
    assert configuration.destinations[0].results == (ResultKind.SR,)


def outcome(text: str) -> Configuration | ConfigurationError:
    try:
        return parse(text)
    except ConfigurationError as error:
        return error


@given(st.text(max_size=200))
def test_any_text_is_a_configuration_or_a_list_of_faults(text: str) -> None:
    found = outcome(text)
    assert isinstance(found, Configuration) or found.faults


@given(
    st.dictionaries(
        st.sampled_from([*tomllib.loads(SHIPPED.read_text()), "other"]),
        st.one_of(
            st.integers(),
            st.dictionaries(st.sampled_from(["port", "host", "quiet_s", "url", "zz"]), st.booleans()),
        ),
        min_size=1,
    )
)
def test_values_of_the_wrong_shape_are_faults_with_a_line(document: dict[str, Any]) -> None:
    scalars = [f"{name} = {value}" for name, value in document.items() if isinstance(value, int)]
    tables = [
        "\n".join([f"[{name}]", *(f"{key} = {str(value).lower()}" for key, value in inner.items())])
        for name, inner in document.items()
        if isinstance(inner, dict)
    ]
    found = outcome("\n".join([*scalars, *tables]))
    if isinstance(found, ConfigurationError):
        assert all(re.match(r"config.toml:\d+: ", fault) for fault in found.faults if "missing" not in fault)


@pytest.mark.parametrize("host", ["a..b", f"{'x' * 64}.example", "two words", "a\\u0000b", "pacs/../x"])
@pytest.mark.parametrize(
    "text",
    [
        '[node]\nhost = "{}"\n',
        '[[sources]]\nae_title = "A"\nnetwork = "127.0.0.1"\nask = true\nhost = "{}"\n',
        '[[destinations]]\nname = "a"\nae_title = "A"\nport = 1\nhost = "{}"\n',
        '[[destinations]]\nname = "a"\nstow_url = "https://{}/dicom-web"\n',
        '[audit]\nsyslog = "udp://{}:514"\n',
    ],
)
def test_what_cannot_be_the_name_of_a_host_is_told_where_it_stands(host: str, text: str) -> None:
    if host == "pacs/../x" and "stow_url" in text:
        return  # a path after the host
    assert any("must name a host" in fault or "must be " in fault for fault in faults(text.format(host)))


def test_a_new_node_starts_from_the_shipped_file(tmp_path: Path) -> None:
    """The file has the words of the one in the repository, loads without a fault, and is never replaced."""
    file = write_shipped(tmp_path / "new" / "node")
    assert file.read_text() == SHIPPED.read_text()
    assert load(file).storage.directory == tmp_path / "new" / "node" / "var"
    file.write_text("[node]\n")
    with pytest.raises(ConfigurationError, match="exists already"):
        write_shipped(file.parent)
    assert file.read_text() == "[node]\n"
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_shipped(file / "below")


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("written", [None, "", "Ask the bone clinic: 47 11."])
def test_what_to_do_next_is_ours_in_the_language_of_the_report_or_the_words_of_the_site(
    language: str, written: str | None
) -> None:
    key = "" if written is None else f'next_step = "{written}"\n'
    configuration = parse(f'[report]\nlanguage = "{language}"\n{key}')
    told = report_options(configuration, datetime(2026, 1, 5)).next_step  # noqa: DTZ001
    assert told == (usual_next_step(language) if written is None else written)


@pytest.mark.parametrize("written", ["two\\nlines", "doubled  space", " before", "x" * 401])
def test_what_to_do_next_is_one_line_that_fits(written: str) -> None:
    (fault,) = faults(f'[report]\nnext_step = "{written}"\n')
    assert "report.next_step must be one line of at most 400 characters" in fault


CONTACT = '[[notify]]\nname = "a"\nwebhook = "https://hooks.example/"\nsecret = "env:SECRET"\n'
PERSON = '[[notify]]\nname = "a"\nsmtp = "mail.example:587"\nsender = "a@b.example"\nto = ["c@d.example"]\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[[notify]]\nname = "a"\n', "or smtp must be given"),
        (CONTACT + 'smtp = "mail.example:25"\nsender = "a@b"\nto = ["c@d"]\n', "and not both"),
        (CONTACT.replace('secret = "env:SECRET"\n', ""), "is signed"),
        (CONTACT.replace("env:SECRET", "whsec_AAAA"), "is a secret"),
        (CONTACT.replace("env:SECRET", "env:SHORT"), "24 to 64 random bytes"),
        (CONTACT.replace("https", "http") + "identify = true\n", "needs an https:// address"),
        (CONTACT.replace("https", "http") + 'authorization = "env:SECRET"\n', "needs an https:// address"),
        (CONTACT.replace("hooks.example", "user:hunter2@hooks.example"), "holds a password"),
        (CONTACT + 'on = ["result"]\n', "go together"),
        (CONTACT + "[notify.above]\nosteoporosis = 0.5\n", "go together"),
        (CONTACT + 'on = ["result"]\n[notify.above]\nosteoporosis = 1.5\n', "between 0 and 1"),
        (CONTACT + 'on = ["result"]\n[notify.above]\nosteoporosis = "high"\n', 'a number or "threshold"'),
        (CONTACT + 'on = ["result"]\n[notify.above]\nporosis = 0.5\n', "is unknown"),
        (PERSON.replace(":587", ""), "host:port"),
        (PERSON.replace("c@d.example", "c@d.example\\nBcc: x@y"), "e-mail addresses"),
        (PERSON.replace("a@b.example", "a"), "an e-mail address"),
        (PERSON + 'user = "u"\n', "and password go together"),
        (PERSON + PERSON, "two blocks of [[notify]] are called a"),
    ],
)
def test_what_cannot_be_told_is_a_fault_of_the_file(
    text: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "whsec_" + "A" * 32)
    monkeypatch.setenv("SHORT", "whsec_AAAA")
    found = faults(text)
    assert any(told in fault for fault in found), found
    assert not any("hunter2" in fault for fault in found)


@pytest.mark.parametrize("before", [
    '[[destinations]]\nname = "fhir"\nfhir_url = "{url}"\n',
    '[[destinations]]\nname = "web"\nstow_url = "{url}"\n',
    '[[archives]]\nname = "web"\nmethod = "dicomweb"\nurl = "{url}"\n',
])  # fmt: skip
@pytest.mark.parametrize(("url", "is_fine"), [
    ("https://pacs.example/r4", True), ("http://127.0.0.1:8080/r4", True), ("http://pacs.example/r4", False),
    ("http://127.0.0.1@pacs.example/r4", False),
])  # fmt: skip
def test_credentials_are_sent_in_the_clear_only_if_somebody_says_so(
    monkeypatch: pytest.MonkeyPatch, before: str, url: str, *, is_fine: bool
) -> None:
    monkeypatch.setenv("TOKEN", "Bearer t")
    written = before.format(url=url) + 'authorization = "env:TOKEN"\n'
    with nullcontext() if is_fine else pytest.raises(ConfigurationError, match="authorization_in_the_clear"):
        parse(written)
    parse(written + "authorization_in_the_clear = true\n")
