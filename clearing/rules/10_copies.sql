-- A terminal that never got our acknowledgement presents a tap again: same card, counter and content.
-- The original is the one that came before an earlier night, else the first by operator, sequence, position.
SELECT looked.no,
       looked.place > 1 OR original.card_tail IS NOT NULL AS duplicate
FROM (SELECT no, card_head, card_tail, counter, record,
             ROW_NUMBER() OVER (PARTITION BY card_tail, card_head, counter, record
                                ORDER BY CASE WHEN retried THEN 0 ELSE 1 END, no) AS place
      FROM looked) looked
LEFT JOIN (SELECT DISTINCT card_head, card_tail, counter, record FROM earlier) original
  ON original.card_tail = looked.card_tail AND original.card_head = looked.card_head
 AND original.counter = looked.counter
 AND original.record = looked.record
