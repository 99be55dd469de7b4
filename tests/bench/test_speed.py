import pytest

from tests.bench.speed import PARTS, parse


@pytest.mark.parametrize("words", [["--quick"], ["contest"], ["--only", "bare"], ["--rounds", "1"], ["--records", "9"]])
def test_the_page_gets_only_a_full_run(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--write", *words])
    assert ended.value.code == 2
    assert "full run only" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["speed"], "speed: no such part"),
        (["--only", "nobody"], "invalid choice: 'nobody'"),
        (["--records", "1"], "at least 2"),
        (["--rounds", "0"], "at least 1"),
    ],
)
def test_an_unknown_argument_is_refused(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(words)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_each_part_can_be_measured_alone() -> None:
    assert [parse([part]).parts for part in PARTS] == [[part] for part in PARTS]
