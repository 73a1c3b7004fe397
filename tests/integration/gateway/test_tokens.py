"""Tokens of local trials."""

from __future__ import annotations

from tuning_operator.gateway import AttemptRef, LocalTokens

ONE = AttemptRef(study="digits", trial=1, attempt=0)
OTHER = AttemptRef(study="digits", trial=2, attempt=0)


async def test_a_token_names_the_attempt_it_was_issued_to() -> None:
    tokens = LocalTokens()
    one, other = tokens.issue(ONE), tokens.issue(OTHER)
    assert (await tokens.identify(one), await tokens.identify(other)) == (ONE, OTHER)


async def test_a_token_is_hard_to_guess() -> None:
    tokens = LocalTokens()
    issued = {tokens.issue(ONE) for _ in range(100)}
    assert len(issued) == 100
    assert min(map(len, issued)) >= 43  # 256 bits in base64


async def test_what_was_never_issued_names_nobody() -> None:
    tokens = LocalTokens()
    token = tokens.issue(ONE)
    for guess in ("", token[:-1], token + "x", token.swapcase(), "\udcff"):
        assert await tokens.identify(guess) is None


async def test_revoking_takes_all_tokens_of_one_attempt() -> None:
    tokens = LocalTokens()
    first, second, other = tokens.issue(ONE), tokens.issue(ONE), tokens.issue(OTHER)
    tokens.revoke(ONE)
    assert [await tokens.identify(token) for token in (first, second, other)] == [None, None, OTHER]


async def test_a_token_is_kept_nowhere_in_clear() -> None:
    tokens = LocalTokens()
    token = tokens.issue(ONE)
    assert token not in repr(vars(tokens))
