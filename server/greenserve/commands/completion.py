"""`greenserve completion bash|zsh|fish`: prints the script by which the shell completes flags and their values.

All of it comes from the registry: flags, choices, and which values are files or folders. No shell runs Python when it
completes.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from greenserve.commands import COMMANDS
from greenserve.config import SETTINGS
from greenserve.errors import ConfigError

__all__ = ["SHELLS", "main", "script"]

SHELLS = ("bash", "zsh", "fish")
_FOLDERS = {"FOLDER"}
_FILES = {"FILE"}


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag for a shell: its spellings, its help, and what may follow it."""

    names: tuple[str, ...]
    help: str
    value: str = ""  # "": none; "file", "folder", "any", or words with spaces between


_OWN = (
    Flag(("-h", "--help"), "print the help"),
    Flag(("--version",), "print the version"),
    Flag(("-c", "--config"), "configuration file", "file"),
    Flag(("--print-config",), "print every setting and the source of its value, as TOML"),
    Flag(("--check-config",), "check the settings, import the app, bind nothing"),
)


_ASKING = (  # of admin_client.parser()
    Flag(("-h", "--help"), "print the help"),
    Flag(("--admin",), "address of the admin pages", "any"),
    Flag(("--token-file",), "file with their token", "file"),
    Flag(("-c", "--config"), "TOML file to read instead of greenserve.toml", "file"),
)
# What follows the name of a subcommand: its flags, and "file", "" or words.
_SUBCOMMANDS: dict[str, tuple[tuple[Flag, ...], str]] = {
    "migrate": (
        (
            Flag(("-h", "--help"), "print the help"),
            Flag(("--run",), "run the file, in a process of its own, for its values"),
        ),
        "file",
    ),
    "completion": ((), " ".join(SHELLS)),
    "top": ((*_ASKING, Flag(("--once",), "print it once, as without a terminal")), ""),
    "health": (
        (
            *_ASKING,
            Flag(("--ready",), "ask if it takes new connections"),
            Flag(("--timeout",), "longest time to wait", "any"),
        ),
        "",
    ),
}


def main(argv: Sequence[str]) -> int:
    """Print the script for the shell that `argv` names."""
    if len(argv) != 1 or argv[0] not in SHELLS:
        given = " ".join(argv) or "nothing"
        raise ConfigError(f"completion: name the shell, bash, zsh or fish, not {given}")
    sys.stdout.write(script(argv[0]))
    return 0


def script(shell: str) -> str:
    """Return the script for one of SHELLS."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](_flags())


def _flags() -> list[Flag]:
    flags = list(_OWN)
    for entry in SETTINGS.values():
        if not entry.kind.metavar:
            flags += [
                Flag((entry.flag,), entry.help),
                Flag(("--no-" + entry.flag[2:],), f"don't {entry.help}"),
            ]
            continue
        short = tuple(alias for alias in entry.aliases if not alias.startswith("--"))
        flags.append(Flag((*short, entry.flag), entry.help, _value(entry.kind.metavar, entry.kind.words)))
    return flags


def _value(metavar: str, words: tuple[str, ...]) -> str:
    if words:
        return " ".join(words)
    return "folder" if metavar in _FOLDERS else "file" if metavar in _FILES else "any"


def _bash(flags: Sequence[Flag]) -> str:
    branches = [
        f"""    {name})
{_bash_flags(its)}
    {_bash_reply(behind)}; return ;;"""
        for name, (its, behind) in _SUBCOMMANDS.items()
    ]
    return f"""\
