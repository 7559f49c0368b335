-- One card and one counter, two contents, both with all the marks of truth: a clone, or a replay.
-- Tonight's twins are all in it; a twin decided on an earlier night keeps its verdict.
SELECT witness.no
FROM (SELECT no, card_no, counter, COUNT(*) OVER (PARTITION BY card_no, counter) AS twins
      FROM belief
      WHERE NOT duplicate AND device_state = 'registered' AND card_known AND believed) witness
LEFT JOIN (SELECT DISTINCT card_no, counter FROM earlier WHERE believed) decided
  ON decided.card_no = witness.card_no AND decided.counter = witness.counter
WHERE witness.twins > 1 OR decided.card_no IS NOT NULL
