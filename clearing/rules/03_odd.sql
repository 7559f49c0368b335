-- Which cards need a closer look? One of which a tap breaks off, is not what our books of the card lead to, has a wrong
-- TAC, waits in suspense, or is old, or which was loaded since its last tap; and every unknown card.
SELECT breaks.owner % 65536 AS card_head, breaks.card_tail
FROM breaks
LEFT JOIN card
  ON card.card_tail = breaks.card_tail AND card.issuer_no * 65536 + card.card_head = breaks.owner
LEFT JOIN card_position
  ON card_position.card_tail = breaks.card_tail AND card_position.card_head = breaks.owner % 65536
WHERE NOT breaks.begins OR card.card_tail IS NULL
   OR (card_position.counter + 1) * 8589934592 + card_position.balance_fen <> breaks.begins_at
UNION
SELECT tap.card_head, tap.card_tail
FROM tap
CROSS JOIN night
WHERE NOT tap.malformed AND (tap.retried OR tap.tap_day < night.recent_day)
UNION
SELECT tap.card_head, tap.card_tail
FROM tap
JOIN tac ON tac.no = tap.no
WHERE NOT tap.malformed AND NOT tac.tac_ok
UNION
SELECT card_head, card_tail FROM loaded
