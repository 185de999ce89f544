import pytest

from engine.errors import BadLinkError
from engine.wire import pairing
from engine.wire.pairing import Gatekeeper, Pairing

KEY = bytes(range(32))
PATH = "/v1/ws"


def test_a_link_can_be_pasted_back() -> None:
    for url in ("http://127.0.0.1:8765", "https://abc.example", "http://[::1]:9"):
        engine = Pairing(url, KEY)
        assert Pairing.parse(f"  {engine.link}\n") == engine
        assert Pairing.parse(f"Pairing link: {engine.link}\n") == engine


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "ftp://x/#vf1.abc",
        "https://host",
        "https://host/#vf1.",
        "https://host/#vf1.AAAA",
        f"https://host/#vf2.{'A' * 43}",
        f"https://host/#vf1.{'!' * 43}",
        "https:///#vf1.x",
        f"https://host:99999/#vf1.{'A' * 43}",
        f"https://[::1/#vf1.{'A' * 43}",
        f"https://{'a' * 64}/#vf1.{'A' * 43}",
    ],
)
def test_what_is_no_link_is_refused_in_words(text: str) -> None:
    with pytest.raises(BadLinkError) as caught:
        Pairing.parse(text)
    assert caught.value.remedy


def test_another_machine_without_tls_is_refused() -> None:
    link = Pairing("http://192.168.1.5:8765", KEY).link
    with pytest.raises(BadLinkError, match="without encryption"):
        Pairing.parse(link)


def test_the_key_is_in_the_fragment_only_and_in_no_repr() -> None:
    engine = Pairing("https://host", KEY)
    secret = engine.link.split("#vf1.")[1]
    assert secret not in repr(engine)
    assert "?" not in engine.link


def test_a_proof_opens_once() -> None:
    gate = Gatekeeper(KEY)
    header, nonce = pairing.authorization(KEY, PATH)
    assert gate.admit(header, PATH) == nonce
    assert gate.admit(header, PATH) is None


@pytest.mark.parametrize("header", [None, "", "VF1", "VF1 1 2 3", "Bearer x y z", "VF1 é n p"])
def test_nonsense_opens_nothing(header: str | None) -> None:
    assert Gatekeeper(KEY).admit(header, PATH) is None


def test_a_wrong_key_another_path_or_a_wrong_time_open_nothing() -> None:
    gate = Gatekeeper(KEY)
    assert gate.admit(pairing.authorization(bytes(32), PATH)[0], PATH) is None
    assert gate.admit(pairing.authorization(KEY, "/v1/data")[0], PATH) is None
    assert gate.admit(pairing.authorization(KEY, PATH, skew=-600)[0], PATH) is None
    assert gate.admit(pairing.authorization(KEY, PATH, skew=600)[0], PATH) is None


def test_the_engine_proves_the_key_for_this_nonce_alone() -> None:
    assert pairing.same(pairing.proof(KEY, "n"), pairing.proof(KEY, "n"))
    assert not pairing.same(pairing.proof(KEY, "n"), pairing.proof(KEY, "m"))
    assert not pairing.same(pairing.proof(KEY, "n"), pairing.proof(bytes(32), "n"))
