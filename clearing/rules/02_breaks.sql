-- Most taps simply follow their card's tap before: the next counter, and the balance that it left. Here are the
-- others: where a card's taps of tonight begin, and where one breaks off. Copies and twins break off, too.
SELECT card_head, card_tail, issuer_no, counter, balance_before_fen, counter_before IS NULL AS begins
FROM (SELECT card_head, card_tail, issuer_no, counter, balance_before_fen,
             LAG(counter) OVER own AS counter_before,
             LAG(balance_before_fen - amount_fen) OVER own AS balance_left_fen
      FROM tap
      WHERE NOT malformed
      WINDOW own AS (PARTITION BY card_tail, card_head, issuer_no ORDER BY counter)) step
WHERE counter_before IS NULL OR counter <> counter_before + 1 OR balance_before_fen <> balance_left_fen
