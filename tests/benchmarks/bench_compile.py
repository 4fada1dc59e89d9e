"""Measure compiling and filling in the newsletter: `python -m tests.benchmarks.bench_compile`.

CPU time of one process; the best of several rounds, because the machine does other things, too. The last line is JSON.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence

from delivery.compiling import Compilation, EmailSource, Program, Tokens, compile_email
from tests.benchmarks.newsletter import FOOTER, ORGANIZATION, PUBLIC_URL, SCHEMA, newsletter, person

_PEOPLE = 20_000
_PLAIN = """<html><body>{{ first_name }} {{ last_name }} {{ email }} {{ attributes.city }} {{ attributes.company }}
{{ attributes.points }} {{ attributes.renews_on }} {{ attributes.code }} {{ unsubscribe_url }}
<a href="https://northwind.example/a">a</a> <a href="{{ preferences_url }}">p</a> {{ organization.postal_address }}</body></html>"""


def main() -> None:
    """Print microseconds per email."""
    people = [person(i) for i in range(_PEOPLE)]
    tokens = [Tokens(f"{i:040x}", f"{i:043x}") for i in range(_PEOPLE)]
    source = newsletter()
    begin = time.process_time()
    compilation = _compile(source)
    compile_ms = (time.process_time() - begin) * 1e3
    begin = time.process_time()
    program = Program.load(compilation.payload)
    load_ms = (time.process_time() - begin) * 1e3
    plain = Program.load(_compile(EmailSource("Hi {{ first_name }}", _PLAIN)).payload)
    result = {
        "values_us": _best(program.values, people, tokens),
        "values_plain_us": _best(plain.values, people, tokens),
        "values_cold_us": _cold(compilation.payload),
        "render_us": _best(lambda who, which: program.render(who, which)._asdict(), people[:4000], tokens[:4000]),
        "compile_ms": compile_ms,
        "load_ms": load_ms,
    }
    sizes = [sum(map(len, program.values(person(i), tokens[i]).values())) for i in range(100)]
    for name, figure in result.items():
        print(f"{name:18}{figure:10.2f}")
    print(
        f"links {len(compilation.links)}, HTML {compilation.html_bytes} bytes, slots {len(program.slot_names)}, "
        f"values {sum(sizes) // len(sizes)} characters"
    )
    print(
        json.dumps(
            {
                **{name: round(figure, 2) for name, figure in result.items()},
                "links": len(compilation.links),
                "html_bytes": compilation.html_bytes,
            }
        )
    )


def _compile(source: EmailSource) -> Compilation:
    return compile_email(source, footer=FOOTER, schema=SCHEMA, public_url=PUBLIC_URL, organization=ORGANIZATION)


def _best(
    function: Callable[[Mapping[str, object], Tokens], object],
    people: Sequence[Mapping[str, object]],
    tokens: Sequence[Tokens],
) -> float:
    rounds = []
    for _ in range(7):
        begin = time.process_time()
        for who, which in zip(people, tokens, strict=True):
            function(who, which)
        rounds.append((time.process_time() - begin) / len(people) * 1e6)
    return min(rounds)


def _cold(payload: Mapping[str, object]) -> float:
    """Time emails whose logic nobody has rendered before."""
    program = Program.load(payload)
    people = []
    for i in range(3000):
        who = person(i)
        attributes = who["attributes"]
        if isinstance(attributes, dict):
            attributes["interests"] = [f"{interest} {i}" for interest in attributes["interests"]]
            attributes["plan"] = f"plan {i}"
        people.append(who)
    begin = time.process_time()
    for who in people:
        program.values(who, Tokens("t", "m"))
    return (time.process_time() - begin) / len(people) * 1e6


if __name__ == "__main__":
    main()
