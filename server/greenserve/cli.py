"""The command: `greenserve [settings] APP`.

Turns the command line into a Config and an app and hands both to process/. All flags come from the registry. Called by
the `greenserve` script and by `python -m greenserve`.

Invariant: an error in a setting or in the app is reported before anything is bound, in one line. The exit code is 0, 2
for a bad setting, 3 for an app that can't be loaded, and 4 if the next try may succeed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn
from wsgiref.types import WSGIApplication

from greenserve.commands import COMMANDS, run_command
from greenserve.config import SETTINGS, Config, Loaded, load_config
from greenserve.config.hooks import Hook
from greenserve.config.show import show_config
from greenserve.config.unknown_names import closest
from greenserve.config.values.binds import parse_bind
from greenserve.config.values.registry import Given, Setting
from greenserve.core import describe
from greenserve.errors import ConfigError
from greenserve.hooks import Hooks, has_installed_hooks, installed_hooks
from greenserve.loading.loader import enter_folder, load_app
from greenserve.loading.process_check import check_process
from greenserve.logs.log_config import configure_logging
from greenserve.process.master.handover import Handover, Held
from greenserve.process.master.plan import (
    Plan,
    command_of_this_program,
    logical_folder,
    needs_master,
    reenter,
)
from greenserve.process.starting import Starting
from greenserve.process.system.settling import set_environment
from greenserve.version import VERSION
from greenserve_hub.errors import HubError
from greenserve_hub.loop.current import find_hub, use_hub
from greenserve_hub.patching.monkey import patch_early

__all__ = ["main"]

_ABOUT = """\
Serve a WSGI app on green threads. APP is module:attr, module:factory(), a module that has application,
app or create_app, or the path of a file; the configuration may name it as `app` instead."""

_SOURCES = """\
Each setting is also an environment variable (GREENSERVE_HEAD_TIMEOUT=5s), a key in greenserve.toml
or in [tool.greenserve] of pyproject.toml (head_timeout = "5s"), and a name in greenserve_conf.py,
which is run and may hold hooks. Flags beat variables; then come the Python file, the TOML file and
the defaults. Times: 30, 30s, 500ms, 5m, 1h. Sizes: 8190, 16K, 16M, 1G.

