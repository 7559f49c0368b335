-- A terminal that never got our acknowledgement presents a tap again: same card, counter and content.
-- The original is the one whose operator has that terminal, so that nobody makes another's tap a copy by bringing it
-- first; a terminal that nobody here has is that of another city, which its centre presents. Then the one that came
-- before an earlier night, else the first by operator, sequence, position.
-- Content is compared only where a card has a counter more than once.
WITH again AS (
    SELECT looked.no, looked.operator, looked.retried, looked.card_head, looked.card_tail, looked.counter, looked.record,
           looked.terminal_no, looked.at_s
    FROM looked
    JOIN (SELECT card_head, card_tail, counter
          FROM looked
          GROUP BY card_head, card_tail, counter
          HAVING COUNT(*) > 1) twice
      ON twice.card_tail = looked.card_tail AND twice.card_head = looked.card_head AND twice.counter = looked.counter
)
SELECT looked.no,
       COALESCE(copy.place > 1, FALSE) OR original.card_tail IS NOT NULL AS duplicate
FROM looked
LEFT JOIN (SELECT again.no,
                  ROW_NUMBER() OVER (PARTITION BY again.card_tail, again.card_head, again.counter, again.record
                                     ORDER BY CASE WHEN own.no IS NOT NULL THEN 0 ELSE 1 END,
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
                      WHERE device.terminal_no IS NULL) own
             ON own.no = again.no) copy
  ON copy.no = looked.no
LEFT JOIN (SELECT DISTINCT card_head, card_tail, counter, record FROM earlier) original
  ON original.card_tail = looked.card_tail AND original.card_head = looked.card_head
 AND original.counter = looked.counter
 AND original.record = looked.record
