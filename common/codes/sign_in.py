"""What can go wrong at the door."""

from __future__ import annotations

from common.codes.code import Code

SIGN_IN = (
    Code(
        "PROVIDER_DENIED",
        "refused",
        "{provider} did not let you in ({reason}).",
        "Try again, or ask whoever runs {provider} to let you use this program.",
    ),
    Code(
        "PROVIDER_AWAY",
        "refused",
        "{provider} cannot be reached from here ({reason}).",
        "Try again in a moment; if it lasts, check {setting} and the network.",
    ),
    Code(
        "PROVIDER_REFUSED_CODE",
        "refused",
        "{provider} did not confirm this sign-in ({reason}).",
        "Start again; if it lasts, check {setting} and the client secret beside it.",
    ),
    Code(
        "PROVIDER_NOT_TRUSTED",
        "refused",
        "The answer of {provider} cannot be trusted: {reason}.",
        "Start again; if it lasts, compare {setting} and the client id with what {provider} shows.",
    ),
    Code(
        "PROVIDER_CLOCK",
        "refused",
        "By this server's clock the answer of {provider} is too old or from the future.",
        "Start again; if it lasts, set this server's clock right (NTP).",
    ),
    Code(
        "SIGN_IN_STALE",
        "refused",
        "This sign-in was used already, is older than ten minutes, or began in another browser.",
        "Start again with the button below.",
    ),
    Code(
        "PROVIDER_UNKNOWN",
        "refused",
        "There is no sign-in provider of that name.",
        "Use one of the ways shown here.",
    ),
    Code("SHUT_OUT", "refused", "Your account is shut out here.", "Ask {contact} to let you in again."),
)
