"""The views, and which path each of them answers."""

from __future__ import annotations

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template import engines
from django.urls import path
from django.views.decorators.http import require_http_methods, require_safe

from .models import Note

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Notes</title>
<h1>Notes</h1>
<form method="post">{% csrf_token %}{{ form }} <button>Keep</button></form>
{% for note in notes %}<p><time>{{ note.written|date:"c" }}</time> {{ note.text }}</p>{% endfor %}
"""


class NoteForm(forms.ModelForm):  # type: ignore[misc]  # Django has no types
    """A note as a form, with the model's limits."""

    class Meta:
        """What of the model it shows."""

        model = Note
        fields = ("text",)


@require_http_methods(["GET", "HEAD", "POST"])  # type: ignore[untyped-decorator]
def notes(request: HttpRequest) -> HttpResponse:
    """The last notes, and a form for another one."""
    form = NoteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect("notes", permanent=False)
    template = engines["django"].from_string(PAGE)
    last = Note.objects.order_by("-written", "-id")[:50]
    status = 400 if form.errors else 200
    return HttpResponse(template.render({"form": form, "notes": last}, request), status=status)


@require_safe  # type: ignore[untyped-decorator]
def health(_request: HttpRequest) -> HttpResponse:
    """For a load balancer: this process answers, whatever the database does."""
    return HttpResponse("ok\n", content_type="text/plain")


urlpatterns = [path("", notes, name="notes"), path("health", health)]
