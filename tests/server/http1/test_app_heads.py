"""app_heads: status and fields of an app, in the order of RFC 9112 and RFC 9110; none makes a second head of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.examples import examples

from greenserve import caches
from greenserve.errors import AppError
from greenserve.http1 import AppHead, app_heads, check_head

_EVIL_VALUES = [
    "a\r\nSet-Cookie: b",
    "a\nb",
    "a\rb",
    "a\0b",
    "\r\n",
    "\r\n\r\nHTTP/1.1 200 OK",
    "\x1b[2J",
    "\x7f",
    "\x0b",
    "\x0c",
    "\u20ac",
    "\ud800",
    "\u2028",
    "\u560d\u560a",  # CR and LF to whoever keeps the low byte only
]


def _check(*fields: Any, status: Any = "200 OK") -> AppHead:
    return check_head(status, list(fields))


def _lines(head: AppHead) -> list[str]:
    assert head.data.endswith(b"\r\n")
    return head.data[:-2].decode("latin-1").split("\r\n")


class _Str(str):
    """A str that is not what it says, to everybody who asks it."""

    lie = "lie\r\nX-Injected: 1"
    __slots__ = ()

    def __str__(self) -> str:
        return self.lie

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return self.lie

    def __add__(self, other: str) -> str:
        return self.lie + other

    def __radd__(self, other: str) -> str:
        return other + self.lie

    def __iter__(self) -> Iterator[str]:
        return iter(self.lie)

    def __getitem__(self, key: Any) -> str:
        return self.lie[key]

    def encode(self, *args: Any) -> bytes:
        return self.lie.encode()

    def lower(self) -> str:
        return "x"

    def count(self, *args: Any) -> int:
        return 0


class _Equal(_Str):
    """One that passes for any other of the same hash."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash("b")


class TestStatusLine:
    """RFC 9112 §4."""

    @pytest.mark.parametrize("status", ["200 ", "404 Not Found", "299 \xe4\xf6", "599 a\tb", "999 x"])
    def test_4_phrases_are_the_apps(self, status: str) -> None:
        head = _check(status=status)
        assert (_lines(head), head.status) == ([f"HTTP/1.1 {status}"], int(status[:3]))

    @pytest.mark.parametrize(
        "status",
        [
            "200",
            "",
            "OK",
            "20 OK",
            "2000 OK",
            "100 Continue",
            "101 Go",
            "103 Early Hints",
            "199 x",
            "000 x",
            "٢٠٠ OK",
            "2\u0660\u0660 OK",
            " 200 OK",
            "200\tOK",
            "200 O\r\nK",
            "200 OK\r\nA: b",
            "200 OK\r\n\r\nbody",
            "200 OK\n",
            "200 \0",
            "200 \x1b",
            "200 \x7f",
            "200 \u20ac",
            "200 \udcff",
            200,
            None,
            b"200 OK",
            ["200 OK"],
        ],
    )
    def test_4_anything_else_is_the_apps_error(self, status: Any) -> None:
        for _ in range(2):  # nothing of it is remembered
            with pytest.raises(AppError, match="status") as caught:
                _check(status=status)
            assert str(caught.value).isprintable()


