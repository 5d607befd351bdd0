from __future__ import annotations

from wsgi_sessions.memo import Memo


def test_memo_is_emptied_when_it_is_full() -> None:
    memo: Memo[str, int] = Memo(2)
    memo.keep("a", 1)
    memo.keep("b", 2)

    assert memo == {"a": 1, "b": 2}

    memo.keep("c", 3)

    assert memo == {"c": 3}
    assert memo.get("a") is None
