-- Most taps simply follow their card's tap before: the next counter, and the balance that it left. Here are the
-- others: where a card's taps of tonight begin, and where one breaks off. Copies and twins break off, too.
-- `owner` is a card's issuer and the head of its number in one: 65536 is more than any head. `begins_at` and
-- `leads_to` are counter and balance in one, before the tap and after it: 8589934592 is twice as much as any balance.
-- Where two cards share a tail, each breaks off the other's row.
SELECT owner, card_tail, begins_at, owner_before IS NULL AS begins
FROM (SELECT owner, card_tail, begins_at,
             LAG(owner) OVER of_tail AS owner_before, LAG(leads_to) OVER of_tail AS led_to
      FROM (SELECT issuer_no * 65536 + card_head AS owner, card_tail,
                   counter * 8589934592 + balance_before_fen AS begins_at,
                   (counter + 1) * 8589934592 + balance_before_fen - amount_fen AS leads_to
            FROM tap
            WHERE NOT malformed) readable
      WINDOW of_tail AS (PARTITION BY card_tail ORDER BY begins_at)) step
WHERE owner_before IS NULL OR owner <> owner_before OR begins_at <> led_to
