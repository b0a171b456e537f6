"""Which variables of an environment are secrets, to judge by their names and the look of their values."""

from __future__ import annotations

from atms_cli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: Values that are shorter are too common to be masked.
LEAST_VALUE = 8
#: What is named so is a secret unless it is a word, a number or a place; what is named like the others may be a setting.
_SURE = ("TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "API_KEY", "APIKEY", "ACCESS_KEY")
_LIKELY = ("KEY", "AUTH")
_LONGEST_WORD, _LONGEST_PART = 20, 6
#: A text without any of these has no secret in it that is known by its form (redaction.py).
SIGNS = (
    "gho_", "ghp_", "ghr_", "ghs_", "ghu_", "github_pat_", "glpat-", "sk-", "sk_live_", "sk_test_", "rk_live_", "AIza", "AKIA",
    "ASIA", "xox", "npm_", "pypi-", "eyJ", "uthorization", "UTHORIZATION", "earer", "EARER", "://", "PRIVATE KEY-----",
)  # fmt: skip


def secret_values(environment: Mapping[str, str]) -> list[str]:
    """Return the values that are secrets and long enough to be looked for."""
    return [value for name, value in environment.items() if len(value) >= LEAST_VALUE and is_secret(name, value)]


def is_secret(name: str, value: str) -> bool:
    """Return whether a variable looks as if its value was a secret."""
    upper = name.upper()
    is_sure = any(each in upper for each in _SURE)
    if not value or not (is_sure or any(each in upper for each in _LIKELY)):
        return False
    return not (_is_word(value) or _is_place(value) or (not is_sure and _is_setting(value)))


def _is_word(value: str) -> bool:
    bare = "".join(character for character in value if character not in "-_., ")
    return bare.isdecimal() or (bare.isalpha() and len(value) <= _LONGEST_WORD)


def _is_place(value: str) -> bool:
    """Return whether a value is a path, or an address without a password."""
    if value.startswith(("/", "~/", "./", "../")):
        # A secret in base 64 may begin with a stroke too.
        return "+" not in value and not value.endswith("=")
    return "://" in value and "@" not in value


def _is_setting(value: str) -> bool:
    """Return whether a value is made of words and short names, like `oauth2-device-code`."""
    parts = value.replace("_", "-").replace(".", "-").split("-")
    return all(part.isalpha() or len(part) <= _LONGEST_PART for part in parts)


def refuse_secrets(environment: Mapping[str, object]) -> None:
    """Refuse variables that would put a secret into the journal or atms.yaml, which are kept for ever and shared.

    Raises:
        UsageError: one of them looks like a secret.

    """
    for name, value in environment.items():
        if is_secret(name, str(value)) or without_secrets(str(value)) != value:
            raise UsageError(
                f"`{name}` looks like a secret, which does not belong into the journal or atms.yaml",
                f"set {name} in the environment of `atms run`: what it runs finds it there",
            )


def without_secrets(text: str) -> str:
    """Return a text that somebody wrote with those secrets masked that are known by their form."""
    if not any(sign in text for sign in SIGNS):
        return text
    from atms_cli.domain.redaction import Redactor

    return Redactor().text(text)
