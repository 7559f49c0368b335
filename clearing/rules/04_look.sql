-- Which taps get a closer look? All of the cards that need it.
-- Any other tap is the card's own, presented for the first time, and follows what the card did before it: whatever
-- came before an earlier night has a counter that the card's position has passed, or is older than the window.
SELECT tap.no, tap.operator, tap.retried, tap.issuer_no, tap.card_head, tap.card_tail, tap.counter,
       tap.balance_before_fen, tap.amount_fen, tap.terminal_no, tap.at_s
FROM tap
JOIN odd ON odd.card_tail = tap.card_tail AND odd.card_head = tap.card_head
WHERE NOT tap.malformed
