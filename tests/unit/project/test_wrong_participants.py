from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from .valid import RIGHT, assert_named, changed, load, mistakes, row

SERVER = "  - name: flare.example.org\n    type: server\n"
PORT = "    fed_learn_port: 8002\n"
SITE_2 = "  - name: site-2\n    type: client\n    org: hospital_2\n"
ADMIN = "  - name: admin@example.org\n    type: admin\n    org: consortium\n    role: project_admin\n"
LONG = "a" * 53


PARTICIPANTS = [
    row(
        PORT,
        "    fed_learn_port: abc  # HERE\n",
        "participants[0].fed_learn_port",
        "from 1 to 65535, not 'abc'",
    ),
    row(
        PORT,
        '    fed_learn_port: "8002"  # HERE\n',
        "participants[0].fed_learn_port",
        "write 8002 without quotes",
    ),
    row(PORT, "    fed_learn_port: -5  # HERE\n", "participants[0].fed_learn_port", "whole number", "-5"),
    row(PORT, "    fed_learn_port: 99999  # HERE\n", "participants[0].fed_learn_port", "65535", "99999"),
    row(PORT, "    fed_learn_port: 0  # HERE\n", "participants[0].fed_learn_port", "from 1"),
    row(PORT, "    fed_learn_port: 8002.0  # HERE\n", "participants[0].fed_learn_port", "whole number"),
    row(PORT, "    fed_learn_port: yes  # HERE\n", "participants[0].fed_learn_port", "not yes/true"),
    row(PORT, "    fed_learn_port:  # HERE\n", "participants[0].fed_learn_port", "whole number", "not empty"),
    row(PORT, "    fed_learn_port: [8002]  # HERE\n", "participants[0].fed_learn_port", "not a list"),
    row(
        PORT, "    fed_learn_port: 8102  # HERE\n", "participants[0].fed_learn_port", "job processes", "8002"
    ),
    row(PORT, "    fed_learn_port: 9464  # HERE\n", "participants[0].fed_learn_port", "telemetry", "8002"),
    row(PORT, "    admin_port: xyz  # HERE\n", "participants[0].admin_port", "whole number", "'xyz'"),
    row(
        PORT,
        "    fed_learn_prot: 8002  # HERE\n",
        "participants[0].fed_learn_prot",
        "did you mean fed_learn_port?",
    ),
    row(
        PORT,
        "    fedLearnPort: 8002  # HERE\n",
        "participants[0].fedLearnPort",
        "did you mean fed_learn_port?",
    ),
    row(PORT, "    adminport: 8002  # HERE\n", "participants[0].adminport", "did you mean admin_port?"),
    row(PORT, "    zzz: 8002  # HERE\n", "participants[0].zzz", "unknown key; known here: name, type, org"),
    row(PORT, "    role: lead  # HERE\n", "participants[0].role", "only an administrator has it"),
    row(PORT, "    enable_byoc: true  # HERE\n", "participants[0].enable_byoc", "NVFlare 2.9 ignores it"),
    row(
        PORT, "    connection_security: clear  # HERE\n", "participants[0].connection_security", "write mtls"
    ),
    row(
        PORT,
        "    connection_security: mlts  # HERE\n",
        "participants[0].connection_security",
        "did you mean mtls?",
    ),
    row(PORT, "    use_aio: 1  # HERE\n", "participants[0].use_aio", "must be true or false, not 1"),
    row(
        PORT,
        "    default_host: a_b  # HERE\n",
        "participants[0].default_host",
        "must be a host name",
        "'a_b'",
    ),
    row(PORT, "    default_host:  # HERE\n", "participants[0].default_host", "must be text, not empty"),
    row(PORT, "    default_host: localhost  # HERE\n", "participants[0].default_host", "flare.example.org"),
    row(
        PORT,
        "    default_host: 127.0.0.1  # HERE\n",
        "participants[0].default_host",
        "each site's own machine",
    ),
    row(PORT, "    listening_host: 5  # HERE\n", "participants[0].listening_host", "must be a mapping"),
    row(
        PORT,
        "    listening_host: {prot: 5}  # HERE\n",
        "participants[0].listening_host.prot",
        "did you mean port?",
    ),
    row(
        PORT,
        "    listening_host: {port: -1}  # HERE\n",
        "participants[0].listening_host.port",
        "whole number",
    ),
    row(
        "[flare.internal.example.org]", "\n      - a b  # HERE", "participants[0].host_names[0]", "host name"
    ),
    row("[flare.internal.example.org]", "{}  # HERE", "participants[0].host_names", "must be a list"),
    row(
        SERVER,
        SERVER.replace("flare.example.org", "Flare.Example.org  # HERE"),
        "participants[0].name",
        "flare.example.org would do",
    ),
    row(
        SERVER,
        SERVER.replace("flare.example.org", "flare_server  # HERE"),
        "participants[0].name",
        "flare-server would do",
    ),
    row(
        SERVER,
        SERVER.replace("flare.example.org", "10.0.0.7  # HERE"),
        "participants[0].name",
        "default_host: 10.0.0.7",
    ),
    row(
        SERVER,
        SERVER.replace("flare.example.org", f"{'a' * 64}  # HERE"),
        "participants[0].name",
        "at most 63",
    ),
    row(SERVER, SERVER.replace("flare.example.org", "a..b  # HERE"), "participants[0].name", "a.b would do"),
    row(
        "name: site-2\n", "name: SITE-1  # HERE\n", "participants[2].name", "differs only in case from site-1"
    ),
    row("name: site-2\n", "name: site-1  # HERE\n", "participants[2].name", "is the name of participants[1]"),
    row("name: site-2\n", "name: Site_2  # HERE\n", "participants[2].name", "site-2 would do"),
    row("name: site-2\n", "name: site_1  # HERE\n", "participants[2].name", "site-1-2 would do"),
    row(
        "name: site-2\n",
        "name: server  # HERE\n",
        "participants[2].name",
        "NVFlare itself",
        "site-server would do",
    ),
    row("name: site-2\n", "name: include  # HERE\n", "participants[2].name", "site-include would do"),
    row(
        "name: site-2\n", "name: 2nd  # HERE\n", "participants[2].name", "a letter first", "site-2nd would do"
    ),
    row(
        "name: site-2\n",
        f"name: {LONG}  # HERE\n",
        "participants[2].name",
        "at most 52",
        f"{LONG[:52]} would do",
    ),
    row("name: site-2\n", "name: Klinikum Süd  # HERE\n", "participants[2].name", "klinikum-s-d would do"),
    row("name: site-2\n", 'name: ""  # HERE\n', "participants[2].name", "site would do"),
    row("name: site-2\n", "name: 12  # HERE\n", "participants[2].name", 'write "12"'),
    row("name: site-2\n", "name: 1e3.0  # HERE\n", "participants[2].name", "site-1e3-0 would do"),
    row("name: site-2\n", "name: no  # HERE\n", "participants[2].name", 'write "no"'),
    row("name: site-2\n", "name: 2024-01-02  # HERE\n", "participants[2].name", 'write "2024-01-02"'),
    row("name: site-2\n", "name: [a]  # HERE\n", "participants[2].name", "must be text, not a list"),
    row("org: hospital_2", "org: hospital-2  # HERE", "participants[2].org", "hospital_2 would do"),
    row("org: hospital_2", "org: 5  # HERE", "participants[2].org", 'write "5"'),
    row("org: hospital_2", "oorg: hospital_2  # HERE", "participants[2].oorg", "did you mean org?"),
    row(
        "org: hospital_2",
        "org: hospital_2\n    fed_learn_port: 8002  # HERE",
        "participants[2].fed_learn_port",
        "only the server has it",
    ),
    row(
        "org: hospital_2",
        "org: hospital_2\n    connect_to:  # HERE",
        "participants[2].connect_to",
        "must be a mapping",
    ),
    row(
        "org: hospital_2",
        "org: hospital_2\n    connect_to: {port: 443}  # HERE",
        "participants[2].connect_to.host",
        "missing",
    ),
    row(
        "org: hospital_2",
        "org: hospital_2\n    connect_to: {host: a, prt: 4}  # HERE",
        "participants[2].connect_to.prt",
        "did you mean port?",
    ),
    row(
        "org: hospital_2",
        "org: hospital_2\n    connect_to: {host: a, name: b}  # HERE",
        "participants[2].connect_to.name",
        "flare.example.org",
    ),
    row(
        "org: hospital_2",
        "org: hospital_2\n    capacity: {num_of_gpu: 1}  # HERE",
        "participants[2].capacity.num_of_gpu",
        "did you mean num_of_gpus?",
    ),
    row(
        "org: hospital_2",
        "org: hospital_2\n    capacity: {num_of_gpus: -1}  # HERE",
        "participants[2].capacity.num_of_gpus",
        "0 or more, not -1",
    ),
    row(
        "org: hospital_2",
        "org: hospital_2\n    parent: site-9  # HERE",
        "participants[2].parent",
        "no client 'site-9'",
        "did you mean site-",
    ),
    row(
        "org: hospital_2",
        "org: hospital_2\n    parent: site-2  # HERE",
        "participants[2].parent",
        "its own ancestor",
    ),
    row(
        "org: hospital_2",
        "org: hospital_2\n    cc_config: cc.yml  # HERE",
        "participants[2].cc_config",
        "confidential computing",
    ),
    row(SITE_2, SITE_2.replace("client", "cleint  # HERE"), "participants[2].type", "did you mean client?"),
    row(SITE_2, SITE_2.replace("client", "relay  # HERE"), "participants[2].type", "no relays"),
    row(SITE_2, SITE_2.replace("client", "overseer  # HERE"), "participants[2].type", "no overseer"),
    row(SITE_2, SITE_2.replace("client", "5  # HERE"), "participants[2].type", "must be text"),
    row(SITE_2, SITE_2.replace("client", '""  # HERE'), "participants[2].type", "unknown type ''"),
    row(SITE_2, SITE_2.replace("client", "server  # HERE"), "participants[2].type", "a second server"),
    row(
        SITE_2,
        "  - name: site-2  # HERE\n    org: a\n",
        "participants[2].type",
        "missing; write what it is: server, client",
    ),
    row(
        SITE_2,
        "  - name: site-2  # HERE\n    type: client\n",
        "participants[2].org",
        "missing; write its organization",
    ),
    row(SITE_2, "  - type: client  # HERE\n    org: a\n", "participants[2].name", "missing; write its name"),
    row(SITE_2, "  - site-2  # HERE\n", "participants[2]", "must be a mapping", "'site-2'"),
    row(SITE_2, "  -  # HERE\n", "participants[2]", "must be a mapping", "empty"),
    row("name: admin@example.org", "name: admin  # HERE", "participants[3].name", "admin@example.org"),
    row("name: admin@example.org", "name: a@example  # HERE", "participants[3].name", "e-mail address"),
    row("name: admin@example.org", f"name: {'a' * 60}@b.org  # HERE", "participants[3].name", "at most 64"),
    row(
        "role: project_admin",
        "role: project_admim  # HERE",
        "participants[3].role",
        "did you mean project_admin?",
    ),
    row(
        "role: project_admin",
        "role: boss  # HERE",
        "participants[3].role",
        "project_admin or org_admin or lead or member",
    ),
    row(
        "\n    role: project_admin", "\n    rôle: lead  # HERE", "participants[3].rôle", "did you mean role?"
    ),
    row(
        "\n    type: admin\n    org: consortium\n    role: project_admin",
        "  # HERE\n    type: admin\n    org: a",
        "participants[3].role",
        "missing",
    ),
]


