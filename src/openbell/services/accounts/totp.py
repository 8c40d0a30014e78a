"""One-time codes of the second factor: TOTP as RFC 6238 has it, six digits, a new one every 30 seconds."""

from hmac import compare_digest

from pyotp import TOTP, random_base32

from openbell.model.time import SECOND

#: Length of a step, and how many steps before and after now a code is taken from, since clocks differ.
STEP_NS = 30 * SECOND
STEPS_AROUND = 1
DIGITS = 6


def new_secret() -> str:
    """160 random bits as base32, the form in which people type them."""
    return random_base32()


def provisioning_uri(secret: str, name: str, issuer: str = "openbell") -> str:
    """What an authenticator reads from a picture: `otpauth://totp/...`. It holds the secret."""
    return TOTP(secret).provisioning_uri(name=name, issuer_name=issuer)


def step_of(secret: str, code: str, now: int) -> int | None:
    """The step whose code this is, among those around `now` (ns); None when it is none of them."""
    digits = "".join(code.split())
    if len(digits) != DIGITS or not (digits.isascii() and digits.isdigit()):
        return None
    codes, found = TOTP(secret, digits=DIGITS), None
    for step in range(now // STEP_NS - STEPS_AROUND, now // STEP_NS + STEPS_AROUND + 1):
        if compare_digest(codes.generate_otp(step), digits):
            found = step
    return found
