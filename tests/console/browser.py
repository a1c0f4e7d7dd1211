"""A browser without a screen: keeps its cookie, sends what a page's forms carry, and nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.cast import PASSWORD

HERE = {"Sec-Fetch-Site": "same-origin"}
TOKEN = re.compile(r'name="form_token" value="([0-9a-f]{64})"')
BASE = "https://epro.test"


@dataclass
class Browser:
    """One person's browser."""

    app: Flask
    client: FlaskClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.app.test_client()

    def sign_in(self, name: str, **more: Any) -> TestResponse:
        """With the password that everybody of the cast has."""
        return self.send("/console/sign-in", email=f"{name}@example.org", password=PASSWORD, **more)

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.client.get(path, base_url=BASE, **more)

    def send(self, path: str, headers: dict[str, str] = HERE, **form: Any) -> TestResponse:
        """A form as it is, without a token unless one is given."""
        return self.client.post(path, data=form, headers=headers, base_url=BASE)

    def do(self, path: str, on: str = "/console/", **form: Any) -> TestResponse:
        """A form with the token of the page that it stands on."""
        return self.send(path, form_token=self.token(on), **form)

    def token(self, on: str = "/console/") -> str:
        found = TOKEN.search(self.get(on, follow_redirects=True).text)
        assert found, f"no form on {on}"
        return found[1]

    def cookie(self) -> Any:
        return self.client.get_cookie("__Host-epro", domain="epro.test")
