"""Logs that are packed, come from the standard input, or are cut anywhere."""

import gzip
import io
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import InvalidInputError
from customers.models import Customer
from metering.models import Event, LogImport
from metering.services import log_lines
from metering.services.log_formats import COMBINED
from metering.services.log_mapping import build_mapping, parse_mapping
from metering.services.log_reading import LogReader, id_of
from metering.services.screening import canonical
from tests.metering.log_import.lines import MAPPING, counts, line, run_import, write

LINES = [line(f"GET /{number} HTTP/1.1") for number in range(200)]


@pytest.mark.django_db
def test_a_packed_log_is_the_same_log(acme: Customer, tmp_path: Path) -> None:
    run_import(write(tmp_path / "access.log", LINES[:150]))
    packed = tmp_path / "access.log.2"
    raw = [each.encode() + b"\n" for each in LINES]
    # Several packed parts one behind the other are one log.
    packed.write_bytes(gzip.compress(b"".join(raw[:80])) + gzip.compress(b"".join(raw[80:])))
    assert counts(run_import(packed)) == {"lines": 200, "accepted": 50, "duplicate": 150}


@pytest.mark.django_db
@pytest.mark.parametrize("damage", ["cut", "overwritten"])
def test_a_damaged_packed_log_is_told(acme: Customer, tmp_path: Path, damage: str) -> None:
    packed = tmp_path / "access.log.gz"
    noise = "".join(line(f"GET /{hash(str(number))} HTTP/1.1") + "\n" for number in range(300))
    raw = gzip.compress(noise.encode())
    packed.write_bytes(raw[:-200] if damage == "cut" else raw[:500] + b"?" * 900)
    with pytest.raises(InvalidInputError, match="damaged or cut short"):
        run_import(packed)


@pytest.mark.django_db
def test_the_standard_input_is_a_log_too(acme: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\n".join(LINES).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert counts(run_import(Path("-"))) == {"lines": 200, "accepted": 200}
    assert LogImport.objects.get().name == "standard input"


@pytest.mark.django_db(transaction=True)
def test_other_processes_store_the_same_events(
    acme: Customer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_lines, "PIECE_BYTES", 4_000)
    log = write(tmp_path / "access.log", [*LINES, *LINES, "garbage"])
    assert counts(run_import(log, workers=2)) == {"lines": 401, "accepted": 400, "unparsed": 1}
    assert counts(run_import(log)) == {"lines": 401, "duplicate": 400, "unparsed": 1}
    assert Event.objects.count() == 400


@given(st.lists(st.integers(0, 8), max_size=60), st.integers(1, 200), st.integers(1, 40))
def test_pieces_number_identical_lines_as_one_reading_would(
    letters: list[int], piece_bytes: int, remembered: int
) -> None:
    lines = [b"x" * letter for letter in letters]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_lines, "PIECE_BYTES", piece_bytes)
        patch.setattr(log_lines, "REMEMBERED_LINES", remembered)
        one_by_one = log_lines.LineCounter()
        expected = [one_by_one.repeats([each]).get(0, 0) for each in lines]
        file = io.BytesIO(b"".join(each + b"\n" for each in lines))
        pieces = list(log_lines.PieceCutter(file).pieces())
    found = [piece.repeats.get(place, 0) for piece in pieces for place in range(len(piece.lines()))]
    assert found == expected
    assert [piece.start for piece in pieces[1:]] == [piece.end for piece in pieces[:-1]]
    assert b"".join(piece.content for piece in pieces) == file.getvalue()


@given(
    st.text(st.characters(blacklist_characters="\n\r\0"), max_size=30),
    st.integers(0, 10**9),
    st.sampled_from(["GET", "POST", "PROPFIND"]),
)
def test_properties_are_written_as_any_event_has_them(path: str, size: int, method: str) -> None:
    mapping = build_mapping(
        MAPPING | parse_mapping("endpoints: [{match: '^/a', name: 'Ä \"x\"'}]"), COMBINED
    )
    text = line(f"{method} /{path.replace(chr(34), '')} HTTP/1.1", size=str(size))
    reader = LogReader(COMBINED, mapping, lambda keys: dict.fromkeys(keys, 1))
    piece = log_lines.Piece(0, 0, 1, text.encode(errors="backslashreplace"), {})
    stretch = reader.read(piece)
    for event in stretch.events:
        found = COMBINED.read(log_lines.texts_of(piece.content)[0])
        assert event.properties == canonical(mapping.properties_of(found))
        assert event.id == id_of(piece.lines()[0], 0)
