"""Django: ``python examples/frameworks/django_app.py``, then open http://127.0.0.1:8000.

A project in one file: what stands in ``settings.configure`` goes into your settings.
"""

from __future__ import annotations

from typing import Any

import pages
from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect
from django.urls import path
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from wsgi_sessions import RefusedError
from wsgi_sessions.adapters import refusal_of
from wsgi_sessions.adapters.django import fresh_login_required, login_required


def configure(**more: Any) -> None:
    """Set the project up; ``more`` holds ``WSGI_SESSIONS`` or ``WSGI_SESSIONS_MANAGER``."""
    settings.configure(
        ROOT_URLCONF=__name__,
        SECRET_KEY="django's own, for its CSRF tokens",
        ALLOWED_HOSTS=["testserver", "127.0.0.1", "localhost"],
        LOGIN_URL="/",
        MIDDLEWARE=[
            "wsgi_sessions.adapters.django.SessionsMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
        ],
        **more,
    )


def csrf_field(request: Any) -> str:
    """Return the field that Django's CSRF protection looks for."""
    template = '<input type="hidden" name="csrfmiddlewaretoken" value="{}">'
    return str(format_html(template, get_token(request)))


def entrance(request: Any) -> Any:
    if request.wsgi_user is not None:
        return redirect("/account")
    return HttpResponse(pages.entrance(csrf_field=csrf_field(request)))


@require_POST
def sign_up(request: Any) -> Any:
    form = request.POST
    request.wsgi_sessions.sign_up_email(
        name=form.get("name", ""), email=form.get("email", ""), password=form.get("password", "")
    )
    return redirect("/account")


@require_POST
def sign_in(request: Any) -> Any:
    form = request.POST
    request.wsgi_sessions.sign_in_email(
        email=form.get("email", ""), password=form.get("password", "")
    )
    return redirect("/account")


@require_POST
def sign_out(request: Any) -> Any:
    request.wsgi_sessions.sign_out()
    return redirect("/")


@login_required
def account(request: Any) -> Any:
    name = request.wsgi_user.name
    return HttpResponse(pages.account(name, csrf_field=csrf_field(request)))


@fresh_login_required
def secrets(_request: Any) -> Any:
    return HttpResponse("the secrets")


@login_required
def visits(request: Any) -> Any:
    return HttpResponse(pages.count_visit(request.wsgi_session.data))


@login_required
def stream(request: Any) -> Any:
    data = request.wsgi_session.data
    data["sent"] = []
    return StreamingHttpResponse(pages.stream(data))


def show_400(_request: Any, exception: Any) -> Any:
    # Wrong credentials come here, too, and have a status of their own.
    status = refusal_of(exception).status if isinstance(exception, RefusedError) else 400
    return HttpResponse(pages.error(f"{status} from Django", str(exception)), status=status)


def show_403(_request: Any, exception: Any) -> Any:
    return HttpResponse(pages.error("403 from Django", str(exception)), status=403)


urlpatterns = [
    path("", entrance),
    path("sign-up", sign_up),
    path("sign-in", sign_in),
    path("sign-out", sign_out),
    path("account", account),
    path("secrets", secrets),
    path("visits", visits),
    path("stream", stream),
]
handler400, handler403 = show_400, show_403


if __name__ == "__main__":
    from django.core.wsgi import get_wsgi_application
    from serving import make_manager, serve

    manager = make_manager()
    configure(WSGI_SESSIONS_MANAGER=f"{__name__}.manager", DEBUG=True)
    serve(get_wsgi_application())