Subcommands, as the first word:
""" + "".join(f"  {name:<12}{about}\n" for name, about in COMMANDS.items())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    with Starting() as starting:
        code = _run(sys.argv[1:] if argv is None else argv, starting)
        starting.failed(code)  # unless it is ready by then
        return code


def _run(argv: Sequence[str], starting: Starting) -> int:
    try:
        return _run_command(argv, starting)
    except ConfigError as error:
        sys.stderr.write(error.details)  # above the line, which stays visible at the bottom
        sys.stderr.write(f"greenserve: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130  # during the app's import: nothing is bound yet, so nothing has to drain


def _run_command(argv: Sequence[str], starting: Starting) -> int:
    if argv and argv[0] in COMMANDS:
        return run_command(argv[0], argv[1:])
    options = _parse(argv)
    if options.version:
        sys.stdout.write(f"greenserve {VERSION} ({describe()})\n")
        return 0
    if options.help:
        _parser().print_help()
        return 0
    trial = _trial()
    folder = logical_folder()
    loaded = load_config(options.given, file=options.config, before_python=_patch)
    if options.print_config:
        sys.stdout.write(show_config(loaded))
        return 0
    if loaded.app is None:
        raise ConfigError("no app: name it as module:attr, or see greenserve --help")
    spec = str(loaded.app.value)
    enter_folder(loaded.config.chdir, loaded.origins["chdir"])
    set_environment(loaded.config)
    checks = options.check_config or trial is not None
    handover = Handover.take(os.environ)
    if loaded.config.daemon and not checks and handover is None:
        starting.detach()
    has_master = (needs_master(loaded.config) or handover is not None) and not checks
    imports_app = not has_master or loaded.config.preload
    _take_eventlets_name(loaded.config)
    # Before a Python file runs, the process is patched already.
    if loaded.python_file is None and (imports_app or has_installed_hooks()):
        _patch(loaded.config.monkey_patch, loaded.config.hub)
    installed = installed_hooks()
    configure_logging(loaded.config.log_config)
    if trial is not None and trial.settings_only:
        return 0
    if not imports_app:
        return _run_workers(_plan(loaded, options, folder, installed), starting, handover)
    starting.listen()
    app = load_app(spec)
    if has_master:
        return _run_workers(_plan(loaded, options, folder, installed, app), starting, handover)
    if checks:
        return _check(loaded.config, spec, trial)
    # Imported late: neither --help nor a bad setting needs the server.
    from greenserve.process.single import run

    return run(app, loaded.config, starting=starting, hooks=Hooks((*installed, *loaded.hooks)))


def _trial() -> Held | None:
    """Return what the running program holds, if this process only checks a start for it; None for a start."""
    trial = Held.of(os.environ)
    if trial is not None:
        from greenserve.process.system.identity import end_with_parent

        end_with_parent(trial.process)
    return trial


def _check(config: Config, spec: str, trial: Held | None) -> int:
    """Check what a start needs besides the app, which is imported by now."""
    check_process()  # as the server does when it is made, but then its log is open
    from greenserve.net.tls.contexts import open_tls

    open_tls(config, None)
    if trial is not None:
        from greenserve.process.master.start import check_start

        check_start(config, trial)
    sys.stdout.write(f"greenserve: the configuration and {spec} are valid\n")
    if trial is not None:
        sys.stdout.flush()
        os._exit(0)  # threads that the app has started would keep the process
    return 0


def _patch(monkey_patch: bool, hub: str) -> None:
    if monkey_patch:
        check_process()
        patch_for(hub)


def _take_eventlets_name(config: Config) -> None:
    if config.eventlet:
        try:
            # By name: greenserve_eventlet stands above the server, which works without it.
            import_module("greenserve_eventlet.hook").install()
        except HubError as error:
            raise ConfigError(f"--eventlet: {error}") from None


def _run_workers(plan: Plan, starting: Starting, handover: Handover | None) -> int:
    from greenserve.process.master.start import run_with_workers

    return run_with_workers(plan, starting=starting, handover=handover)


def _plan(
    loaded: Loaded,
    options: argparse.Namespace,
    folder: str,
    installed: tuple[Hook, ...],
    preloaded: WSGIApplication | None = None,
) -> Plan:
    """What a master needs to know, to start workers now and after a reload."""
    assert loaded.app is not None
    config, spec = loaded.config, str(loaded.app.value)

    def load() -> WSGIApplication:
        if preloaded is not None:
            return preloaded
        set_environment(config)
        _take_eventlets_name(config)
        _patch(config.monkey_patch, config.hub)
        return load_app(spec)

    def reread() -> Plan:
        reenter(folder)
        again = load_config(options.given, file=options.config)
        if again.app is None:
            raise ConfigError("no app: the configuration does not name it any more")
        enter_folder(again.config.chdir, again.origins["chdir"])
        return _plan(again, options, folder, installed)

    command = command_of_this_program()
    hooks = Hooks((*installed, *loaded.hooks))
    has_code = loaded.python_file is not None
    return Plan(config, load, reread, preloaded is not None, spec, command, has_code, folder, hooks)


def patch_for(hub: str) -> None:
    """Patch the process before the user's code is imported, with the chosen hub: patching makes one."""
    old = find_hub()
    if hub != "auto" and (old is None or old.poller.name != hub):
        use_hub(hub)
    patch_early()


# The command line -------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


