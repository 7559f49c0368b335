-- What the closer look found, of each tap of which it found anything: of any other tap it is true that the card
-- made it, that its TAC is right, and that it follows the card's tap before.
SELECT belief.no, belief.amount_fen, belief.duplicate, belief.card_known, belief.tac_ok, belief.believed,
       conflict.no IS NOT NULL AS in_conflict,
       continuity.no IS NOT NULL AS chained,
       COALESCE(continuity.gap, FALSE) AS gap,
       route.no IS NOT NULL AS routed
FROM belief
LEFT JOIN conflict ON conflict.no = belief.no
LEFT JOIN continuity ON continuity.no = belief.no
LEFT JOIN route ON route.no = belief.no
WHERE continuity.no IS NULL OR continuity.gap OR NOT belief.tac_ok
