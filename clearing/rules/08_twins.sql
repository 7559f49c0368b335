-- Of the taps that get a closer look, those whose card shows their counter more than once, tonight or on an earlier
-- night. Of these few the content is fetched (`content`), to be compared.
SELECT looked.no
FROM looked
JOIN (SELECT card_head, card_tail, counter
      FROM (SELECT card_head, card_tail, counter FROM looked
            UNION ALL
            SELECT card_head, card_tail, counter FROM earlier) presented
      GROUP BY card_head, card_tail, counter
      HAVING COUNT(*) > 1) twice
  ON twice.card_tail = looked.card_tail AND twice.card_head = looked.card_head AND twice.counter = looked.counter
