from ui.shell import text


def test_plain_text_survives_markdown() -> None:
    assert text.plain("*a* <b> [c](d) :red[e]") == r"\*a\* \<b\> \[c\]\(d\) \:red\[e\]"


def test_sizes_read_well() -> None:
    assert [text.size(n) for n in (0, 999, 25_011, 3_400_000, 21_500_000_000)] == [
        "0 B",
        "999 B",
        "25 KB",
        "3.4 MB",
        "21.5 GB",
    ]


def test_long_prompts_become_short_titles() -> None:
    assert text.short("a\nb") == "a b"
    assert text.short("word " * 100) == ("word " * 18).strip() + "…"
    assert text.short("a" * 100, 20) == "a" * 19 + "…"


def test_moments_and_durations_are_formatted_for_people() -> None:
    now = 1_800_000_000.0
    pasts = {5: "just now", 61: "1 minute ago", 7300: "2 hours ago", 86_400 * 6.5: "6 days ago"}
    assert {past: text.ago(now - past, now) for past in pasts} == pasts
    assert text.ago(now - 86_400 * 40, now) in ("5 Dec 2026", "6 Dec 2026")  # by time zone
    lengths = {0.1: "1 s", 24.6: "25 s", 95: "1.6 min", 1_000: "17 min", 9_000: "2.5 h"}
    assert {seconds: text.length(seconds) for seconds in lengths} == lengths
