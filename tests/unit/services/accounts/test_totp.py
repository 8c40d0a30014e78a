"""One-time codes, against the test vectors of RFC 6238."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.model.time import SECOND
from openbell.services.accounts.totp import STEP_NS, new_secret, provisioning_uri, step_of

#: Appendix B: seconds, and the code of eight digits with SHA-1; the code of six digits is its end.
SECRET = base64.b32encode(b"12345678901234567890").decode()
VECTORS = [
    (59, "94287082"),
    (1111111109, "07081804"),
    (1111111111, "14050471"),
    (1234567890, "89005924"),
    (2000000000, "69279037"),
    (20000000000, "65353130"),
]


@pytest.mark.parametrize(("seconds", "code"), VECTORS)
def test_vectors_of_the_standard(seconds, code):
    """The code of a time is taken at that time, a step earlier and a step later, and at no other."""
    for steps, expected in ((0, seconds // 30), (1, seconds // 30), (-1, seconds // 30), (2, None), (-2, None)):
        now = seconds * SECOND + steps * STEP_NS
        if now >= STEP_NS:
            assert step_of(SECRET, code[2:], now) == expected


@pytest.mark.parametrize(
    "code", ["", "28708", "2870822", "94287082", "28708a", "٢٨٧٠٨٢", "２８７０８２", "-28708", "28.082", "\x00" * 6, "2" * 100_000]
)
def test_codes_that_are_none(code):
    """Six digits from 0 to 9."""
    assert step_of(SECRET, code, 59 * SECOND) is None


@pytest.mark.parametrize("code", ["287082", "287 082", " 287082 ", "287\t082"])
def test_codes_as_people_type_them(code):
    """Blanks do not count."""
    assert step_of(SECRET, code, 59 * SECOND) == 1


@given(st.integers(2, 10**9), st.integers(-5, 5))
def test_around_now(step, away):
    """A code holds for its own step and the two beside it."""
    import pyotp

    secret = new_secret()
    shown = pyotp.TOTP(secret).generate_otp(step)
    found = step_of(secret, shown, (step + away) * STEP_NS if step + away >= 1 else STEP_NS)
    if abs(away) <= 1:
        assert found is not None


def test_secrets():
    """160 bits, never the same, and in a form that authenticators read."""
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert {len(base64.b32decode(one)) for one in made} == {20}
    assert provisioning_uri(SECRET, "a.b-c_d") == f"otpauth://totp/openbell:a.b-c_d?secret={SECRET}&issuer=openbell"
