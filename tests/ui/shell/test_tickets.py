from ui.shell.tickets import HOUR_SECONDS, Tickets


def test_a_ticket_opens_only_what_it_names() -> None:
    tickets = Tickets()
    ticket = tickets.issue("job:1")
    assert tickets.valid(ticket, "job:1")
    assert not tickets.valid(ticket, "job:2")


def test_tickets_of_one_hour_are_equal_and_end() -> None:
    now = 10.0 * HOUR_SECONDS
    tickets = Tickets(hours=2, clock=lambda: now)
    ticket = tickets.issue("job:1")
    now += HOUR_SECONDS - 1
    assert tickets.issue("job:1") == ticket
    now += 2 * HOUR_SECONDS + 1
    assert not tickets.valid(ticket, "job:1")


def test_rubbish_and_another_process_are_refused() -> None:
    tickets = Tickets()
    for ticket in ("", ".", "zz.aa", "ffffffffff." + "0" * 64, "1.é"):
        assert not tickets.valid(ticket, "job:1")
    assert not tickets.valid(Tickets().issue("job:1"), "job:1")
