-- A terminal that never got our acknowledgement presents a tap again: same card, counter and content.
-- The original is the one that came before an earlier night, else the first by operator, sequence, position.
-- Content is compared only where a card has a counter more than once.
SELECT looked.no,
       COALESCE(copy.place > 1, FALSE) OR original.card_tail IS NOT NULL AS duplicate
FROM looked
LEFT JOIN (SELECT looked.no,
                  ROW_NUMBER() OVER (PARTITION BY looked.card_tail, looked.card_head, looked.counter, looked.record
                                     ORDER BY CASE WHEN looked.retried THEN 0 ELSE 1 END, looked.no) AS place
           FROM looked
           JOIN (SELECT card_head, card_tail, counter
                 FROM looked
                 GROUP BY card_head, card_tail, counter
                 HAVING COUNT(*) > 1) again
             ON again.card_tail = looked.card_tail AND again.card_head = looked.card_head
            AND again.counter = looked.counter) copy ON copy.no = looked.no
LEFT JOIN (SELECT DISTINCT card_head, card_tail, counter, record FROM earlier) original
  ON original.card_tail = looked.card_tail AND original.card_head = looked.card_head
 AND original.counter = looked.counter
 AND original.record = looked.record
