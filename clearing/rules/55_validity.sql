-- Cards whose days begin or end among the instants of tonight's taps. Every device reads the days from the card.
SELECT card.card_head, card.card_tail, card.issuer_no, card.valid_from_s, card.valid_to_s
FROM card
CROSS JOIN (SELECT MIN(at_s) AS first_s, MAX(at_s) AS last_s FROM tap WHERE NOT malformed) span
WHERE card.valid_from_s > span.first_s OR card.valid_to_s <= span.last_s
