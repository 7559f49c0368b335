-- Does each tap begin where the card's tap before left it, loads in between counted? A card first seen now has
-- nothing to follow. `chained` taps are those that the card made, whatever becomes of their money.
WITH chain AS (
    SELECT belief.no, belief.card_no, belief.counter, belief.balance_before_fen, belief.amount_fen, belief.at_s
    FROM belief
    LEFT JOIN conflict ON conflict.no = belief.no
    WHERE NOT belief.duplicate AND belief.card_known AND belief.believed AND conflict.no IS NULL
),
seen AS (
    SELECT card_no, MIN(counter) AS first_counter
    FROM (SELECT card_no, counter FROM chain
          UNION ALL
          SELECT card_no, first_counter FROM card_position) known
    GROUP BY card_no
),
step AS (
    SELECT chain.no, chain.card_no, chain.balance_before_fen, chain.at_s,
           previous.balance_before_fen - previous.amount_fen AS balance_left_fen, previous.at_s AS left_s
    FROM chain
    JOIN (SELECT card_no, counter, balance_before_fen, amount_fen, at_s FROM chain
          UNION ALL
          SELECT card_no, counter, balance_before_fen, amount_fen, at_s FROM earlier WHERE believed) previous
      ON previous.card_no = chain.card_no AND previous.counter = chain.counter - 1
),
loaded AS (
    SELECT step.no, step.left_s, CAST(SUM(chip_load.amount_fen) AS BIGINT) AS loaded_fen
    FROM (SELECT DISTINCT no, card_no, at_s, left_s FROM step) step
    JOIN chip_load
      ON chip_load.card_no = step.card_no AND chip_load.at_s > step.left_s AND chip_load.at_s <= step.at_s
    GROUP BY step.no, step.left_s
),
followed AS (
    SELECT DISTINCT step.no
    FROM step
    LEFT JOIN loaded ON loaded.no = step.no AND loaded.left_s = step.left_s
    WHERE step.balance_before_fen = step.balance_left_fen + COALESCE(loaded.loaded_fen, 0)
)
SELECT chain.no,
       chain.counter > seen.first_counter AND followed.no IS NULL AS gap
FROM chain
JOIN seen ON seen.card_no = chain.card_no
LEFT JOIN followed ON followed.no = chain.no
