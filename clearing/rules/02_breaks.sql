-- Most taps simply follow their card's tap before: the next counter, and the balance that it left. Here are the
-- others: where a card's taps of tonight begin, and where one breaks off. Copies and twins break off, too.
-- `owner` is a card's issuer and the head of its number in one: 65536 is more than any head.
SELECT owner, card_tail, counter, balance_before_fen, counter_before IS NULL AS begins
FROM (SELECT owner, card_tail, counter, balance_before_fen,
             LAG(counter) OVER own AS counter_before, LAG(left_fen) OVER own AS balance_left_fen
      FROM (SELECT issuer_no * 65536 + card_head AS owner, card_tail, counter, balance_before_fen,
                   balance_before_fen - amount_fen AS left_fen
            FROM tap
            WHERE NOT malformed) readable
      WINDOW own AS (PARTITION BY card_tail, owner ORDER BY counter)) step
WHERE counter_before IS NULL OR counter <> counter_before + 1 OR balance_before_fen <> balance_left_fen
