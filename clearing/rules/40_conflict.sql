-- One card and one counter, two contents, both with all the marks of truth: a clone, or a replay.
-- Tonight's twins are all in it; a twin decided on an earlier night keeps its verdict. Twins are those whose content
-- was fetched.
SELECT witness.no
FROM (SELECT belief.no, belief.card_head, belief.card_tail, belief.counter,
             COUNT(*) OVER (PARTITION BY belief.card_tail, belief.card_head, belief.counter) AS twins
      FROM belief
      JOIN content ON content.no = belief.no
      WHERE NOT belief.duplicate AND belief.registered AND belief.card_known AND belief.believed) witness
LEFT JOIN (SELECT DISTINCT card_head, card_tail, counter FROM earlier WHERE believed) decided
  ON decided.card_tail = witness.card_tail AND decided.card_head = witness.card_head
 AND decided.counter = witness.counter
WHERE witness.twins > 1 OR decided.card_tail IS NOT NULL