class TestFields:
    """RFC 9112 §5, RFC 9110 §5."""

    def test_5_in_the_apps_order_and_spelling_with_doubles(self) -> None:
        fields = [("set-cookie", "a=b"), ("X-Y", "\xe4 \t;"), ("Set-Cookie", "c=d"), ("E", "")]
        lines = ["set-cookie: a=b", "X-Y: \xe4 \t;", "Set-Cookie: c=d", "E: "]
        assert _lines(_check(*fields))[1:] == lines

    @pytest.mark.parametrize("value", _EVIL_VALUES)
    def test_5_5_no_value_can_begin_another_line(self, value: str) -> None:
        for fields in ([("A", value)], [("B", "c"), ("A", value), ("D", "e")]):
            with pytest.raises(AppError, match="header A has") as caught:
                _check(*fields)
            assert str(caught.value).isprintable()

    @pytest.mark.parametrize("value", ["\r\n", "x\r\n"])
    def test_5_5_two_wrong_values_do_not_make_up_for_each_other(self, value: str) -> None:
        with pytest.raises(AppError):
            _check(("A", value), ("B", value))

    def test_5_5_the_error_tells_where_and_not_what(self) -> None:
        # An app may show its errors to the client, and a cookie is a secret.
        with pytest.raises(AppError, match=r"Set-Cookie has '\\n' at character 9 ") as caught:
            _check(("Set-Cookie", "secret=17\n"))
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "A B",
            "A:",
            ":A",
            " A",
            "A ",
            "A\r\nB",
            "A\n",
            "\xe4",
            "A\0",
            "A\t",
            "(",
            '"A"',
            "\u20ac",
            "\ud800",
        ],
    )
    def test_5_1_a_name_is_a_token(self, name: str) -> None:
        for _ in range(2):  # the second time it would come from a table
            with pytest.raises(AppError, match="token") as caught:
                _check((name, "x"))
            assert str(caught.value).isprintable()

    @pytest.mark.parametrize(
        "fields",
        [
            None,
            1,
            "",
            {},
            {"Ab": "x"},
            {("A", "b")},
            (pair for pair in [("A", "b")]),
            iter([("A", "b")]),
            [1],
            ["A"],
            ["Ab"],
            [b"Ab"],
            [{"A", "b"}],
            [("A",)],
            [()],
            [("A", "b", "c")],
            [("A", b"b")],
            [(b"A", "b")],
            [("A", 1)],
            [("A", None)],
            [("A", ["b"])],
            [(None, "b")],
            [(["A"], "b")],
        ],
    )
    def test_3333_fields_are_pairs_of_str(self, fields: Any) -> None:
        with pytest.raises(AppError, match="PEP 3333"):
            check_head("200 OK", fields)

    def test_3333_pairs_may_be_tuples_with_names_and_lists(self) -> None:
        class Field(NamedTuple):
            name: str
            value: str

        assert _lines(_check(Field("A", "b"), ["C", "d"], ("E", "f")))[1:] == ["A: b", "C: d", "E: f"]
        assert _lines(check_head("200 OK", (("A", "b"),)))[1:] == ["A: b"]  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "name",
        [
            "Keep-Alive",
            "transfer-encoding",
            "TE",
            "Trailer",
            "Trailers",
            "UPGRADE",
            "Proxy-Authenticate",
            "Proxy-Authorization",
            "Proxy-Connection",
        ],
    )
    def test_9110_7_6_1_hop_by_hop_fields_are_the_servers(self, name: str) -> None:
        for spelling in (name, name.lower(), name.upper(), _Str(name)):
            with pytest.raises(AppError, match=f"(?i){name}.*PEP 3333.*7.6.1"):
                _check((spelling, "chunked"))

    def test_9110_15_5_22_but_upgrade_belongs_to_426(self) -> None:
        for name in ("Upgrade", "UPGRADE"):
            head = check_head("426 Upgrade Required", [(name, "websocket"), ("X", "y")])
            assert _lines(head)[1:] == ["Upgrade: websocket", "Connection: Upgrade", "X: y"]
        for status, name in (("426 No", "TE"), ("200 OK", "Upgrade"), ("101 No", "Upgrade")):
            with pytest.raises(AppError):
                check_head(status, [(name, "websocket")])
        with pytest.raises(AppError, match="at character 1 "):
            check_head("426 Upgrade Required", [("Upgrade", "a\r\nb")])

    @pytest.mark.parametrize(
        "value", ["close", "keep-alive", "Close", "close, keep-alive", "", ",", "x-other"]
    )
    def test_9110_7_6_1_connection_is_read_and_not_sent(self, value: str) -> None:
        head = _check(("Connection", value), ("X", "y"))
        assert _lines(head)[1:] == ["X: y"]
        assert head.connection is not None
        assert ("close" in head.connection) == ("close" in value.lower())

    def test_9110_7_6_1_several_connection_fields_are_one_list(self) -> None:
        assert _check(("Connection", "a"), ("connection", "close , b")).connection == {"a", "b", "close"}

    def test_9110_7_6_1_close_is_a_word_and_no_part_of_one(self) -> None:
        assert _check(("Connection", "close-not, x-close")).connection == {"close-not", "x-close"}

    @pytest.mark.parametrize("name", ["X-Foo", "x-foo", "Content-Length"])
    def test_9110_7_6_1_a_field_that_connection_names_is_hop_by_hop(self, name: str) -> None:
        with pytest.raises(AppError, match=f"{name} and named it in Connection"):
            _check((name, "7"), ("Connection", "close, x-foo, content-length"))

    @pytest.mark.parametrize("value", ["close\r\nA: b", "a b\0", "\u20ac", "close;", "é"])
    def test_9110_7_6_1_what_is_dropped_is_checked_too(self, value: str) -> None:
        with pytest.raises(AppError, match="Connection"):
            _check(("Connection", value))


