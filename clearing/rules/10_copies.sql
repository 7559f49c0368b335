-- A terminal that never got our acknowledgement presents a tap again: same card, counter and content.
-- The original is the one whose operator has that terminal, so that nobody makes another's tap a copy by bringing it
-- first; a terminal that nobody here has is that of another city, which its centre presents. Then the one that came
-- before an earlier night, else the first by operator, sequence, position.
SELECT looked.no,
       looked.place > 1 OR original.card_tail IS NOT NULL AS duplicate
FROM (SELECT looked.no, looked.card_head, looked.card_tail, looked.counter, looked.record,
             ROW_NUMBER() OVER (PARTITION BY looked.card_tail, looked.card_head, looked.counter, looked.record
                                ORDER BY CASE WHEN own.no IS NOT NULL THEN 0 ELSE 1 END,
                                         CASE WHEN looked.retried THEN 0 ELSE 1 END, looked.no) AS place
      FROM looked
      LEFT JOIN (SELECT DISTINCT looked.no
                 FROM looked
                 JOIN device
                   ON device.terminal_no = looked.terminal_no AND device.operator = looked.operator
                  AND device.valid_from_s <= looked.at_s AND looked.at_s < device.valid_to_s
                 UNION
                 SELECT looked.no
                 FROM looked
                 JOIN centre
                   ON centre.operator = looked.operator
                  AND centre.from_s <= looked.at_s AND looked.at_s < centre.until_s
                 LEFT JOIN device
                   ON device.terminal_no = looked.terminal_no
                  AND device.valid_from_s <= looked.at_s AND looked.at_s < device.valid_to_s
                 WHERE device.terminal_no IS NULL) own
        ON own.no = looked.no) looked
LEFT JOIN (SELECT DISTINCT card_head, card_tail, counter, record FROM earlier) original
  ON original.card_tail = looked.card_tail AND original.card_head = looked.card_head
 AND original.counter = looked.counter
 AND original.record = looked.record
