# ruff: noqa: E501, PLR2004 (a table of one entry per line; shares of the mix in place)
"""Skill ``code``: fill a hole in, or finish, a simple Python function.

Fill-in-the-middle uses its own tokens (see ``template``); the plain continuation
of a prefix has no frame at all.  Both end after the function.
"""

from __future__ import annotations

from random import Random

from .types import Infill, listed

# name(s) ; arguments ; body.  {a} {b} are argument names, {n} a number.
_FUNCTIONS = """
add sum_two plus add_numbers ; {a}, {b} ; return {a} + {b}
subtract difference minus sub ; {a}, {b} ; return {a} - {b}
multiply product times mul ; {a}, {b} ; return {a} * {b}
divide quotient div ; {a}, {b} ; return {a} / {b}
power raise_to ; {a}, {b} ; return {a} ** {b}
modulo remainder mod ; {a}, {b} ; return {a} % {b}
square squared ; {a} ; return {a} * {a}
cube cubed ; {a} ; return {a} ** 3
double twice ; {a} ; return {a} * 2
triple ; {a} ; return {a} * 3
half halve ; {a} ; return {a} / 2
negate negative ; {a} ; return -{a}
increment inc ; {a} ; return {a} + 1
decrement dec ; {a} ; return {a} - 1
is_even even ; {a} ; return {a} % 2 == 0
is_odd odd ; {a} ; return {a} % 2 == 1
is_positive positive ; {a} ; return {a} > 0
is_negative ; {a} ; return {a} < 0
is_zero ; {a} ; return {a} == 0
is_empty empty ; {a} ; return len({a}) == 0
equals is_equal same ; {a}, {b} ; return {a} == {b}
is_greater greater ; {a}, {b} ; return {a} > {b}
is_less less ; {a}, {b} ; return {a} < {b}
length size count ; {a} ; return len({a})
first head ; {a} ; return {a}[0]
last ; {a} ; return {a}[-1]
rest tail ; {a} ; return {a}[1:]
reverse reversed_text backwards ; {a} ; return {a}[::-1]
upper to_upper uppercase ; {a} ; return {a}.upper()
lower to_lower lowercase ; {a} ; return {a}.lower()
strip trim ; {a} ; return {a}.strip()
title to_title ; {a} ; return {a}.title()
split_words get_words ; {a} ; return {a}.split()
sort_list sorted_list ; {a} ; return sorted({a})
total sum_list sum_all ; {a} ; return sum({a})
average mean ; {a} ; return sum({a}) / len({a})
maximum largest biggest ; {a} ; return max({a})
minimum smallest ; {a} ; return min({a})
absolute abs_value ; {a} ; return abs({a})
max_of_two larger ; {a}, {b} ; return max({a}, {b})
min_of_two smaller ; {a}, {b} ; return min({a}, {b})
contains has ; {a}, {b} ; return {b} in {a}
join_words join ; {a} ; return " ".join({a})
to_int parse_int ; {a} ; return int({a})
to_string to_str ; {a} ; return str({a})
unique distinct ; {a} ; return list(set({a}))
greet say_hello ; {a} ; return f"Hello, {{{a}}}!"
is_palindrome palindrome ; {a} ; return {a} == {a}[::-1]
rectangle_area area ; {a}, {b} ; return {a} * {b}
perimeter rectangle_perimeter ; {a}, {b} ; return 2 * ({a} + {b})
add_{n} plus_{n} ; {a} ; return {a} + {n}
times_{n} multiply_by_{n} ; {a} ; return {a} * {n}
""".strip().splitlines()

_STATEMENTS = """
factorial fact ; {a} ; if {a} <= 1: ~    return 1 ~return {a} * {name}({a} - 1)
fibonacci fib ; {a} ; if {a} < 2: ~    return {a} ~return {name}({a} - 1) + {name}({a} - 2)
sum_loop add_up ; {a} ; total = 0 ~for item in {a}: ~    total += item ~return total
count_item count_in ; {a}, {b} ; count = 0 ~for item in {a}: ~    if item == {b}: ~        count += 1 ~return count
print_all show_all ; {a} ; for item in {a}: ~    print(item)
sign signum ; {a} ; if {a} > 0: ~    return 1 ~if {a} < 0: ~    return -1 ~return 0
squares square_all ; {a} ; return [item ** 2 for item in {a}]
evens only_even ; {a} ; return [item for item in {a} if item % 2 == 0]
print_value show ; {a} ; print({a})
""".strip().splitlines()

_ARGS = listed("""
    a b c x y n number value items data text word numbers first second left right""")


def _argument(rng: Random) -> str:
    """An argument's name."""
    return rng.choice(_ARGS)


def function(rng: Random) -> tuple[str, str, str]:
    """A random function: its name, its ``def`` line and its indented body."""
    names, args, body = (p.strip() for p in rng.choice(_FUNCTIONS * 2 + _STATEMENTS).split(";"))
    first, second = _argument(rng), _argument(rng)
    while second == first:
        second = _argument(rng)
    number = str(rng.randint(2, 99))
    name = rng.choice(names.split()).replace("{n}", number)
    body = body.format(a=first, b=second, n=number, name=name)
    given = args.format(a=first, b=second)
    lines = [f"    {line.rstrip()}" for line in body.split("~")]
    return name, f"def {name}({given}):", "\n".join(lines)


def make(rng: Random, lang: str) -> Infill:
    """One hole in the body, or the continuation of a head; ``lang`` is unused text."""
    name, head, body = function(rng)
    before = ""
    if rng.random() < 0.1:
        _, other_head, other_body = function(rng)
        before = f"{other_head}\n{other_body}\n\n\n"
    whole = f"{before}{head}\n{body}\n"
    body_at = len(before) + len(head) + 1
    key = f"code:{head}:{body}"
    end = len(whole) - 1
    start = _hole_start(rng, whole, body_at, end)
    if rng.random() < 0.4:
        return Infill("continue", lang, key, whole[:start], None, whole[start:])
    after = rng.choice(("", "\n", f"\n\nprint({name})", f"\n\n\n{_call(rng, name, head)}\n"))
    return Infill("infill", lang, key, whole[:start], after, whole[start:end])


def _hole_start(rng: Random, whole: str, body_at: int, end: int) -> int:
    """Where the hole begins: at the body, its indentation, or after ``return ``."""
    draw = rng.random()
    if draw < 0.3:
        return body_at - 1
    if draw < 0.5:
        return body_at
    if draw < 0.75:
        return body_at + 4
    found = whole.find("return", body_at, end)
    if found < 0:
        return body_at + 4
    return found + rng.choice((6, 6, 7))


def _call(rng: Random, name: str, head: str) -> str:
    """A call of the function with as many numbers as it has arguments."""
    count = head.count(",") + 1
    values = ", ".join(str(rng.randint(0, 20)) for _ in range(count))
    return rng.choice((f"print({name}({values}))", f"result = {name}({values})"))
