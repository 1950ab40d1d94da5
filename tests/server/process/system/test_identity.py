"""identity: the user and groups of a worker, its title, and its end with the master."""

from __future__ import annotations

import grp
import os
import pwd
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from greenserve.config import Config
from greenserve.errors import ConfigError
from greenserve.process.master.sockets import Sockets
from greenserve.process.system.identity import Account, end_with_parent, find_account, set_title

_needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
_NOBODY = pwd.getpwnam("nobody")


@pytest.fixture(autouse=True)
def all_may_read_python(monkeypatch):
    """Though this one may stand in the home of root."""
    monkeypatch.setattr("greenserve.process.system.identity.os.__file__", "/")


def _in_child(check: Callable[[], object]) -> None:
    """Run `check` in a process of its own, which it may change for good."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            check()
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    said = b""
    while data := os.read(reader, 4096):
        said += data
    os.close(reader)
    os.waitpid(child, 0)
    assert said == b""


def test_without_settings_nothing_changes():
    assert find_account("", "") is None


@pytest.mark.parametrize(
    ("user", "group", "message"),
    [
        ("no-such-user", "", "user = no-such-user: this system has no such user"),
        ("", "no-such-group", "group = no-such-group: this system has no such group"),
        ("nobody", "no-such-group", "group = no-such-group"),
    ],
)
def test_unknown_names(user, group, message):
    with pytest.raises(ConfigError, match=message):
        find_account(user, group)


def test_a_user_brings_its_groups():
    account = find_account("nobody", "")
    assert account is not None
    assert (account.name, account.uid, account.gid) == ("nobody", _NOBODY.pw_uid, _NOBODY.pw_gid)
    assert account.groups == os.getgrouplist("nobody", _NOBODY.pw_gid)


def test_a_number_may_have_no_name():
    account = find_account("54321", "54322")
    assert account is not None
    assert (account.name, account.uid, account.gid, account.groups) == ("", 54321, 54322, [54322])


@_needs_root
def test_root_becomes_nobody_for_good():
    def check() -> None:
        account = find_account("nobody", "")
        assert account is not None
        account.enter()
        assert os.getresuid() == (_NOBODY.pw_uid,) * 3
        assert os.getresgid() == (_NOBODY.pw_gid,) * 3
        assert set(os.getgroups()) == set(account.groups)
        assert os.environ["USER"] == os.environ["LOGNAME"] == "nobody"
        assert os.environ["HOME"] == _NOBODY.pw_dir
        with pytest.raises(PermissionError):
            os.setuid(0)
        with pytest.raises(PermissionError):
            open("/etc/shadow").close()

    _in_child(check)


@_needs_root
def test_a_user_that_may_not_read_python_is_told_so(monkeypatch):
    monkeypatch.setattr("greenserve.process.system.identity.os.__file__", "/root/os.py")

    def check() -> None:
        account = find_account("nobody", "")
        assert account is not None
        with pytest.raises(ConfigError, match="user nobody may not read Python's own files"):
            account.enter()

    _in_child(check)


@_needs_root
@pytest.mark.parametrize("user", ["54321", "nobody"])
def test_no_group_of_root_is_left(user):
    def check() -> None:
        account = find_account(user, "54322" if user == "54321" else "")
        assert account is not None
        account.enter()
        assert 0 not in {os.getgid(), os.getegid(), *os.getgroups()}

    _in_child(check)


@_needs_root
def test_a_number_without_a_name_would_keep_the_groups_of_root():
    with pytest.raises(ConfigError, match=r"user = 54321: this number has no name.*set group too"):
        find_account("54321", "")


@_needs_root
def test_a_group_alone():
    group = next(entry for entry in grp.getgrall() if entry.gr_gid not in (0, _NOBODY.pw_gid))

    def check() -> None:
        account = find_account("", group.gr_name)
        assert account is not None
        account.enter()
        assert os.getuid() == 0
        assert os.getgid() == group.gr_gid
        assert os.getgroups() == [group.gr_gid]

    _in_child(check)


@_needs_root
def test_others_than_root_are_told_what_to_do():
    def check() -> None:
        account, other = find_account("nobody", ""), find_account("54321", "54321")
        assert account is not None
        assert other is not None
        account.enter()
        account.enter()  # already
        with pytest.raises(ConfigError, match=r"not allowed to become user 54321.*start as root"):
            other.enter()

    _in_child(check)


def test_a_process_whose_parent_has_ended_already_ends():
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        end_with_parent(os.getppid() + 1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM


def test_a_title_needs_setproctitle_and_else_does_nothing():
    set_title("worker 1 [web:app]")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
class TestFiles:
    """What root makes, and a worker of another user needs."""

    def _account(self) -> Account:
        account = find_account("nobody", "")
        assert account is not None
        return account

    def test_a_log_is_made_and_given_to_it(self, tmp_path: Path) -> None:
        account, path = self._account(), tmp_path / "access.log"
        for _ in range(2):
            account.own_log(str(path))
            assert (path.stat().st_uid, path.stat().st_gid) == (account.uid, account.gid)
            assert path.stat().st_mode & 0o777 == 0o640
            path.write_text("a line\n")
        assert path.read_text() == "a line\n"

    @pytest.mark.parametrize("place", ["-", "off", "logging", "journald", "syslog:", "none/access.log"])
    def test_other_places_are_left_alone(
        self, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        self._account().own_log(place)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symbolic", "hard"])
    def test_a_link_gives_nothing_away(self, link: Callable[..., None], tmp_path: Path) -> None:
        (tmp_path / "precious").write_text("data")
        link(tmp_path / "precious", tmp_path / "access.log")
        self._account().own_log(str(tmp_path / "access.log"))
        assert (tmp_path / "precious").stat().st_uid == 0

    def test_a_unix_socket(self, tmp_path: Path) -> None:
        account = self._account()
        sockets = Sockets(account.own_socket)
        sockets.open(Config(bind=f"unix:{tmp_path}/app.sock"), 2)
        assert (tmp_path / "app.sock").stat().st_uid == account.uid
        sockets.close()
