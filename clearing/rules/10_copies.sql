-- A terminal that never got our acknowledgement presents a tap again: same card, counter and content. These are the
-- copies, each a duplicate.
-- The original is the one whose operator has that terminal, so that nobody makes another's tap a copy by bringing it
-- first; a terminal that nobody here has is that of another city, which its centre presents. Then the one that came
-- before an earlier night, else the first by operator, sequence, position.
WITH again AS (
    SELECT looked.no, looked.operator, looked.retried, looked.card_head, looked.card_tail, looked.counter,
           content.record, looked.terminal_no, looked.at_s
    FROM looked
    JOIN content ON content.no = looked.no
)
SELECT copy.no
FROM (SELECT again.no, again.card_head, again.card_tail, again.counter, again.record,
             ROW_NUMBER() OVER (PARTITION BY again.card_tail, again.card_head, again.counter, again.record
                                ORDER BY CASE WHEN rightly.no IS NOT NULL THEN 0 ELSE 1 END,
                                         CASE WHEN again.retried THEN 0 ELSE 1 END, again.no) AS place
      FROM again
      LEFT JOIN (SELECT DISTINCT again.no
                 FROM again
                 JOIN device
                   ON device.terminal_no = again.terminal_no AND device.operator = again.operator
                  AND device.valid_from_s <= again.at_s AND again.at_s < device.valid_to_s
                 UNION
                 SELECT again.no
                 FROM again
                 JOIN centre
                   ON centre.operator = again.operator
                  AND centre.from_s <= again.at_s AND again.at_s < centre.until_s
                 LEFT JOIN device
                   ON device.terminal_no = again.terminal_no
                  AND device.valid_from_s <= again.at_s AND again.at_s < device.valid_to_s
                 WHERE device.terminal_no IS NULL) rightly
        ON rightly.no = again.no) copy
LEFT JOIN (SELECT DISTINCT card_head, card_tail, counter, record FROM earlier) original
  ON original.card_tail = copy.card_tail AND original.card_head = copy.card_head
 AND original.counter = copy.counter
 AND original.record = copy.record
WHERE copy.place > 1 OR original.card_tail IS NOT NULL