@pytest.mark.parametrize(("old", "new", "key", "words"), PARTICIPANTS)
def test_a_mistake_is_named_with_its_line_its_key_and_the_way_out(
    old: str, new: str, key: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    assert_named(tmp_path, old, new, key, words)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("server", "no server; add a participant of type: server"),
        ("client", "no client; add a participant of type: client for each site"),
        ("admin", "no administrator; add a participant of type: admin, role: project_admin"),
    ],
)
def test_whoever_a_federation_needs_must_be_there(kind: str, words: str, tmp_path: Path) -> None:
    document = yaml.safe_load(RIGHT[: RIGHT.index("deployment:")])
    document["participants"] = [entry for entry in document["participants"] if entry["type"] != kind]

    said = mistakes(tmp_path, yaml.safe_dump(document, sort_keys=False))

    assert said == [f"project.yml:4: participants: {words}"]


@pytest.mark.parametrize("role", ["org_admin", "member"])
def test_somebody_must_be_allowed_to_submit_jobs(role: str, tmp_path: Path) -> None:
    said = mistakes(tmp_path, changed("role: project_admin", f"role: {role}"))

    assert said == [
        "project.yml:5: participants: no administrator may submit jobs; "
        "give one of them role: project_admin or lead"
    ]


def test_every_suggested_name_is_itself_right(tmp_path: Path) -> None:
    for name in ("SITE_2", "2", "-", "Ünïversität Köln", "a" * 90, "site.2", "server", "--x--", "%$"):
        said = mistakes(tmp_path, changed("name: site-2\n", f"name: {name!r}\n"))
        better = said[0].rpartition("; ")[2].removesuffix(" would do")

        assert load(tmp_path, changed("name: site-2\n", f"name: {better}\n")).sites[1].name == better