class _Give(argparse.Action):
    """Keeps a flag's raw text and spelling: the registry parses the text, and names the flag in an error."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option: str | None = None,
    ) -> None:
        value: object = values
        if self.nargs == 0:
            value = not str(option).startswith("--no-")
        elif isinstance(SETTINGS[self.dest].default, tuple):
            before = namespace.given.get(self.dest)
            value = [*(before.value if before else ()), values]
        namespace.given[self.dest] = Given(value, f"flag {option}")


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    # APP is not an argument of the parser: argparse loses an optional one after flags.
    options, rest = parser.parse_known_args(argv, argparse.Namespace(given={}))
    apps = [word for word in rest if word != "--"]
    for word in apps:
        if word.startswith("-"):
            flag = word.partition("=")[0] if word.startswith("--") else word[:2]
            raise ConfigError(f"unknown flag {flag}{closest(flag, _flags(), _flag_of)}")
    if len(apps) > 1:
        raise ConfigError(f"one app at a time, not {' and '.join(apps[:3])}{_meant_by(apps)}")
    if apps:
        options.given["app"] = Given(apps[0], "argument APP")
    return options


def _flag_of(name: str) -> str:
    return SETTINGS[name].flag


def _meant_by(words: Sequence[str]) -> str:
    """Return help for an address as the last word, as Django's runserver takes it, or for a subcommand."""
    has_subcommand = words[0] in ("run", "runserver", "serve", "start")
    apps, binds = [], ""
    for word in words[has_subcommand:]:
        try:
            binds += f" --bind {parse_bind(f'127.0.0.1:{word}' if word.isdigit() else word)}"
        except ValueError:
            apps.append(word)
    if has_subcommand:
        return f"; there is no subcommand {words[0]}: greenserve {apps[0] if apps else 'APP'}{binds}"
    return f"; to listen there, give{binds}" if binds else ""


def _flags() -> list[str]:
    flags = ["--help", "--version", "--config", "--print-config", "--check-config"]
    for entry in SETTINGS.values():
        flags += [entry.flag, *entry.aliases]
        if not entry.kind.metavar:
            flags.append("--no-" + entry.flag[2:])
    return flags


def _parser() -> _Parser:
    parser = _Parser(
        prog="greenserve",
        usage="greenserve [settings] APP",
        description=_ABOUT,
        epilog=_SOURCES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    command = parser.add_argument_group("Command")
    command.add_argument("-h", "--help", action="store_true", help="print this help")
    command.add_argument("--version", action="store_true", help="print the version")
    command.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        help="TOML file to read instead of greenserve.toml, or Python file instead of greenserve_conf.py",
    )
    command.add_argument(
        "--print-config", action="store_true", help="print every setting and the source of its value, as TOML"
    )
    command.add_argument(
        "--check-config",
        action="store_true",
        help="check the settings, import the app, read the certificates, bind nothing",
    )
    groups: dict[str, Any] = {}
    for entry in SETTINGS.values():
        if entry.group not in groups:
            groups[entry.group] = parser.add_argument_group(entry.group)
        _add_flags(groups[entry.group], entry)
    return parser


def _add_flags(group: Any, entry: Setting) -> None:
    text = _help(entry).replace("%", "%%")
    short = [flag for flag in entry.aliases if not flag.startswith("--")]
    names, value = [*short, entry.flag], dict[str, Any](metavar=entry.kind.metavar)
    if not entry.kind.metavar:
        names, value = [*names, "--no-" + entry.flag[2:]], dict[str, Any](nargs=0)
    group.add_argument(*names, dest=entry.name, action=_Give, help=text, **value)
    for alias in entry.aliases:
        if alias not in short:
            group.add_argument(alias, dest=entry.name, action=_Give, help=argparse.SUPPRESS, **value)


def _help(entry: Setting) -> str:
    facts = []
    if entry.kind.off:
        facts.append(f"off: {entry.kind.off}")
    if entry.kind.zero:
        facts.append(f"0: {entry.kind.zero}")
    if aliases := [alias for alias in entry.aliases if alias.startswith("--")]:
        facts.append(f"also {', '.join(aliases)}")
    if default := entry.kind.format(entry.default):
        facts.append(f"default {default}")
    return f"{entry.help} [{'; '.join(facts)}]" if facts else entry.help
