"""closing: RFC 6455 §5.5.1 and §7, in their order."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.examples import examples

from greenserve.websocket import OPEN, Close, Closing, Phase, encode_close
from greenserve.websocket.framing.closing import PHASES

STEPS = {
    "close": lambda closing: closing.close(4000, "ours"),
    "receive": lambda closing: closing.receive(Close(4001, "theirs")),
    "fail": lambda closing: closing.fail(1002, "broken"),
    "lose": lambda closing: closing.lose("gone"),
    "closed": lambda closing: closing.closed(),
}


class TestClose:
    """§5.5.1."""

    def test_5_5_1_ours_is_sent(self) -> None:
        closing = OPEN.close(4000, "enough")
        assert closing == Closing(Phase.CLOSING, 4000, "enough", encode_close(4000, "enough"))

    def test_5_5_1_theirs_is_answered_with_its_code(self) -> None:
        closing = OPEN.receive(Close(4001, "bye"))
        assert closing == Closing(Phase.ENDING, 4001, "bye", encode_close(4001))

    def test_5_5_1_one_without_a_code_is_answered_without_one(self) -> None:
        assert OPEN.receive(Close(1005, "")).frame == encode_close(1005)

    def test_5_5_1_the_answer_to_ours_is_not_answered(self) -> None:
        closing = OPEN.close(4000).receive(Close(4001, "agreed"))
        assert closing == Closing(Phase.ENDING, 4001, "agreed", b"")

    def test_5_5_1_a_second_one_of_ours_is_not_sent(self) -> None:
        closing = OPEN.close(4000)
        assert closing.close(4001) is closing

    @pytest.mark.parametrize(("code", "reason"), [(1006, ""), (999, ""), (1000, "x" * 124)])
    def test_7_4_one_that_no_frame_may_carry_is_an_error_in_every_phase(self, code: int, reason: str) -> None:
        for closing in (OPEN, OPEN.close(1000), OPEN.fail(1002, "")):
            with pytest.raises(ValueError, match="RFC 6455"):
                closing.close(code, reason)


class TestTheEnd:
    """§7.1."""

    def test_7_1_4_an_agreed_one_is_closed_with_its_code(self) -> None:
        assert OPEN.receive(Close(4001, "bye")).closed() == Closing(Phase.CLOSED, 4001, "bye")

    def test_7_1_4_closed_twice_is_closed(self) -> None:
        closed = OPEN.close(1000).closed()
        assert closed.closed() is closed

    def test_7_1_5_no_code_while_it_is_open(self) -> None:
        assert (OPEN.phase, OPEN.code, OPEN.reason, OPEN.frame) == (Phase.OPEN, None, None, b"")

    def test_7_1_5_a_lost_connection_is_1006(self) -> None:
        assert OPEN.lose("reset") == Closing(Phase.ENDING, 1006, "reset")
        assert OPEN.closed() == Closing(Phase.CLOSED, 1006, "")
        assert OPEN.close(1000).closed().code == 1006  # nobody has agreed

    def test_7_1_5_who_cuts_it_may_say_another_code(self) -> None:
        assert OPEN.lose("too slow", 1008) == Closing(Phase.ENDING, 1008, "too slow")

    def test_7_1_7_a_failure_is_told(self) -> None:
        assert OPEN.fail(1002, "no mask") == Closing(
            Phase.ENDING, 1002, "no mask", encode_close(1002, "no mask")
        )

    def test_7_1_7_a_failure_after_our_close_is_not_told(self) -> None:
        assert OPEN.close(4000).fail(1002, "no mask") == Closing(Phase.ENDING, 1002, "no mask")


@pytest.mark.parametrize(("first", "second"), [*product(["receive", "fail", "lose"], STEPS)])
def test_what_is_settled_stays(first: str, second: str) -> None:
    ended = STEPS[first](OPEN)
    after = STEPS[second](ended)
    assert (after.code, after.reason) == (ended.code, ended.reason)
    assert after is ended or (after.phase, after.frame) == (Phase.CLOSED, b"")


@examples(100)
@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=6))
def test_any_steps_follow_the_drawn_phases_and_send_one_close_at_most(names: list[str]) -> None:
    closing = OPEN
    sent = 0
    for name in names:
        after = STEPS[name](closing)
        if after is not closing:
            through = {after.phase} if name != "closed" else {Phase.ENDING, Phase.CLOSED}
            assert PHASES[closing.phase] & through
            sent += bool(after.frame)
            closing = after
    assert sent <= 1
    assert (closing.code is None) == (closing is OPEN)