class TestContentLength:
    """RFC 9110 §8.6."""

    @pytest.mark.parametrize(
        "value", ["x", "-1", "+1", "1_0", "", "1, 1", "٣", "²", "1" * 19, "0x1", " 1", "1 ", "1\r\n", "1.0"]
    )
    def test_8_6_is_a_number(self, value: str) -> None:
        with pytest.raises(AppError, match="Content-Length"):
            _check(("Content-Length", value))

    def test_8_6_two_that_differ(self) -> None:
        with pytest.raises(AppError, match=r"8\.6"):
            _check(("Content-Length", "1"), ("content-length", "2"))

    def test_8_6_is_taken_and_left_out(self) -> None:
        head = _check(("Content-Length", "9"), ("content-LENGTH", "09"))
        assert (head.length, _lines(head)[1:]) == (9, [])


class TestObjectsWithMethodsOfTheirOwn:
    """What is checked is what is sent: the characters of a str, and not what its class makes of them."""

    def test_a_str_is_its_characters(self) -> None:
        head = check_head(_Str("200 OK"), [(_Str("A"), _Str("b")), ("C", _Str("d"))])
        assert _lines(head) == ["HTTP/1.1 200 OK", "A: b", "C: d"]

    def test_and_its_characters_are_checked(self) -> None:
        class Harmless(str):
            __slots__ = ()

            def __str__(self) -> str:
                return "harmless"

            __format__ = __add__ = __radd__ = encode = lambda self, *args: "harmless"  # type: ignore[assignment]

            def count(self, *args: Any) -> int:
                return 0

        for fields in ([("A", Harmless("b\r\nC: d"))], [(Harmless("A\r\nB"), "c")]):
            with pytest.raises(AppError):
                _check(*fields)
        with pytest.raises(AppError):
            _check(status=Harmless("200 OK\r\nA: b"))

    def test_a_str_that_is_none(self) -> None:
        class Liar:
            __class__ = str  # type: ignore[assignment]

        for fields in ([(Liar(), "b")], [("A", Liar())]):
            with pytest.raises(AppError, match="Liar"):
                _check(*fields)
        with pytest.raises(AppError, match="Liar"):
            _check(status=Liar())

    def test_a_list_and_a_pair_are_read_once(self) -> None:
        class Changing:
            """Gives another thing each time it is asked."""

            times = 0

            def __iter__(self) -> Iterator[Any]:
                self.times += 1
                return iter(self.things[min(self.times, 2) - 1])

        class List(Changing, list[Any]):
            things = ([("A", "b")], [("A", "b\r\nC: d")])

        class Pair(Changing, tuple[str, str]):
            things = (("A", "b"), ("A", "b\r\nC: d"))

        changing = List()
        assert _lines(check_head("200 OK", changing))[1:] == ["A: b"]
        assert changing.times == 1
        assert _lines(_check(Pair(("x", "y"))))[1:] == ["A: b"]

    def test_a_list_that_is_changed_later(self) -> None:
        fields = [("A", "b")]
        head = check_head("200 OK", fields)
        fields.append(("C", "d\r\n"))
        fields[0] = ("A", "\r\n")
        assert _lines(head)[1:] == ["A: b"]
        pair = ["A", "b"]
        head = check_head("200 OK", [pair])  # type: ignore[list-item]
        pair[1] = "\r\n"
        assert _lines(head)[1:] == ["A: b"]


