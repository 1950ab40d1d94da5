"""apps/frameworks/django_notes behind the command, on a PostgreSQL of its own."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import requests
from apps.frameworks.django_notes import __name__ as notes
from tests.server.frameworks.sites import serving_app
from tests.support.programs.commands import ROOT, run_python
from tests.support.servers.services import postgres
from tests.support.times import PATIENCE, eventually

AT_ONCE = 30


@pytest.fixture(scope="module")
def database():
    with postgres() as where:
        yield where


@pytest.fixture(scope="module")
def site(database, tmp_path_factory):
    settings = dict(word.split("=") for word in database.split())
    environ = {"PGHOST": settings["host"], "PGUSER": settings["user"], "PGDATABASE": settings["dbname"]}
    environ["SECRET_KEY"] = "only for a test"
    made = run_python("-m", "django", "migrate", "--settings", f"{notes}.settings", folder=ROOT, **environ)
    assert made.returncode == 0, made.stderr
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        with serving_app(f"{notes}.wsgi:app", tmp_path_factory.mktemp("notes")) as site:
            yield site


@pytest.fixture
def browser(site):
    """A session that has the form's token, as a browser has."""
    with requests.Session() as session:
        page = session.get(site.url, timeout=PATIENCE).text
        session.headers["X-CSRFToken"] = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
        yield session


def test_its_migrations_are_those_of_its_models(site):
    checked = run_python(
        *("-m", "django", "makemigrations", "--check", "--dry-run", "--settings", f"{notes}.settings"),
        folder=ROOT,
        SECRET_KEY="only for a test",
    )
    assert checked.returncode == 0, checked.stdout


def test_keeps_notes_and_shows_the_newest_first(site, browser):
    for text in ("first", "<b>second</b>"):
        kept = browser.post(site.url, data={"text": text}, timeout=PATIENCE)
        assert (kept.status_code, kept.history[0].status_code) == (200, 302)
    shown = re.findall(r"</time> (.*?)</p>", kept.text)
    assert shown[:2] == ["&lt;b&gt;second&lt;/b&gt;", "first"]


@pytest.mark.parametrize("text", ["", " ", "x" * 501, "a\0b"])
def test_refuses_what_is_no_note(site, browser, text):
    answer = browser.post(site.url, data={"text": text}, timeout=PATIENCE)
    assert answer.status_code == 400
    assert "errorlist" in answer.text


def test_refuses_a_form_of_another_site_and_one_that_is_too_long(site, browser):
    assert requests.post(site.url, data={"text": "x"}, timeout=PATIENCE).status_code == 403
    assert browser.post(site.url, data={"text": "x" * 100_000}, timeout=PATIENCE).status_code == 400
    assert requests.get(site.url, headers={"Host": "elsewhere"}, timeout=PATIENCE).status_code == 400


def test_requests_that_wait_for_the_database_share_ten_connections_and_stop_no_other(site, database):
    counted = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with (
        psycopg.connect(database) as ours,
        psycopg.connect(
            database, autocommit=True
        ) as counts,  # within a transaction the view would not change
        ThreadPoolExecutor(AT_ONCE) as clients,
    ):
        ours.execute("LOCK TABLE django_notes_note")
        try:
            waiting = [clients.submit(requests.get, site.url, timeout=PATIENCE) for _ in range(AT_ONCE)]
            eventually(lambda: counts.execute(counted).fetchone() == (10,), "ten that wait")
            assert requests.get(f"{site.url}/health", timeout=PATIENCE).text == "ok\n"
            assert counts.execute(counted).fetchone() == (10,)
            assert not any(one.done() for one in waiting)
        finally:
            ours.rollback()
        assert {one.result().status_code for one in waiting} == {200}
        theirs = "SELECT count(*) - 2 FROM pg_stat_activity WHERE backend_type = 'client backend'"
        assert counts.execute(theirs).fetchone() == (10,)


def test_after_a_restart_of_the_database_each_old_connection_costs_one_request_at_most(site, database):
    assert requests.get(site.url, timeout=PATIENCE).status_code == 200
    others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    with psycopg.connect(database, autocommit=True) as ours:
        ended = ours.execute(f"SELECT pg_terminate_backend(pid) {others}").fetchall()
        eventually(
            lambda: ours.execute(f"SELECT count(*) {others}").fetchone() == (0,), "the end of all others"
        )
    assert ended
    for _ in ended:
        requests.get(site.url, timeout=PATIENCE)
    assert {requests.get(site.url, timeout=PATIENCE).status_code for _ in range(3)} == {200}
    site.program.until("OperationalError")
