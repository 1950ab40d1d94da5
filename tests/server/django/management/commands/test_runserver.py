"""django.management.commands.runserver: a real site's `manage.py runserver`, over greenserve."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.clients.raw import Answer, ask, request
from tests.support.programs.commands import Command, command, run_python

_SETTINGS = """
SECRET_KEY = "x"
DEBUG = True
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "views"
INSTALLED_APPS = {apps}
STATIC_URL = "static/"
STATICFILES_DIRS = ["assets"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}}}
"""
# Two requests meet at the barrier, each with a database connection of its own.
_VIEWS = """
import threading
from django.db import connection
from django.http import HttpResponse
from django.urls import path

both = threading.Barrier(2)
TEXT = "first"

def text(request):
    return HttpResponse(TEXT + " " + request.META["SERVER_SOFTWARE"])

def meet(request):
    with connection.cursor() as cursor:
        cursor.execute("select 1")
    both.wait(30)
    mine = id(connection.connection)
    both.wait(30)
    return HttpResponse(str(mine))

def fail(request):
    raise LookupError("shown while DEBUG is on")

urlpatterns = [path("text", text), path("meet", meet), path("fail", fail)]
"""
_MANAGE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
from django.core.management import execute_from_command_line
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
"""
_APPS = ["greenserve.django", "django.contrib.staticfiles"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "site_settings.py").write_text(_SETTINGS.format(apps=_APPS))
    (tmp_path / "views.py").write_text(_VIEWS)
    (tmp_path / "manage.py").write_text(_MANAGE)
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "page.css").write_text("body { color: green }")
    return tmp_path


@contextmanager
def running(folder: Path, *flags: str, manage: tuple[str, ...] = ("manage.py",)) -> Iterator[Site]:
    with command("-u", *manage, "runserver", *flags, "127.0.0.1:0", folder=folder) as program:
        yield Site(program)


class Site:
    """A running site, after each reload at another port."""

    def __init__(self, program: Command) -> None:
        self.program = program
        self.port = self.listens()

    def listens(self) -> int:
        assert self.program.process.stdout is not None
        for line in self.program.process.stdout:
            if found := re.search(r"server at http://127\.0\.0\.1:(\d+)/", line):
                return int(found[1])
        raise AssertionError(self.program.ended())

    def get(self, path: str) -> Answer:
        return ask(("127.0.0.1", self.port), request(path))


def test_views_static_files_and_the_page_of_an_error(folder: Path) -> None:
    with running(folder, "--noreload") as site:
        assert site.get("/text").body.startswith(b"first greenserve/")
        assert site.get("/static/page.css").body == b"body { color: green }"
        assert site.get("/static/none.css").status == 404
        failed = site.get("/fail")
        assert failed.status == 500
        assert b"shown while DEBUG is on" in failed.body
        site.program.signal(signal.SIGINT)
        assert site.program.ended() == 0


def test_requests_run_at_the_same_time_each_with_its_connection(folder: Path) -> None:
    with running(folder, "--noreload") as site, ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(site.get, ["/meet", "/meet"]))
        assert [answer.status for answer in answers] == [200, 200]
        assert answers[0].body != answers[1].body


def test_changed_code_is_served_after_a_reload(folder: Path) -> None:
    with running(folder) as site:
        assert site.get("/text").body.startswith(b"first ")
        (folder / "views.py").write_text(_VIEWS.replace("first", "second"))
        site.port = site.listens()
        assert site.get("/text").body.startswith(b"second ")
        site.program.signal(signal.SIGTERM)
        assert site.program.ended() == 0


def test_without_static_files_and_by_django_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "site_settings.py").write_text(_SETTINGS.format(apps=_APPS[:1]))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "site_settings")
    with running(folder, "--noreload", manage=("-m", "django")) as site:
        assert site.get("/text").body.startswith(b"first greenserve/")
        assert site.get("/static/page.css").status == 404


def test_nothreading_is_one_request_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "views.py").write_text(_VIEWS.replace("both.wait(30)", "both.wait(0.2)"))
    with running(folder, "--noreload", "--nothreading") as site, ThreadPoolExecutor(2) as pool:
        assert [answer.status for answer in pool.map(site.get, ["/meet", "/meet"])] == [500, 500]


def test_an_address_in_use_is_explained(folder: Path) -> None:
    with running(folder, "--noreload") as site:
        done = run_python("manage.py", "runserver", "--noreload", f"127.0.0.1:{site.port}", folder=folder)
    assert done.stderr.strip() == "Error: That port is already in use."
    assert done.returncode == 1


@pytest.mark.parametrize(("apps", "warned"), [(_APPS, False), (_APPS[::-1], True)])
def test_the_order_of_the_apps_is_checked(folder: Path, apps: list[str], warned: bool) -> None:
    (folder / "site_settings.py").write_text(_SETTINGS.format(apps=apps))
    done = run_python("manage.py", "check", folder=folder)
    assert done.returncode == 0
    assert ("greenserve.W001" in done.stderr) is warned