# bash completion of greenserve. For this shell: eval "$(greenserve completion bash)"
# For every shell: greenserve completion bash > ~/.local/share/bash-completion/completions/greenserve
_greenserve_words() {{
    local IFS=$' \\t\\n'
    COMPREPLY=($(compgen -W "$1" -- "$2"))
}}
_greenserve_paths() {{
    local IFS=$'\\n'
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen "$1" -- "$2"))
}}
_greenserve() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
    # "=" is a word of its own in bash: --hub=epoll is three.
    if [[ $current == = ]]; then current=; elif [[ $before == = ]]; then before=${{COMP_WORDS[COMP_CWORD-2]}}; fi
    if (( COMP_CWORD > 1 )); then case ${{COMP_WORDS[1]}} in
{chr(10).join(branches)}
    esac; fi
{_bash_flags(flags)}
    _greenserve_paths -f "$current"
    if [[ $COMP_CWORD -eq 1 ]]; then COMPREPLY+=($(compgen -W '{" ".join(COMMANDS)}' -- "$current")); fi
}}
complete -F _greenserve greenserve
"""


def _bash_reply(value: str) -> str:
    return {
        "": "COMPREPLY=()",
        "any": "COMPREPLY=()",
        "file": '_greenserve_paths -f "$current"',
        "folder": '_greenserve_paths -d "$current"',
    }.get(value, f'_greenserve_words {shlex.quote(value)} "$current"')


def _bash_flags(flags: Sequence[Flag]) -> str:
    """Complete the value of the flag before, or a flag, and return; go on for another word."""
    cases = [
        f"        {'|'.join(flag.names)}) {_bash_reply(flag.value)}; return ;;"
        for flag in flags
        if flag.value
    ]
    names = " ".join(name for flag in flags for name in flag.names)
    valued = ["    case $before in", *cases, "    esac"] if cases else []
    words = f"""    if [[ $current == -* ]]; then _greenserve_words '{names}' "$current"; return; fi"""
    return "\n".join((*valued, words))


def _zsh(flags: Sequence[Flag]) -> str:
    branches = []
    for name, (its, behind) in _SUBCOMMANDS.items():
        rest = {"": "", "file": "'*:file:_files'"}.get(behind, f"'1:word:({behind})'")
        branches.append(
            f"            {name}) _arguments -s -S {' '.join((*(one.strip() for one in _zsh_specs(its)), rest))} ;;"
        )
    commands = " ".join(shlex.quote(f"{name}:{about}") for name, about in COMMANDS.items())
    lines = " \\\n".join(_zsh_specs(flags))
    return f"""\
#compdef greenserve
# zsh completion of greenserve. For this shell, after compinit: eval "$(greenserve completion zsh)"
# For every shell: greenserve completion zsh > a folder of $fpath, as the file _greenserve
_greenserve_first() {{
    local -a commands=({commands})
    _describe command commands
    _files
}}
_greenserve() {{
    if (( CURRENT > 2 )) && [[ " {" ".join(COMMANDS)} " == *" $words[2] "* ]]; then
        local name=$words[2]
        shift words
        (( CURRENT-- ))
        case $name in
{chr(10).join(branches)}
        esac
        return
    fi
    _arguments -s -S \\
{lines} \\
        '1:app:_greenserve_first' '*:file:_files'
}}
if [[ $funcstack[1] == _greenserve ]]; then _greenserve "$@"; else compdef _greenserve greenserve; fi
"""


def _zsh_specs(flags: Sequence[Flag]) -> list[str]:
    specs = []
    for flag in flags:
        about = flag.help.replace("[", "(").replace("]", ")").replace(":", ";")
        action = {"any": ": ", "file": ":file:_files", "folder": ":folder:_path_files -/", "": ""}.get(
            flag.value, f":value:({flag.value})"
        )
        for name in flag.names:
            equals = "=" if flag.value and name.startswith("--") else ""
            specs.append(f"        {shlex.quote(f'*{name}{equals}[{about}]{action}')}")
    return specs


def _fish(flags: Sequence[Flag]) -> str:
    lines = [
        "# fish completion of greenserve. For every shell:",
        "# greenserve completion fish > ~/.config/fish/completions/greenserve.fish",
        "complete -c greenserve -n __fish_use_subcommand -a "
        + shlex.quote(" ".join(COMMANDS))
        + " -d subcommand",
    ]
    for name, (its, behind) in _SUBCOMMANDS.items():
        when = f"'__fish_seen_subcommand_from {name}'"
        if behind != "file":
            lines.append(f"complete -c greenserve -n {when} -f" + (f" -a '{behind}'" if behind else ""))
        lines += _fish_flags(its, f" -n {when}")
    others = f" -n 'not __fish_seen_subcommand_from {' '.join(COMMANDS)}'"
    return "\n".join((*lines, *_fish_flags(flags, others))) + "\n"


def _fish_flags(flags: Sequence[Flag], when: str) -> list[str]:
    lines = []
    for flag in flags:
        spelled = " ".join(
            f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names
        )
        value = {
            "": "",
            "any": " -x",
            "file": " -rF",
            "folder": " -x -a '(__fish_complete_directories)'",
        }.get(flag.value, f" -x -a {_fish_quoted(flag.value)}")
        lines.append(f"complete -c greenserve{when} {spelled}{value} -d {_fish_quoted(flag.help)}")
    return lines


def _fish_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