class TestMemory:
    """What was checked once is not checked again, and nothing else comes out of that."""

    @pytest.fixture
    def cache(self) -> app_heads.HeadCache:
        return app_heads.HeadCache()

    def test_the_same_again_is_the_same(self, cache: app_heads.HeadCache) -> None:
        assert cache.check("200 OK", [("A", "b")]) is cache.check("200 OK", [("A", "b")])
        assert cache.check("200 OK", [("A", "b")]) is not cache.check("200 OK", [("A", "c")])

    def test_nothing_wrong_is_remembered(self, cache: app_heads.HeadCache) -> None:
        for fields in ([("A", "\n")], [("A\n", "b")], [("TE", "x")], [("Content-Length", "x")], [("A", 1)]):
            with pytest.raises(AppError):
                cache.check("200 OK", fields)  # type: ignore[arg-type]
        assert not cache._heads

    def test_nothing_with_methods_of_its_own_is_remembered(self, cache: app_heads.HeadCache) -> None:
        for status, field in (
            (_Equal("200 OK"), ("A", "b")),
            ("200 OK", (_Equal("A"), "b")),
            ("200 OK", ("A", _Equal("b"))),
            ("200 OK", NamedTuple("Field", [("name", str), ("value", str)])("A", "b")),
        ):
            cache.check(status, [field])
            assert not cache._heads

    def test_what_passes_for_another_gets_what_was_checked(self, cache: app_heads.HeadCache) -> None:
        known = cache.check("200 OK", [("A", "b")])
        assert cache.check("200 OK", [("A", _Equal("x\r\nInjected: 1"))]) is known

    def test_is_bounded(self, cache: app_heads.HeadCache) -> None:
        for number in range(caches.SIZE + 10):
            cache.check(f"200 {number}", [(f"X-{number}", str(number))])
        assert len(cache._heads) <= caches.SIZE
        assert len(app_heads._meanings) <= caches.SIZE

    @pytest.mark.parametrize(
        "field",
        [("A", "b" * 2000), ("A" * 2000, "b"), ("Connection", "x," * 1000), ("Connection", " " * 2000)],
    )
    def test_nothing_large_is_kept(self, cache: app_heads.HeadCache, field: tuple[str, str]) -> None:
        assert not cache.check("200 OK", [field]).is_kept
        assert not cache._heads
        assert not any(len(name) > 64 for name in app_heads._meanings)


_TEXT = st.text(st.characters(exclude_categories=()), max_size=6) | st.sampled_from(
    ["\r\n", "x", "close", "0", "chunked", "Content-Length", "Connection", "Set-Cookie", "a\r\nb: c"]
)
_HEAD = re.compile(rb"HTTP/1\.1 200 [^\r\n\0]*\r\n([!-9;-~]+: [^\r\n\0]*\r\n)*")


@given(_TEXT, st.lists(st.tuples(_TEXT | st.sampled_from("ABC"), _TEXT), max_size=4), st.booleans())
@examples(500)
def test_whatever_the_app_gives_it_is_whole_lines_or_its_error(
    phrase: str, fields: list[tuple[str, str]], in_disguise: bool
) -> None:
    given = [(_Str(name), _Str(value)) for name, value in fields] if in_disguise else fields
    try:
        head = check_head(f"200 {phrase}", given)  # type: ignore[arg-type]
    except AppError:
        return
    assert _HEAD.fullmatch(head.data)
    left_out = ("content-length", "connection")
    sent = [f"{name}: {value}" for name, value in fields if name.lower() not in left_out]
    assert head.data.decode("latin-1").split("\r\n") == [f"HTTP/1.1 200 {phrase}", *sent, ""]
