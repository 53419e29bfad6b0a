"""What a step reads through other modules of the project: edges where it is certain that it does,
warnings where it may."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_models.compilation.tasks import PythonTask, TargetStep, task_for
from dagster_models.core.model import Key, Project
from dagster_models.project.targets import usable_target
from project_cases import load, write_project

BASE = {
    "dagster_models.yaml": "name: p\n",
    "models/raw/orders.sql": "select 1 as id",
    "models/raw/paid.sql": "select 1 as id",
}
IMPORT = "from dagster_models import warehouse\n"
MODEL = "def model(warehouse):\n    return "
READS = 'def load(warehouse):\n    return warehouse.sql("select * from raw.orders").df()\n'
OWN = IMPORT + 'def load():\n    return warehouse.sql("select * from raw.orders").df()\n'
HIDDEN = IMPORT + "def load(name):\n    return warehouse.table(name).df()\n"


def loaded(root: Path, model: str, **files: str) -> Project:
    paths = {name.replace("__in__", "/") + ".py": text for name, text in files.items()}
    return load(write_project(root, {**BASE, "models/marts/m.py": model, **paths}))


def edges(project: Project) -> str:
    return " ".join(map(str, project.steps[Key("marts", "m")].upstream))


def places(project: Project) -> list[str]:
    return [f"{w.path}:{w.line} {w.what.rpartition(': ')[2]}" for w in project.warnings]


@pytest.mark.parametrize(
    ("model", "files"),
    [
        ("from helper import load\n" + MODEL + "load()", {"helper": OWN}),
        ("from helper import load as l\n" + MODEL + "l()", {"helper": OWN}),
        ("import helper\n" + MODEL + "helper.load()", {"helper": OWN}),
        ("import helper as h\n" + MODEL + "h.load()", {"helper": OWN}),
        ("from helper import *\n" + MODEL + "load()", {"helper": OWN}),
        (MODEL + "load()\nfrom helper import load", {"helper": OWN}),
        ("def model(warehouse):\n    import helper\n    return helper.load()", {"helper": OWN}),
        ("from helper import load\n" + MODEL + "load(warehouse)", {"helper": READS}),
        ("import helper\n" + MODEL + "helper.load(warehouse=warehouse)", {"helper": READS}),
        ("import lib.deep\n" + MODEL + "lib.deep.load()", {"lib__in__deep": OWN}),
        ("from lib.deep import load\n" + MODEL + "load()", {"lib__in__deep": OWN}),
        ("from lib import deep\n" + MODEL + "deep.load()", {"lib__in__deep": OWN}),
        (
            "from lib import load\n" + MODEL + "load()",
            {"lib__in____init__": "from .deep import load", "lib__in__deep": OWN},
        ),
        (
            "import lib\n" + MODEL + "lib.first()",
            {"lib__in____init__": "from .deep import load as first", "lib__in__deep": OWN},
        ),
        (
            "from lib import load\n" + MODEL + "load()",
            {"lib__in____init__": "from .deep import *", "lib__in__deep": OWN},
        ),
        ("from helper import outer\n" + MODEL + "outer()", {"helper": OWN + "def outer(): load()"}),
        ("from helper import ROWS\n" + MODEL + "ROWS", {"helper": OWN + "ROWS = load()"}),
        (
            "from helper import rows\n" + MODEL + "rows.all()",
            {
                "helper": IMPORT + "class R:\n    def all(self): return self.one()\n"
                "    def one(self): return warehouse.table('raw.orders')\nrows = R()"
            },
        ),
        (
            "import helper\n" + MODEL + "helper.orders",
            {"helper": IMPORT + "def __getattr__(name): return warehouse.table('raw.orders')"},
        ),
        (
            "from models.raw.other import model as other\n" + MODEL + "other(warehouse)",
            {"models__in__raw__in__other": MODEL + "warehouse.table('raw.orders').df()"},
        ),
        (
            "from helper import timed\n@timed\n" + MODEL + "warehouse.table('raw.orders')",
            {
                "helper": "def timed(f):\n    def inner(*args, **kwargs):\n"
                "        return f(*args, **kwargs)\n    return inner"
            },
        ),
        ("import helper\n" + MODEL + "[]", {"helper": IMPORT + "warehouse.table('raw.orders')"}),
        (
            "from helper import R\n" + MODEL + "R().rows()",
            {
                "helper": IMPORT
                + "class R:\n    def rows(self): return warehouse.table('raw.orders')\n"
                "    def others(self): return warehouse.table('raw.paid')"
            },
        ),
    ],
)
def test_queries_of_other_modules_are_the_steps_own(
    tmp_path: Path, model: str, files: dict[str, str]
) -> None:
    project = loaded(tmp_path, model, **files)
    assert edges(project) == "raw.orders"
    assert places(project) == []


def test_names_are_replaced_in_queries_of_other_modules(tmp_path: Path) -> None:
    project = loaded(tmp_path, "from helper import load\n" + MODEL + "load()", helper=OWN)
    target = usable_target(project, None)
    task = task_for(TargetStep(project, project.steps[Key("marts", "m")], target), "run", 1)
    assert isinstance(task, PythonTask)
    assert dict(task.queries) == {"select * from raw.orders": 'select * from "raw"."orders"'}


def test_a_function_that_is_not_used_is_not_read(tmp_path: Path) -> None:
    helper = OWN + HIDDEN.replace("load", "hidden") + "def clean(frame): return frame\n"
    project = loaded(tmp_path, "from helper import clean\n" + MODEL + "clean([])", helper=helper)
    assert edges(project) == ""
    assert places(project) == []


@pytest.mark.parametrize(
    ("model", "helper", "place"),
    [
        ("from helper import load\n" + MODEL + "load('x')", HIDDEN, "helper.py:3"),
        ("import helper\n" + MODEL + "getattr(helper, name)()", OWN, "helper.py:3"),
        ("import helper\n" + MODEL + "run(helper)", OWN, "helper.py:3"),
        ("from helper import ALL\n" + MODEL + "ALL[0]()", OWN + "ALL = [load]", "helper.py:3"),
        (
            "from importlib import import_module\n" + MODEL + "import_module('helper').load()",
            OWN,
            "helper.py:3",
        ),
        ("import helper\n" + MODEL + "helper.load(warehouse)", "def load(db): ...", "m.py:3"),
        (
            "import helper\n" + MODEL + "helper.load(warehouse)",
            "def load(warehouse): other(warehouse)",
            "helper.py:1",
        ),
        (
            "import helper\n" + MODEL + "helper.load(1, warehouse)",
            "def load(warehouse, n): ...",
            "m.py:3",
        ),
        (
            "import helper\n" + MODEL + "helper.DB.sql('x')",
            IMPORT + "DB = warehouse",
            "helper.py:2",
        ),
        (
            "import helper\n" + MODEL + "helper.get().sql('x')",
            IMPORT + "def get(): return warehouse",
            "helper.py:2",
        ),
        (
            "from lib import rows\n" + MODEL + "rows()",
            "",
            "rows.py:3",
        ),
        ("import helper\nw = helper.warehouse\n" + MODEL + "w.sql('x')", IMPORT, "m.py:2"),
        ("from helper import warehouse\nw = [warehouse]\n" + MODEL + "w", IMPORT, "m.py:2"),
        ("from helper import *\nw = [warehouse]\n" + MODEL + "w", IMPORT, "m.py:2"),
        (
            "import helper\nhelper.warehouse = 1\ndef model(warehouse):\n"
            "    helper.warehouse = warehouse\n    return helper.load()",
            "def load(): return [warehouse]",
            "helper.py:1",
        ),
        (
            "from helper import deco\n@deco\n" + MODEL + "[]",
            "def deco(f): return lambda db: f(db.sql('x'))",
            "m.py:2",
        ),
        (
            "from helper import R\n" + MODEL + "getattr(R(), name)()",
            IMPORT + "class R:\n    def rows(self): return warehouse.table('raw.orders')",
            "helper.py:3",
        ),
        (
            "from helper import S\n" + MODEL + "S(warehouse).rows()",
            "class R:\n    def __init__(self, warehouse): self.warehouse = warehouse\n"
            "class S(R): ...",
            "m.py:3",
        ),
        (
            "from helper import run\n" + MODEL + "run()",
            OWN + "ALL = []\ndef register(f):\n    ALL.append(f)\n    return f\n"
            "@register\ndef hidden(): return warehouse.table('x')\ndef run(): return ALL[0]()",
            "helper.py:9",
        ),
        (
            "from helper import Base\n" + MODEL + "[c().rows() for c in Base.__subclasses__()]",
            IMPORT + "class Base: ...\nclass A(Base):\n"
            "    def rows(self): return warehouse.table('raw.orders')",
            "helper.py:4",
        ),
        (
            "from helper import run\n" + MODEL + "run()",
            IMPORT + "class Base:\n    def __init_subclass__(cls): ALL.append(cls)\n"
            "class A(Base):\n    def rows(self): return warehouse.table('raw.orders')\n"
            "ALL = []\ndef run(): return Base and [c().rows() for c in ALL]",
            "helper.py:5",
        ),
        (
            "from helper import R\n" + MODEL + "R.make(warehouse)",
            "class R:\n    def __init__(self, warehouse): ...\n"
            "    @staticmethod\n    def make(db): return db.sql('x')",
            "m.py:3",
        ),
        (
            "from helper import deco\n@deco\n" + MODEL + "[]",
            "def deco(f):\n    def inner(*args):\n        keep(args)\n        return f(*args)\n"
            "    return inner",
            "m.py:2",
        ),
        (
            "from helper import deco\n@deco\n" + MODEL + "[]",
            "def deco(f):\n    def inner(*args):\n        return other(*args)\n    return inner",
            "m.py:2",
        ),
        ("from helper import warehouse as w\n" + MODEL + "w.sql('x')", IMPORT, "m.py:1"),
        (
            "from helper import R\ndef model(warehouse):\n    db = R(warehouse).warehouse",
            "class R:\n    def __init__(self, warehouse): self.warehouse = warehouse",
            "m.py:3",
        ),
    ],
)
def test_what_may_be_read_through_other_modules_is_a_warning(
    tmp_path: Path, model: str, helper: str, place: str
) -> None:
    package = {
        "lib__in____init__": f"{IMPORT}from .rows import rows",
        "lib__in__rows": "from . import warehouse\ndef rows():\n    return [warehouse]",
    }
    project = loaded(tmp_path, model, helper=helper, **package)
    assert edges(project) == ""
    assert any(place in found for found in places(project)), places(project)


def test_the_warning_names_the_header_to_change(tmp_path: Path) -> None:
    project = loaded(tmp_path, "from helper import load\n" + MODEL + "load('x')", helper=HIDDEN)
    assert [str(warning) for warning in project.warnings] == [
        "helper.py:3:28: warning: the tables that it reads cannot be determined: "
        "warehouse.table(...)\n"
        "    Name the tables in `upstream:` in the header of models/marts/m.py."
    ]


def test_models_that_share_a_module_do_not_depend_on_each_other(tmp_path: Path) -> None:
    shared = IMPORT + (
        "class Tables:\n"
        "    def first(self): return warehouse.table('raw.orders').df()\n"
        "    def second(self): return warehouse.table('marts.m').df()\n"
    )
    root = write_project(
        tmp_path,
        {
            **BASE,
            "shared.py": shared,
            "models/marts/m.py": "from shared import Tables\n" + MODEL + "Tables().first()",
            "models/marts/n.py": "from shared import Tables\n" + MODEL + "Tables().second()",
        },
    )
    project = load(root)
    upstream = {str(key): [*map(str, step.upstream)] for key, step in project.steps.items()}
    assert upstream["marts.m"] == ["raw.orders"]
    assert upstream["marts.n"] == ["marts.m"]


def test_a_module_that_is_not_python_is_left_to_its_import(tmp_path: Path) -> None:
    project = loaded(tmp_path, "import helper\n" + MODEL + "[]", helper="def (")
    assert places(project) == []


def test_modules_that_import_each_other(tmp_path: Path) -> None:
    project = loaded(
        tmp_path,
        "from a import load\n" + MODEL + "load()",
        a="from b import *",
        b="from a import *\n" + OWN,
    )
    assert edges(project) == "raw.orders"
