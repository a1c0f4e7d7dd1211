"""What messages say.

The shipped texts keep every rule; each rule is then broken on purpose, to show that it is kept by
checking and not by luck.
"""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epro.notifications import wording
from epro.notifications.wording import MissingValue, UnknownLanguage, UnknownText, faults, faults_in, render

KEYS = {
    "reminder.due",
    "reminder.again",
    "reminder.closing_soon",
    "alert.nurse",
    "alert.attention",
    "alert.escalation",
    "alert.cleared",
    "alert.digest",
    "alert.astray",
    "alert.difference",
    "alert.signature",
}
VALUES = {"app_name": "Diary", "site": "03", "count": 2, "clinic_phone": "021 5550 1234"}
LANGUAGES = ("en", "zh-CN")


@pytest.fixture
def texts():
    """The shipped texts, to be spoiled."""
    return copy.deepcopy(dict(wording.shipped()))


def spoil(texts, said, language="en", key="reminder.due"):
    texts[language]["templates"][key]["wordings"][1] = said
    return faults(texts)


# ── the shipped texts ──


def test_the_shipped_texts_have_no_fault():
    assert faults() == []


def test_both_languages_have_every_key():
    assert {language: set(said["templates"]) for language, said in wording.shipped().items()} == {
        "en": KEYS,
        "zh-CN": KEYS,
    }


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("key", sorted(KEYS))
def test_three_messages_in_a_row_are_three_different_texts(key, language):
    for start in range(6):
        assert len({render(key, language, VALUES, start + n).text for n in range(3)}) == 3


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_of_a_day_fits_one_sms_and_leaves_no_placeholder(language):
    for key in KEYS:
        for turn in range(len(wording.shipped()[language]["templates"][key]["wordings"])):
            said = render(key, language, VALUES, turn)
            assert wording.fits_one_sms(said.text)
            assert "{" not in said.text + said.subject


def test_chinese_texts_name_no_telephone_number_since_carriers_block_them():
    assert "clinic_phone" not in str(wording.shipped()["zh-CN"]["templates"])


@pytest.mark.parametrize("language, waited_for", [("en", "not yet received"), ("zh-CN", "尚未收到")])
def test_the_nurse_reads_not_yet_received(language, waited_for):
    said = render("alert.nurse", language, {"site": "03", "count": 2}, 0).text
    assert waited_for in said and "03" in said and "2" in said


# ── putting values in ──


def test_the_turn_decides_the_wording_and_comes_round():
    said = wording.shipped()["en"]["templates"]["reminder.due"]["wordings"]
    assert [render("reminder.due", "en", VALUES, n).text for n in range(len(said) + 1)] == [
        w.replace("{app_name}", "Diary") for w in [*said, said[0]]
    ]


@pytest.mark.parametrize(
    "harmless",
    [
        "{{7*7}}",
        "{0.__class__}",
        "{app_name.__class__}",
        "{app_name!r}",
        "{{app_name}}",
        "{{app_name}",
        "{app_name}}",
        "${app_name }",
        "%(app_name)s",
        "{name}",
    ],
)
def test_nothing_in_a_text_is_ever_evaluated(texts, harmless):
    texts["en"]["templates"]["reminder.due"]["wordings"] = [f"Hello {harmless}"]
    assert render("reminder.due", "en", VALUES, 0, texts).text == f"Hello {harmless}"


@given(st.text())
def test_a_value_is_put_in_once_and_never_read_as_a_placeholder(value):
    said = render("alert.nurse", "en", {"site": value, "count": 3}, 0).text
    shown = " ".join("".join(c if c.isprintable() else " " for c in value).split())
    assert said == f"Site {shown}: entries not yet received: 3. Details after login."


def test_a_value_cannot_bring_another_value_in():
    assert "{count}" in render("alert.nurse", "en", {"site": "{count}", "count": 3}, 0).text


def test_a_value_cannot_start_a_new_line_or_turn_the_writing_round():
    said = render("alert.nurse", "en", {"site": "03\r\nBcc: a\u202e", "count": 3}, 0)
    assert said.text.isprintable() and said.subject.isprintable()


def test_what_is_unknown_is_refused_by_name():
    with pytest.raises(UnknownLanguage):
        render("reminder.due", "fr", VALUES, 0)
    with pytest.raises(UnknownText):
        render("reminder.never", "en", VALUES, 0)
    with pytest.raises(MissingValue, match="app_name"):
        render("reminder.due", "en", {}, 0)


def test_a_text_does_not_show_in_a_log_by_accident():
    assert "Diary" not in repr(render("reminder.due", "en", VALUES, 0))


# ── the rules, each broken once ──


