-- A terminal that never got our acknowledgement presents a tap again: same card, counter and content.
-- The original is the one that came before an earlier night, else the first by operator, sequence, position.
SELECT readable.no,
       readable.place > 1 OR original.card_no IS NOT NULL AS duplicate
FROM (SELECT no, card_no, counter, record,
             ROW_NUMBER() OVER (PARTITION BY card_no, counter, record
                                ORDER BY CASE WHEN retried THEN 0 ELSE 1 END, no) AS place
      FROM tap
      WHERE NOT malformed) readable
LEFT JOIN (SELECT DISTINCT card_no, counter, record FROM earlier) original
  ON original.card_no = readable.card_no
 AND original.counter = readable.counter
 AND original.record = readable.record
