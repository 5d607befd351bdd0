"""Claims about what shared caches may keep (RFC 9111, section 3; RFC 9213)."""

from __future__ import annotations

import pytest
from webob import Request, Response

from wsgi_sessions_testing import LostResponse, assert_not_shared_cacheable


def answer(
    *headers: str, status: str = "200 OK", method: str = "GET", authorization: str | None = None
) -> Response:
    lines = [
        (name.strip(), value.strip()) for name, _, value in (h.partition(":") for h in headers)
    ]
    response = Response(status=status, headerlist=lines)
    response.request = Request.blank("/", method=method)
    if authorization:
        response.request.headers["Authorization"] = authorization
    return response


KEPT = [
    (answer(), "Cache-Control does not forbid shared caches to keep a 200"),
    (answer("Vary: Cookie"), "Cache-Control does not forbid shared caches to keep a 200"),
    (answer("Vary: *"), "does not forbid"),
    (answer("Cache-Control: no-cache"), "does not forbid"),
    (answer("Cache-Control: must-revalidate"), "does not forbid"),
    (answer(status="404 Not Found"), "to keep a 404"),
    (answer(status="301 Moved Permanently"), "to keep a 301"),
    (answer("Cache-Control: max-age=60"), "Cache-Control lets shared caches keep it"),
    (answer("Cache-Control: max-age=0"), "Cache-Control lets shared caches keep it"),
    (answer("Cache-Control: s-maxage=60"), "Cache-Control lets shared caches keep it"),
    (answer("Cache-Control: PUBLIC"), "Cache-Control lets shared caches keep it"),
    (answer("Expires: Thu, 01 Jan 1970 00:00:00 GMT"), "Expires lets shared caches keep it"),
    (answer("Expires: 0", status="302 Found"), "Expires lets shared caches keep it"),
    (answer("Cache-Control: max-age=1", status="302 Found"), "lets shared caches keep it"),
    (answer("Cache-Control: public", status="500 Internal Server Error"), "lets shared caches"),
    (answer("Set-Cookie: a=b"), "it sets a cookie and is neither private nor no-store"),
    # private of some fields is not private of all (section 5.2.2.7)
    (answer('Cache-Control: private="Set-Cookie, X-A", max-age=5'), "lets shared caches keep it"),
    (answer("Cache-Control: no-store, must-understand, max-age=9"), "lets shared caches keep it"),
    (answer('Cache-Control: ext="no-store"'), "does not forbid"),
    (answer("Cache-Control: public", authorization="Bearer x"), "lets shared caches keep it"),
    (answer("Cache-Control: must-revalidate", authorization="Bearer x"), "does not forbid"),
    (answer(method="HEAD"), "does not forbid"),
    (
        answer("Cache-Control: max-age=9", "Content-Location: /", method="POST"),
        "lets shared caches keep it",
    ),
    # Those whom another field speaks to go by that alone (RFC 9213, section 2.2)
    (answer("Cache-Control: private", "CDN-Cache-Control: max-age=9"), "CDN-Cache-Control lets"),
    (answer("Cache-Control: no-store", "CDN-Cache-Control: public"), "CDN-Cache-Control lets"),
    (answer("Cache-Control: no-store", "Fastly-CDN-Cache-Control: public"), "lets"),
    (answer("Cache-Control: no-store", "Surrogate-Control: max-age=9"), "Surrogate-Control lets"),
    (answer("CDN-Cache-Control: no-store"), "Cache-Control does not forbid"),
]
NOT_KEPT = [
    answer("Cache-Control: no-store"),
    answer("Cache-Control: No-Store, max-age=60"),
    answer("Cache-Control: private"),
    answer("Cache-Control: max-age=60", "Cache-Control: private"),
    answer("Cache-Control: private", "Expires: Thu, 01 Jan 2099 00:00:00 GMT"),
    answer("Cache-Control: public, private"),
    answer("Cache-Control: private", "Set-Cookie: a=b"),
    answer(status="302 Found"),
    answer(status="401 Unauthorized"),
    answer(status="503 Service Unavailable"),
    answer(authorization="Bearer x"),
    answer("Cache-Control: max-age=60", authorization="Bearer x"),
    answer(method="POST"),
    answer("Cache-Control: max-age=9", method="POST"),
    answer("Cache-Control: max-age=9", method="DELETE"),
    answer("Cache-Control: private", "CDN-Cache-Control: no-store"),
    answer("Cache-Control: private", "CDN-Cache-Control: private, max-age=9"),
    # Nothing readable is said there, so the common field counts (RFC 9213, section 2.1)
    answer("Cache-Control: private", "CDN-Cache-Control: "),
]


@pytest.mark.parametrize(("response", "said"), KEPT, ids=[str(r.headerlist) for r, _ in KEPT])
def test_what_shared_caches_may_store_is_refused(response: Response, said: str) -> None:
    with pytest.raises(AssertionError) as failure:
        assert_not_shared_cacheable(response)
    assert said in str(failure.value)


@pytest.mark.parametrize("response", NOT_KEPT, ids=lambda response: str(response.headerlist))
def test_what_shared_caches_may_not_store_passes(response: Response) -> None:
    assert_not_shared_cacheable(response)


def test_a_response_that_was_lost_shows_nothing() -> None:
    lost = LostResponse(answer("Cache-Control: private"))
    with pytest.raises(AssertionError, match="lost on its way; what the app sent is its .unseen"):
        assert_not_shared_cacheable(lost)
    assert_not_shared_cacheable(lost.unseen)
