-- One card and one counter, two contents, both with all the marks of truth: a clone, or a replay.
-- Tonight's twins are all in it; a twin decided on an earlier night keeps its verdict.
SELECT witness.no
FROM (SELECT no, card_head, card_tail, counter,
             COUNT(*) OVER (PARTITION BY card_tail, card_head, counter) AS twins
      FROM belief
      WHERE NOT duplicate AND registered AND card_known AND believed) witness
LEFT JOIN (SELECT DISTINCT card_head, card_tail, counter FROM earlier WHERE believed) decided
  ON decided.card_tail = witness.card_tail AND decided.card_head = witness.card_head
 AND decided.counter = witness.counter
WHERE witness.twins > 1 OR decided.card_tail IS NOT NULL
