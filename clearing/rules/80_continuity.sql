-- Does each tap begin where the card's tap before left it, loads in between counted? A card first seen now has
-- nothing to follow. `chained` taps are those that the card made, whatever becomes of their money.
WITH chain AS (
    SELECT belief.no, belief.card_head, belief.card_tail, belief.counter, belief.balance_before_fen, belief.amount_fen, belief.at_s
    FROM belief
    LEFT JOIN conflict ON conflict.no = belief.no
    WHERE NOT belief.duplicate AND belief.card_known AND belief.believed AND conflict.no IS NULL
),
seen AS (
    SELECT chain.card_head, chain.card_tail,
           MIN(CASE WHEN card_position.first_counter < chain.counter THEN card_position.first_counter
                    ELSE chain.counter END) AS first_counter
    FROM chain
    LEFT JOIN card_position
      ON card_position.card_tail = chain.card_tail AND card_position.card_head = chain.card_head
    GROUP BY chain.card_head, chain.card_tail
),
step AS (
    SELECT chain.no, chain.card_head, chain.card_tail, chain.balance_before_fen, chain.at_s,
           previous.balance_before_fen - previous.amount_fen AS balance_left_fen, previous.at_s AS left_s
    FROM chain
    JOIN (SELECT card_head, card_tail, counter, balance_before_fen, amount_fen, at_s FROM chain
          UNION ALL
          SELECT card_head, card_tail, counter, balance_before_fen, amount_fen, at_s
          FROM earlier WHERE believed) previous
      ON previous.card_tail = chain.card_tail AND previous.card_head = chain.card_head
     AND previous.counter = chain.counter - 1
),
loaded AS (
    SELECT step.no, step.left_s, CAST(SUM(chip_load.amount_fen) AS BIGINT) AS loaded_fen
    FROM (SELECT DISTINCT step.no, step.card_head, step.card_tail, step.at_s, step.left_s
          FROM step
          JOIN (SELECT DISTINCT card_head, card_tail FROM chip_load) its
            ON its.card_tail = step.card_tail AND its.card_head = step.card_head) step
    JOIN chip_load
      ON chip_load.card_tail = step.card_tail AND chip_load.card_head = step.card_head
     AND chip_load.at_s > step.left_s AND chip_load.at_s <= step.at_s
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
JOIN seen ON seen.card_tail = chain.card_tail AND seen.card_head = chain.card_head
LEFT JOIN followed ON followed.no = chain.no
