"""What people and programs are shown of accounts, passkeys, sessions and tokens: never what they open with."""

from appliance.access.audit import AuditLog
from appliance.access.book import Passkey, Token, User
from appliance.access.sessions import Seen
from appliance.model.access_views import AuditVerdictView, PasskeyView, SessionView, TokenView, UserView


def user_view(user: User) -> UserView:
    return UserView(
        name=user.name,
        role=user.role,
        enabled=user.enabled,
        totp=bool(user.totp),
        created=user.created,
        second_factor=user.second,
        passkeys=len(user.passkeys),
    )


def passkey_view(passkey: Passkey) -> PasskeyView:
    return PasskeyView(
        id=passkey.id, label=passkey.label, host=passkey.host, created=passkey.created, used=passkey.used
    )


def session_view(seen: Seen, *, own: bool) -> SessionView:
    session = seen.session
    return SessionView(
        id=seen.id,
        user=session.user,
        source=session.source,
        how=session.how,
        since=session.since,
        idle=seen.idle,
        own=own,
    )


def token_view(token: Token, text: str = "") -> TokenView:
    """With its text only for who makes it."""
    return TokenView(
        id=token.id,
        label=token.label,
        user=token.user,
        role=token.role,
        created=token.created,
        expires=token.expires,
        used=token.used,
        token=text,
    )


async def verdict(audit: AuditLog) -> AuditVerdictView:
    """Reads the whole log anew."""
    broken = await audit.verify()
    if broken is None:
        return AuditVerdictView(entries=audit.last, dropped=audit.dropped)
    return AuditVerdictView(entries=audit.last, dropped=audit.dropped, broken=broken.line, reason=broken.reason)
