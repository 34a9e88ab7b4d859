"""Words of the model language, each with its place in the text, and errors that point at one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from daskgen.errors import InputError

__all__ = ["OPERATORS", "Token", "model_error", "split_statements"]

OPERATORS = ("=~", "~~", ":=", "==", "<=", ">=", "<", ">", "~")
"""What a statement has one of."""

_PATTERN = re.compile(
    r"""
      (?P<space>[^\S\n]+ | [#!][^\n]*)
    | (?P<end>[\n;])
    | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<name>(?:[^\W\d]|\.)[\w.]*)
    | (?P<foreign><~|~\*~|\||%|"|'|&|\$|@|\?|\[|\]|\{|\})
    | (?P<symbol>=~|~~|:=|==|<=|>=|[<>~+\-*/^(),])
    """,
    re.VERBOSE,
)
_LANGUAGE = "=~ ~~ ~ := == < > + and names"
_CONTINUES = frozenset("+-*/^,(") | set(OPERATORS)
_CONTINUED = frozenset("+*/^,)") | set(OPERATORS)


@dataclass(frozen=True)
class Token:
    """A word: kind is "name", "number" or "symbol"; line and column count from 1."""

    kind: str
    text: str
    line: int
    column: int

    def __str__(self) -> str:
        return self.text


def model_error(
    text: str,
    at: Token | tuple[int, int],
    summary: str,
    *,
    expected: object = None,
    do: object = None,
) -> InputError:
    """An InputError that shows the line of the model with a mark under the place."""
    line, column = (at.line, at.column) if isinstance(at, Token) else at
    shown = text.split("\n")[line - 1].replace("\t", " ")
    return InputError(
        f"model, line {line}, column {column}: {summary}",
        found=f"{shown}\n{' ' * (column - 1)}^",
        expected=expected,
        do=do,
    )


def split_statements(text: str) -> list[list[Token]]:
    """The words of each statement. A statement ends with its line or a semicolon; a line that ends or begins with an
    operator goes on. From # or ! to the end of the line is a comment.
    """
    statements: list[list[Token]] = [[]]
    ended = False
    for token in _tokens(text):
        if token.kind == "end":
            last = statements[-1]
            ended = bool(last) and (token.text == ";" or last[-1].text not in _CONTINUES)
            if ended and token.text == ";":
                statements.append([])
                ended = False
            continue
        if ended and token.text not in _CONTINUED:
            statements.append([])
        ended = False
        statements[-1].append(token)
    return [statement for statement in statements if statement]


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    at, line, begin = 0, 1, 0
    while at < len(text):
        match = _PATTERN.match(text, at)
        here = (line, at - begin + 1)
        if match is None:
            raise model_error(text, here, f"{text[at]!r} has no meaning here.", expected=_LANGUAGE)
        kind, word = str(match.lastgroup), match.group()
        if kind == "foreign":
            raise model_error(text, here, f"{word} is not part of the language.", expected=_LANGUAGE)
        if kind in ("number", "name") and tokens and _touches(tokens[-1], here) and tokens[-1].kind == "number":
            start = tokens[-1]
            raise model_error(
                text, start, f"{start.text}{word} is neither a number nor a name.", expected="names begin with a letter"
            )
        if kind != "space":
            tokens.append(Token(kind, word, *here))
        at = match.end()
        if word == "\n":
            line, begin = line + 1, at
    return tokens


def _touches(token: Token, here: tuple[int, int]) -> bool:
    return token.line == here[0] and token.column + len(token.text) == here[1]