@pytest.mark.parametrize(
    "said, fault",
    [
        ("{app_name}: your lupus entry is open.", "banned word lupus*"),
        ("{app_name}: your LupusQoL is open.", "banned word lupusqol"),
        ("{app_name}: Ｌｕｐｕｓ, in full width.", "banned word lupus*"),
        ("{app_name}: lu\u200bpus, with a hidden space.", "banned word lupus*"),
        ("{app_name}: how is your pain today?", "banned word pain"),
        ("{app_name}: the quality  of life form.", "banned word quality of life"),
        ("{app_name}: 您的问卷已开放", "banned word 问卷"),
        ("{app_name}: you have not done it.", "banned word not done"),
        ("{app_name}: open https://example.org", "link"),
        ("{app_name}: see www.example", "link"),
        ("{app_name}: see example.cn/a7", "link"),
        ("{app_name}: write to us@example", "link"),
        ("{app_name}: call 021 5550 1234", "has a number"),
        ("{app_name}: your code is 4711", "has a number"),
        ("{app_name}: hello {name}", "placeholder that is not allowed"),
        ("{app_name}: {{7*7}}", "placeholder that is not allowed"),
        ("{app_name}: {0.__class__}", "placeholder that is not allowed"),
        ("{app_name}: %(site)s", "placeholder that is not allowed"),
        ("{app_name}: two\nlines", "stray or hidden"),
        ("{app_name}: trailing ", "stray or hidden"),
        ("{app_name} {site}: entry open.", "placeholders differ between wordings"),
        ("{app_name}: " + "a" * 150, "longer than one SMS"),
        ("{app_name}: 开" + "a" * 60, "longer than one SMS"),
        ("{app_name}", "says nothing"),
    ],
)
def test_each_rule_is_kept_by_checking(texts, said, fault):
    assert any(fault in found for found in spoil(texts, said)), spoil(texts, said)


@pytest.mark.parametrize(
    "said",
    [
        "{app_name}: patience, a painting of slender trains.",
        "{app_name}: cellos in the afternoon. Open the app.",
    ],
)
def test_a_word_within_another_word_is_no_fault(texts, said):
    assert spoil(texts, said) == []


def test_the_rules_hold_for_chinese_and_for_subjects(texts):
    texts["zh-CN"]["templates"]["reminder.due"]["subject"] = "来自狼疮SLE小组"
    found = faults(texts)
    assert any("zh-CN reminder.due: subject has the banned word 狼疮" in f for f in found)
    assert any("banned word sle" in f for f in found)


def test_fewer_than_three_wordings_is_a_fault(texts):
    del texts["zh-CN"]["templates"]["alert.nurse"]["wordings"][2]
    assert faults(texts) == ["zh-CN alert.nurse: has fewer than 3 wordings"]


def test_the_same_wording_twice_is_a_fault_also_under_two_keys(texts):
    first = texts["en"]["templates"]["reminder.due"]["wordings"][0]
    again = texts["en"]["templates"]["reminder.again"]["wordings"]
    again[0] = first.upper().replace("{APP_NAME}", "{app_name}")
    assert faults(texts) == [
        "en reminder.again: a wording stands twice",
        "en reminder.due: a wording stands twice",
    ]


def test_a_key_missing_in_one_language_is_a_fault(texts):
    del texts["zh-CN"]["templates"]["alert.cleared"]
    assert faults(texts) == ["zh-CN alert.cleared: is missing"]


def test_languages_that_tell_different_things_are_a_fault(texts):
    nurse = texts["en"]["templates"]["alert.nurse"]
    nurse["wordings"] = [said.replace("{count}", "some") for said in nurse["wordings"]]
    assert faults(texts) == ["alert.nurse: the placeholders differ between languages"]


@pytest.mark.parametrize(
    "template",
    [
        None,
        "text",
        {"wordings": ["a"]},
        {"subject": "a", "wordings": "abc"},
        {"subject": None, "wordings": []},
        {"subject": "a", "wordings": [1]},
    ],
)
def test_a_file_of_another_shape_is_a_fault_and_no_crash(texts, template):
    texts["en"]["templates"]["reminder.due"] = template
    assert faults(texts) == ["en reminder.due: needs a subject and a list of wordings"]


def test_a_file_without_its_parts_is_a_fault_and_no_crash():
    assert len(faults({"en": {}})) == 4


# ── what a study brings ──


def test_a_study_may_not_bring_a_telling_name():
    assert any("banned word lupus*" in f for f in faults(values={"app_name": "Lupus Diary"}))
    assert any("banned word 风湿" in f for f in faults(values={"site": "风湿科"}))


def test_a_study_may_not_bring_a_link():
    assert any("link" in f for f in faults(values={"app_name": "mydiary.cn"}))


def test_a_name_that_makes_a_text_too_long_is_found_before_it_is_sent():
    assert any("longer than one SMS" in f for f in faults(values={"site": "上海交通大学附属第一中心" * 5}))


def test_a_study_adds_its_own_banned_words():
    assert faults(banned=["diaries"]) == []
    assert any("banned word entr*" in f for f in faults(banned=["entr*"]))


def test_a_text_on_its_way_out_is_judged_again():
    assert faults_in("Site 03: entries not yet received: 2.") == []
    assert faults_in("CXSL2400092: open.", banned=["cxsl2400092"]) == ["has the banned word cxsl2400092"]
    assert faults_in("see https://example.org") == ["has a link or an address"]


# ── length ──


@pytest.mark.parametrize(
    "text, places", [("a" * 160, 160), ("€" * 80, 160), ("é", 1), ("开", 1), ("😀", 2), ("", 0)]
)
def test_places_in_an_sms(text, places):
    assert wording.length(text) == places and wording.fits_one_sms(text)


@pytest.mark.parametrize("text", ["a" * 161, "€" * 81, "开" * 71, "😀" * 36, "ê" + "a" * 70])
def test_one_place_too_many(text):
    assert not wording.fits_one_sms(text)
